"""By what conversations, and the answers in them, are known again. Digests only: nothing of what was said is kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from ...backends import Query, text_of

_SYSTEM = ("system", "developer")
# Fields of a request that say whose it is, or which conversation it is part of.
_IDS = ("user", "safety_identifier", "prompt_cache_key")
_METADATA_IDS = ("user_id", "session_id", "conversation_id", "thread_id")


def key_of(query: Query, *, asker: str, conversation: str | None) -> str:
    """Returns what a conversation is known by: the name that the caller gave it, else how it began and whose it is.

    `asker` is who may not be mistaken for another: conversations of two askers are never the same.
    """
    if conversation is not None:
        return _digest([asker, "named", conversation])
    system = [text_of(message) for message in query.messages if message["role"] in _SYSTEM]
    first = next((text_of(message) for message in query.messages if message["role"] == "user"), "")
    return _digest([asker, "begun", *_ids_in(query.params), *system, first])


def mark_of(text: str, tool_calls: Sequence[Mapping[str, Any]]) -> str:
    """Returns what an answer is known by, whatever a client does to the space around it and to the ids of its calls."""
    calls = [_call(call) for call in tool_calls]
    return _digest([text.strip(), *calls])


def marks_in(query: Query) -> list[str]:
    """Returns the marks of the assistant's messages, in order."""
    return [
        mark_of(text_of(message), message.get("tool_calls") or ())
        for message in query.messages
        if message["role"] == "assistant"
    ]


def is_in_tool_loop(query: Query) -> bool:
    """Returns whether the last answer called tools, and what came after it brings their results."""
    for message in reversed(query.messages):
        if message["role"] in ("tool", "function"):
            return True
        if message["role"] == "assistant":
            return False
    return False


def _ids_in(params: Mapping[str, Any]) -> list[str]:
    found = [f"{name}={value}" for name in _IDS if (value := params.get(name))]
    metadata = params.get("metadata")
    if isinstance(metadata, Mapping):
        found += [f"{name}={value}" for name in _METADATA_IDS if (value := metadata.get(name))]
    return found


def _call(call: Mapping[str, Any]) -> str:
    function = call.get("function") or {}
    arguments = function.get("arguments") or "{}"
    try:
        given = orjson.loads(arguments) if isinstance(arguments, str) else arguments
        arguments = orjson.dumps(given, option=orjson.OPT_SORT_KEYS).decode()
    except (orjson.JSONDecodeError, TypeError):
        arguments = str(arguments)
    return f"{function.get('name')}({arguments})"


def _digest(parts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        octets = part.encode("utf-8", "replace")
        digest.update(b"%d:%b" % (len(octets), octets))
    return digest.hexdigest()
