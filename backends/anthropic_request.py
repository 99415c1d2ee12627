"""Puts a query in the OpenAI form into the form of Anthropic's Messages API."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from .errors import InvalidRequest
from .types import Message, text_of

Block = dict[str, Any]

# Fields that are put some other way, or that have no counterpart and change nothing about what was asked for.
IGNORED = frozenset(
    {
        "max_completion_tokens",  # as is the next, put by the backend, which knows the limits
        "max_tokens",
        "messages",
        "metadata",
        "model",
        "parallel_tool_calls",  # put with the tools
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",  # put as thinking
        "response_format",  # put as output_config
        "safety_identifier",
        "seed",
        "service_tier",  # put by the name that it has there
        "stop",  # put as stop_sequences
        "stream",
        "stream_options",
        "tool_choice",
        "tools",
        "user",  # put as metadata
    }
)
# Fields that would change it: given a value other than these, the query cannot be put.
NEEDED: Mapping[str, tuple[Any, ...]] = {
    "audio": (None,),
    "frequency_penalty": (None, 0),
    "function_call": (None,),
    "functions": (None, [], ()),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"], ("text",)),
    "n": (None, 1),
    "presence_penalty": (None, 0),
    "store": (None, False),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}

SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_NOT_IN_AN_ID = re.compile("[^a-zA-Z0-9_-]")


def request_of(messages: Sequence[Message], params: Mapping[str, Any]) -> Block:
    """Returns the body of a request, without `model`, `max_tokens`, `stream` and thinking.

    Fields that the OpenAI form does not know are passed on untouched; those that are null are as good as absent.

    Raises:
        InvalidRequest: something has no counterpart.
    """
    for field, neutral in NEEDED.items():
        if field in params and params[field] not in neutral:
            raise InvalidRequest(f"{field}: the Messages API has no counterpart")
    untouched = (field for field in params if field not in IGNORED and field not in NEEDED)
    body: Block = {field: params[field] for field in untouched if params[field] is not None}
    system = _system_of(messages)
    if system:
        body["system"] = system
    body["messages"] = _turns_of(messages)
    if not body["messages"]:
        raise InvalidRequest("messages: the Messages API needs one that is not from the system, and not empty")
    stop = params.get("stop")
    if stop:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if params.get("user"):
        body["metadata"] = {"user_id": params["user"]}
    _put_tier(body, params.get("service_tier"))
    _put_tools(body, params)
    _put_format(body, params.get("response_format"))
    return body


def has_open_tool_call(messages: Sequence[Message]) -> bool:
    """Returns whether the conversation ends with the results of tool calls, which the model is to take up."""
    return bool(messages) and messages[-1]["role"] == "tool"


def _system_of(messages: Sequence[Message]) -> str | list[Block]:
    """Returns the system prompt: text, or blocks where a part carries a cache mark."""
    parts: list[Block] = []
    for message in messages:
        if message["role"] in ("system", "developer"):
            content = message.get("content")
            parts += [{"type": "text", "text": content}] if isinstance(content, str) else _blocks_of(content)
    parts = [part for part in parts if part.get("text", "").strip()]
    if any("cache_control" in part for part in parts):
        return parts
    return "\n\n".join(part["text"] for part in parts)


def _turns_of(messages: Sequence[Message]) -> list[Block]:
    """Returns the conversation with turns that alternate: neighbours of one role become one turn."""
    turns: list[Block] = []
    for message in messages:
        role = message["role"]
        if role in ("system", "developer"):
            continue
        turn: Block
        if role == "user":
            turn = {"role": "user", "content": _spoken_by(message) + _blocks_of(message.get("content"))}
        elif role == "assistant":
            for field in ("function_call", "audio"):
                if message.get(field):
                    raise InvalidRequest(f"messages: {field} has no counterpart in the Messages API")
            said = _blocks_of(message.get("content")) + _blocks_of(message.get("refusal"))
            turn = {"role": "assistant", "content": said + _tool_uses_of(message)}
        elif role == "tool":
            turn = {"role": "user", "content": [_tool_result_of(message)]}
        else:
            raise InvalidRequest(f"messages: role {role!r} is unknown; expected system, user, assistant or tool")
        if turns and turns[-1]["role"] == turn["role"]:
            turns[-1]["content"] += turn["content"]
        elif turn["content"]:
            turns.append(turn)
    if turns and turns[-1]["role"] == "assistant" and "text" in turns[-1]["content"][-1]:
        last = turns[-1]["content"][-1]  # how the answer is to begin, which must not end with space
        last["text"] = last["text"].rstrip()
    for turn in turns:
        # The common case stays readable, and short.
        if len(turn["content"]) == 1 and turn["content"][0].keys() == {"type", "text"}:
            turn["content"] = turn["content"][0]["text"]
    return turns


def _spoken_by(message: Message) -> list[Block]:
    """Returns who speaks, where the message tells: there is no field for it, and it may matter who said what."""
    return [{"type": "text", "text": f"{message['name']}:"}] if message.get("name") else []


def _blocks_of(content: Any) -> list[Block]:
    """Returns the blocks of a content; text that is empty or all space, which the API refuses, leaves none."""
    blocks = []
    parts: Sequence[Any] = [content] if isinstance(content, str) else content or ()
    for part in parts:
        block = _block_of({"type": "text", "text": part} if isinstance(part, str) else part)
        if block is not None:
            if "cache_control" in part:
                block["cache_control"] = part["cache_control"]
            blocks.append(block)
    return blocks


def _block_of(part: Mapping[str, Any]) -> Block | None:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        text = part.get("text") or part.get("refusal") or ""
        return {"type": "text", "text": text} if text.strip() else None
    if kind == "image_url":
        image = part["image_url"]
        url = image if isinstance(image, str) else image["url"]
        return {"type": "image", "source": _source_of(url, "image_url")}
    if kind == "file" and "file_data" in part.get("file", {}):
        return {"type": "document", "source": _source_of(part["file"]["file_data"], "file")}
    raise InvalidRequest(f"messages: a part of type {kind!r} has no counterpart in the Messages API")


def _source_of(url: str, kind: str) -> Block:
    """Returns where an image or document comes from: a data URL or an address."""
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    head, comma, data = url.partition(",")
    media_type, is_base64, _ = head.removeprefix("data:").partition(";base64")
    if not head.startswith("data:") or not comma or not is_base64:
        raise InvalidRequest(f"messages: {kind} must be an http(s) address or a base64 data URL")
    return {"type": "base64", "media_type": media_type.split(";")[0], "data": data}


def _tool_uses_of(message: Message) -> list[Block]:
    blocks = []
    for call in message.get("tool_calls") or ():
        function = call.get("function")
        if call.get("type", "function") != "function" or not function:
            raise InvalidRequest(f"messages: a tool call of type {call.get('type')!r} has no counterpart")
        arguments = function.get("arguments") or "{}"
        try:
            given = orjson.loads(arguments) if isinstance(arguments, str) else arguments
        except orjson.JSONDecodeError as error:
            raise InvalidRequest(f"messages: the arguments of {function['name']} are not JSON") from error
        if not isinstance(given, Mapping):
            raise InvalidRequest(f"messages: the arguments of {function['name']} are not an object")
        blocks.append({"type": "tool_use", "id": _id_of(call["id"]), "name": function["name"], "input": given})
    return blocks


def _id_of(id: str) -> str:
    """Returns the id of a call in characters that the API allows; some servers make up others, such as `f.add:0`."""
    return _NOT_IN_AN_ID.sub(lambda found: f"_{ord(found[0]):x}_", id)


def _tool_result_of(message: Message) -> Block:
    content = message.get("content")
    is_text = not isinstance(content, list | tuple) or not any(
        isinstance(part, Mapping) and part["type"] != "text" for part in content
    )
    told = text_of(message) if is_text else _blocks_of(content)
    return {"type": "tool_result", "tool_use_id": _id_of(message["tool_call_id"]), "content": told}


def _put_tier(body: Block, tier: Any) -> None:
    if tier is None:
        return
    if tier not in SERVICE_TIERS:
        raise InvalidRequest(f"service_tier: unknown {tier!r:.80}; expected one of {', '.join(SERVICE_TIERS)}")
    body["service_tier"] = SERVICE_TIERS[tier]


def _put_tools(body: Block, params: Mapping[str, Any]) -> None:
    tools = params.get("tools") or ()
    choice = params.get("tool_choice")
    if not tools:
        return
    body["tools"] = [_tool_of(tool) for tool in tools]
    if isinstance(choice, Mapping):
        if choice.get("type") != "function":
            raise InvalidRequest(f"tool_choice: type {choice.get('type')!r} has no counterpart in the Messages API")
        body["tool_choice"] = {"type": "tool", "name": choice["function"]["name"]}
    elif choice is not None:
        kinds = {"auto": "auto", "none": "none", "required": "any"}
        if choice not in kinds:
            raise InvalidRequest(f"tool_choice: unknown {choice!r}; expected one of {', '.join(kinds)}, or a function")
        body["tool_choice"] = {"type": kinds[choice]}
    if params.get("parallel_tool_calls") is False and choice != "none":
        body.setdefault("tool_choice", {"type": "auto"})["disable_parallel_tool_use"] = True


def _tool_of(tool: Mapping[str, Any]) -> Block:
    if tool.get("type") != "function":
        raise InvalidRequest(f"tools: type {tool.get('type')!r} has no counterpart in the Messages API")
    function = tool["function"]
    block: Block = {
        "name": function["name"],
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    kept: Iterable[tuple[str, Any]] = (
        ("description", function.get("description")),
        ("strict", function.get("strict")),
        ("cache_control", tool.get("cache_control")),
    )
    return block | {field: value for field, value in kept if value is not None}


def _put_format(body: Block, wanted: Any) -> None:
    if wanted is None or wanted.get("type") == "text":
        return
    if wanted.get("type") != "json_schema":
        raise InvalidRequest(
            f"response_format: type {wanted.get('type')!r} has no counterpart in the Messages API; use json_schema"
        )
    schema = wanted["json_schema"]["schema"]
    body["output_config"] = {**body.get("output_config", {}), "format": {"type": "json_schema", "schema": schema}}
