"""Requests of Anthropic's Messages API, read into the form of chat completions.

What that form cannot say is not lost: it is named in `unsayable`, and the request goes to no backend that would not get
it in its own words. Left out without a word are only thinking of earlier turns that is signed, for the model that had
it, and means nothing to another, and hints that change no answer (`HINTS`, and `cache_control` wherever it stands).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from ...backends import InvalidRequest
from .format import Reading, make_reading
from .request import list_in, object_in

Part = dict[str, Any]

# Fields that are put some other way.
_PUT = frozenset({"messages", "metadata", "output_config", "output_format", "stop_sequences", "system", "thinking"})
_PUT |= {"tool_choice", "tools"}
HINTS = frozenset({"cache_control", "diagnostics"})
# Fields without a counterpart, each with the values that ask for nothing.
_NEEDED: Mapping[str, tuple[Any, ...]] = {
    "compaction": (None,),
    "container": (None,),
    "context_management": (None,),
    "fallbacks": (None, []),
    "inference_geo": (None,),
    "mcp_servers": (None, []),
    "service_tier": (None, "auto"),
    "speed": (None, "standard"),
    "thread": (None,),
}
# Of a tool: what is put, and hints.
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict"})
_TOOL_FIELDS |= {"cache_control", "eager_input_streaming"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# Efforts by the tokens of thinking up to which they are meant.
_EFFORTS = ((6000, "low"), (12000, "medium"))


def read_messages(body: Mapping[str, Any]) -> Reading:
    """Returns what the body of a request says.

    Raises:
        InvalidRequest: it is malformed; the text says where.
    """
    unsayable = [field for field, neutral in _NEEDED.items() if field in body and body[field] not in neutral]
    taken = _PUT | HINTS | _NEEDED.keys()
    params = {field: value for field, value in body.items() if value is not None and field not in taken}
    messages = list(_system_of(body.get("system")))
    turns = list_in(body, "messages")
    for place, turn in enumerate(turns):
        where = f"messages[{place}]"
        try:
            messages += _turn_of(turn, where, unsayable)
        except (AttributeError, LookupError, TypeError) as error:
            raise InvalidRequest(f"{where}: unknown shape ({type(error).__name__}: {error})") from error
    if turns and turns[-1].get("role") == "assistant":
        unsayable.append("how the answer begins (a last message of the assistant's)")
    if body.get("stop_sequences"):
        params["stop"] = body["stop_sequences"]
    user = object_in(body, "metadata").get("user_id")
    if user is not None:
        params["user"] = user
    _put_tools(params, body, unsayable)
    _put_thinking_and_format(params, body)
    return make_reading(messages=messages, params=params, unsayable=tuple(dict.fromkeys(unsayable)))


def _system_of(system: Any) -> Iterator[Part]:
    """Yields the system prompt as a message, its blocks in their order."""
    if isinstance(system, str) and system:
        yield {"role": "system", "content": system}
    elif isinstance(system, list) and system:
        texts = [text for block in list_in({"system": system}, "system") if isinstance(text := block.get("text"), str)]
        if len(texts) != len(system):
            raise InvalidRequest("system: expected text or a list of text blocks")
        yield {"role": "system", "content": "\n\n".join(texts)}
    elif system:
        raise InvalidRequest(f"system: expected text or a list of text blocks, got {system!r:.80}")


def _turn_of(turn: Mapping[str, Any], where: str, unsayable: list[str]) -> Iterator[Part]:
    """Yields the messages that one turn comes to: results of tools are messages of their own."""
    role, content = turn.get("role"), turn.get("content")
    if isinstance(content, str) or content is None:
        yield {"role": role, "content": content}
        return
    if role == "assistant":
        yield _assistant_of(content, where, unsayable)
        return
    parts: list[Part] = []
    has_result = False
    for place, block in enumerate(content):
        if block["type"] == "tool_result":
            has_result = True
            if parts:
                yield {"role": role, "content": _simple(parts)}
                parts = []
            yield _result_of(block, f"{where}.content[{place}]", unsayable)
        else:
            parts += _parts_of(block, f"{where}.content[{place}]", unsayable)
    if parts or not has_result:
        yield {"role": role, "content": _simple(parts) if parts else ""}


def _assistant_of(content: list[Mapping[str, Any]], where: str, unsayable: list[str]) -> Part:
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[Part] = []
    for place, block in enumerate(content):
        kind = block["type"]
        if kind == "text":
            texts.append(block["text"])
        elif kind == "tool_use":
            arguments = orjson.dumps(block.get("input") or {}).decode()
            function = {"name": block["name"], "arguments": arguments}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif kind == "thinking" and not block.get("signature"):
            thoughts.append(block["thinking"])
        elif kind not in ("thinking", "redacted_thinking"):
            unsayable.append(f"{where}.content[{place}]: type {kind!r}")
    message: Part = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if thoughts:
        message["reasoning_content"] = "".join(thoughts)
    return message | ({"tool_calls": calls} if calls else {})


def _result_of(block: Mapping[str, Any], where: str, unsayable: list[str]) -> Part:
    """Returns the result of a tool as a message; that it failed, which has no field there, is said in its text."""
    content = block.get("content")
    if isinstance(content, list):
        for place, part in enumerate(content):
            if part["type"] != "text":
                unsayable.append(f"{where}.content[{place}]: type {part['type']!r} in the result of a tool")
        content = "\n".join(part["text"] for part in content if part["type"] == "text")
    text = content or ""
    if block.get("is_error") and not text.lower().startswith("error"):
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block["tool_use_id"], "content": text}


def _parts_of(block: Mapping[str, Any], where: str, unsayable: list[str]) -> Iterator[Part]:
    """Yields the parts of a message that a block comes to."""
    kind = block["type"]
    source = block.get("source") or {}
    if kind == "text":
        yield {"type": "text", "text": block["text"]}
    elif kind == "image" and source.get("type") in ("base64", "url"):
        yield {"type": "image_url", "image_url": {"url": _url_of(source)}}
    elif kind == "document" and not (block.get("citations") or {}).get("enabled"):
        name = block.get("title") or "document.pdf"
        if source.get("type") == "base64":
            yield {"type": "file", "file": {"filename": name, "file_data": _url_of(source)}}
        elif source.get("type") == "text":
            heads = [block[field] for field in ("title", "context") if block.get(field)]
            yield {"type": "text", "text": "\n\n".join([*heads, source["data"]])}
        else:
            unsayable.append(f"{where}: a document by {source.get('type')!r}")
    else:
        unsayable.append(f"{where}: type {kind!r}" + (f" by {source['type']!r}" if "type" in source else ""))


def _url_of(source: Mapping[str, Any]) -> str:
    if source["type"] == "url":
        return str(source["url"])
    return f"data:{source['media_type']};base64,{source['data']}"


def _simple(parts: list[Part]) -> str | list[Part]:
    """Returns the content that parts are; one text stands alone, as every server understands it."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _put_tools(params: dict[str, Any], body: Mapping[str, Any], unsayable: list[str]) -> None:
    tools = []
    for place, tool in enumerate(list_in(body, "tools")):
        where, kind = f"tools[{place}]", tool.get("type") or "custom"
        if kind != "custom":
            unsayable.append(f"{where}: type {kind!r}")
            continue
        unsayable += [f"{where}.{field}" for field, value in tool.items() if value and field not in _TOOL_FIELDS]
        function = {
            "name": tool.get("name"),
            "description": tool.get("description"),
            "parameters": _schema_of(tool.get("input_schema")),
            "strict": tool.get("strict"),
        }
        given = {field: value for field, value in function.items() if value is not None}
        tools.append({"type": "function", "function": given})
    if tools:
        params["tools"] = tools
    choice = object_in(body, "tool_choice")
    kind = choice.get("type")
    if kind == "tool":
        params["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(kind, str) and kind in _CHOICES:
        params["tool_choice"] = _CHOICES[kind]
    elif choice:
        raise InvalidRequest(f"tool_choice.type: unknown {kind!r:.80}; expected one of {', '.join(_CHOICES)}, tool")
    if choice.get("disable_parallel_tool_use"):
        params["parallel_tool_calls"] = False


def _schema_of(schema: Any) -> Any:
    """Returns the schema of a tool's input; OpenAI refuses an object of which it is not said what is in it."""
    is_bare = isinstance(schema, Mapping) and schema.get("type") == "object" and "properties" not in schema
    return {**schema, "properties": {}} if is_bare else schema


def _put_thinking_and_format(params: dict[str, Any], body: Mapping[str, Any]) -> None:
    thinking, config = object_in(body, "thinking"), object_in(body, "output_config")
    budget = thinking.get("budget_tokens")
    if config.get("effort"):
        params["reasoning_effort"] = "xhigh" if config["effort"] == "max" else config["effort"]
    elif thinking.get("type") == "enabled" and isinstance(budget, int):
        params["reasoning_effort"] = next((name for most, name in _EFFORTS if budget <= most), "high")
    wanted = config.get("format") or object_in(body, "output_format")
    if isinstance(wanted, Mapping) and wanted.get("type") == "json_schema":
        schema = {"name": "answer", "schema": wanted.get("schema"), "strict": True}
        params["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif wanted:
        raise InvalidRequest(f"output_config.format: expected type json_schema, got {wanted!r:.80}")
