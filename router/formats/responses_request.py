"""Requests of OpenAI's Responses API, read into the form of chat completions.

No backend type speaks this format, so what has no counterpart in chat completions is refused with a sentence, and so is
what would need a server that remembers. Reasoning of earlier turns goes along in plain text, where it came from here;
what OpenAI has encrypted means nothing to another model and is left out. Fields that we do not know travel on, for the
backend to heed or to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends import InvalidRequest
from .format import Reading, make_reading
from .request import list_in, object_in

Part = dict[str, Any]

# Fields that are put some other way, are told in the reply, or are about how the stream is sent.
_PUT = frozenset({"include", "input", "instructions", "max_output_tokens", "metadata", "reasoning", "stream_options"})
_PUT |= {"text", "tool_choice", "tools", "top_logprobs", "truncation"}
_STATE = "this sidecar keeps no conversation; send all of it as `input`"
_REFUSED: Mapping[
    str, tuple[tuple[Any, ...], str]
] = {  # field: values that ask for nothing, and why others are refused
    "background": ((None, False), "this sidecar keeps no replies; wait for this one"),
    "context_management": ((None,), "has no counterpart in chat completions"),
    "conversation": ((None,), _STATE),
    "max_tool_calls": ((None,), "is about tools that run at OpenAI; only functions can be translated"),
    "moderation": ((None,), "has no counterpart in chat completions"),
    "previous_response_id": ((None,), _STATE),
    "prompt": ((None,), "this sidecar has no stored prompts; send the text"),
    "store": ((None, False), "this sidecar keeps no replies; leave it out, or send false"),
}
_LOGPROBS = "message.output_text.logprobs"
_INCLUDED = (_LOGPROBS, "reasoning.encrypted_content")  # of the latter there is never any: reasoning comes in plain
_ROLES = ("user", "assistant", "system", "developer")


def read_responses(body: Mapping[str, Any]) -> Reading:
    """Returns what the body of a request says.

    Raises:
        InvalidRequest: it is malformed, or has no counterpart in chat completions; the text says where.
    """
    for field, (neutral, reason) in _REFUSED.items():
        if field in body and body[field] not in neutral:
            raise InvalidRequest(f"{field}: {reason}")
    if body.get("truncation") not in (None, "disabled"):
        raise InvalidRequest("truncation: nothing is left out of a conversation here; expected disabled")
    taken = _PUT | _REFUSED.keys()
    params = {field: value for field, value in body.items() if value is not None and field not in taken}
    messages: list[Part] = []
    instructions = body.get("instructions")
    if instructions:
        if not isinstance(instructions, str):
            raise InvalidRequest(f"instructions: expected text, got {instructions!r:.80}")
        messages.append({"role": "system", "content": instructions})
    messages += _messages_of(body.get("input"))
    if body.get("max_output_tokens") is not None:
        params["max_completion_tokens"] = body["max_output_tokens"]
    _put_reasoning_and_text(params, body)
    _put_tools(params, body)
    _put_logprobs(params, body)
    return make_reading(messages=messages, params=params)


def _messages_of(given: Any) -> list[Part]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not all(isinstance(item, Mapping) for item in given):
        raise InvalidRequest(f"input: expected text or a list of items, got {given!r:.80}")
    messages: list[Part] = []
    for place, item in enumerate(given):
        where = f"input[{place}]"
        try:
            message = _message_of(item, where)
        except (AttributeError, LookupError, TypeError) as error:
            raise InvalidRequest(f"{where}: unknown shape ({type(error).__name__}: {error})") from error
        if message is None:
            continue
        # Calls and reasoning are items of their own here, and part of the assistant's message there; results must
        # follow that one, so text after a call is part of it too.
        last = messages[-1] if messages else {}
        calls = [*last.get("tool_calls", ()), *message.get("tool_calls", ())]
        is_next = last.get("role") == message["role"] == "assistant"
        if is_next and (calls or _is_only_reasoning(last)) and "reasoning_content" not in message:
            last["content"] = _joined(last["content"], message["content"])
            if calls:
                last["tool_calls"] = calls
        else:
            messages.append(message)
    return [message for message in messages if not _is_only_reasoning(message)]


def _is_only_reasoning(message: Part) -> bool:
    return "reasoning_content" in message and message["content"] is None and "tool_calls" not in message


def _joined(first: str | list[Part] | None, second: str | list[Part] | None) -> str | list[Part] | None:
    """Returns two contents of a message as one."""
    if first is None or second is None:
        return second if first is None else first
    parts = [
        [{"type": "text", "text": content}] if isinstance(content, str) else content for content in (first, second)
    ]
    return [*parts[0], *parts[1]]


def _message_of(item: Mapping[str, Any], where: str) -> Part | None:
    """Returns the message that one item comes to; None where it comes to none."""
    kind = item.get("type", "message")
    if kind == "message":
        if item["role"] not in _ROLES:
            raise InvalidRequest(f"{where}.role: unknown {item['role']!r:.80}; expected one of {', '.join(_ROLES)}")
        return {"role": item["role"], "content": _content_of(item["content"], f"{where}.content")}
    if kind == "function_call":
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        output = _content_of(item["output"], f"{where}.output")
        if not isinstance(output, str) and any(part["type"] != "text" for part in output):
            raise InvalidRequest(f"{where}.output: only text can be translated; chat completions have no other results")
        return {"role": "tool", "tool_call_id": item["call_id"], "content": output}
    if kind == "reasoning":
        thought = "" if item.get("encrypted_content") else "".join(part["text"] for part in item.get("summary") or ())
        return {"role": "assistant", "content": None, "reasoning_content": thought} if thought else None
    if kind == "item_reference":
        raise InvalidRequest(f"{where}: {_STATE}")
    raise InvalidRequest(f"{where}: an item of type {kind!r:.80} has no counterpart in chat completions")


def _content_of(content: Any, where: str) -> str | list[Part]:
    if isinstance(content, str):
        return content
    parts = [_part_of(part, f"{where}[{place}]") for place, part in enumerate(content)]
    if not parts:
        return ""
    # One text stands alone, as every server understands it.
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part_of(part: Mapping[str, Any], where: str) -> Part:
    kind = part["type"]
    if kind in ("input_text", "output_text", "text"):
        return {"type": "text", "text": part["text"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["refusal"]}
    if kind == "input_image" and part.get("image_url"):
        detail = {"detail": part["detail"]} if part.get("detail") else {}
        return {"type": "image_url", "image_url": {"url": part["image_url"]} | detail}
    if kind == "input_file" and (part.get("file_data") or part.get("file_id")):
        fields = ("filename", "file_data", "file_id")
        return {"type": "file", "file": {field: part[field] for field in fields if part.get(field)}}
    if kind == "input_audio":
        return {"type": "input_audio", "input_audio": part["input_audio"]}
    by = next((f" by {field}" for field in ("file_id", "file_url") if part.get(field)), "")
    raise InvalidRequest(f"{where}: a part of type {kind!r:.80}{by} has no counterpart in chat completions")


def _put_reasoning_and_text(params: dict[str, Any], body: Mapping[str, Any]) -> None:
    effort = object_in(body, "reasoning").get("effort")
    if effort is not None:
        params["reasoning_effort"] = effort
    text = object_in(body, "text")
    if text.get("verbosity") is not None:
        params["verbosity"] = text["verbosity"]
    wanted = dict(object_in(text, "format"))
    kind = wanted.pop("type", "text")
    if kind == "json_schema":
        params["response_format"] = {"type": kind, "json_schema": wanted}
    elif kind == "json_object":
        params["response_format"] = {"type": kind}
    elif kind != "text":
        raise InvalidRequest(f"text.format.type: unknown {kind!r:.80}; expected text, json_schema or json_object")


def _put_tools(params: dict[str, Any], body: Mapping[str, Any]) -> None:
    tools = []
    for place, tool in enumerate(list_in(body, "tools")):
        if tool.get("type") != "function":
            kind = tool.get("type")
            raise InvalidRequest(f"tools[{place}]: type {kind!r:.80} cannot be translated; expected function")
        given = ((field, tool.get(field)) for field in ("name", "description", "parameters", "strict"))
        tools.append({"type": "function", "function": {field: value for field, value in given if value is not None}})
    if tools:
        params["tools"] = tools
    else:  # chat completions refuse to be told how to call none
        params.pop("parallel_tool_calls", None)
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        if choice.get("type") != "function":
            raise InvalidRequest(
                f"tool_choice: type {choice.get('type')!r:.80} cannot be translated; expected function"
            )
        choice = {"type": "function", "function": {"name": choice.get("name")}}
    if choice is not None and (tools or choice not in ("auto", "none")):
        params["tool_choice"] = choice


def _put_logprobs(params: dict[str, Any], body: Mapping[str, Any]) -> None:
    if body.get("top_logprobs"):
        raise InvalidRequest("top_logprobs: the tokens that were chosen are told, and no others; expected 0")
    included = body.get("include") or []
    if not isinstance(included, list):
        raise InvalidRequest(f"include: expected a list, got {included!r:.80}")
    for place, name in enumerate(included):
        if name not in _INCLUDED:
            raise InvalidRequest(f"include[{place}]: unknown {name!r:.80}; expected some of {', '.join(_INCLUDED)}")
    if _LOGPROBS in included:
        params["logprobs"] = True
