"""Thinking of earlier answers: which of it goes back to which model.

Anthropic signs thinking for the model that had it and refuses what another has signed. Others send it as plain text,
in a field of the message: some refuse it on the way back, some demand it, at least beside the calls of tools.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .types import Message, Query

REASONING_BACK = ("own", "all", "none", "required")
FIELDS = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks")  # of a chat message
_FIELDS = frozenset(FIELDS)
FOREIGN = "?"  # in `Query.minds`: whoever it was, it was somebody else

_NAMED = re.compile(r"\b(?:reasoning_content|reasoning_details|thinking_blocks)\b")
_MISSING = re.compile(r"missing|is required|must be (?:passed|provided|included|sent|present)", re.IGNORECASE)
_SIGNATURE = re.compile(r"signature|redacted_thinking|thinking.{0,20}block", re.IGNORECASE)


def own_reasoning(query: Query, mind: str, back: str) -> Sequence[Message]:
    """Returns the messages with that reasoning of earlier answers which a backend is to see again.

    `back` is one of REASONING_BACK: what the same model has thought, or nobody is known to have; all; none; or all,
    and an empty one with the calls of tools that have none.
    """
    if back == "all" or (back != "required" and all(map(_FIELDS.isdisjoint, query.messages))):
        return query.messages
    messages: list[Message] = []
    place = 0
    for message in query.messages:
        if message["role"] == "assistant":
            if back == "required":
                if message.get("tool_calls") and not any(field in message for field in FIELDS):
                    message = {**message, "reasoning_content": ""}
            elif back == "none" or query.is_foreign(place, mind):
                message = {name: value for name, value in message.items() if name not in FIELDS}
            place += 1
        messages.append(message)
    return messages


def reasoning_wanted(said: str) -> str | None:
    """Returns the value of REASONING_BACK that a provider's refusal asks for; None where it is about something else.

    >>> reasoning_wanted("thinking is enabled but reasoning_content is missing in assistant tool call message")
    'required'
    >>> reasoning_wanted("property 'messages.1.reasoning_content' is unsupported")
    'none'
    """
    if not _NAMED.search(said):
        return None
    return "required" if _MISSING.search(said) else "none"


def put_own_blocks(body: dict[str, Any], query: Query, mind: str) -> None:
    """Leaves thinking out of the body of a Messages request that another model has had.

    An answer that calls tools must begin with its thinking where there is to be thinking on; so there is none until
    the running calls are over, where that was left out.
    """
    turns = body.get("messages")
    if not isinstance(turns, list) or not any(map(_is_thought, blocks_in(turns))):
        return
    kept: list[Any] = []
    place = 0
    for turn in turns:
        if isinstance(turn, Mapping) and turn.get("role") == "assistant":
            if isinstance(turn.get("content"), list):
                is_foreign = query.is_foreign(place, mind)
                content = [
                    block
                    for block in turn["content"]
                    if not _is_thought(block) or not (is_foreign or _is_unsigned(block))
                ]
                if len(content) < len(turn["content"]):
                    turn = {**turn, "content": content}
            place += 1
            if turn.get("content") == []:  # an answer that was cut off while it was thought of; none may be empty
                continue
        kept.append(turn)
    body["messages"] = kept
    if (body.get("thinking") or {}).get("type") == "enabled" and _calls_without_thought(kept):
        del body["thinking"]


def is_about_signatures(said: str, body: Mapping[str, Any]) -> bool:
    """Returns whether a refusal is about thinking of earlier answers, and the body of the request has any."""
    return bool(_SIGNATURE.search(said)) and any(map(_is_thought, blocks_in(body.get("messages"))))


def blocks_in(turns: Any) -> list[Any]:
    """Returns the blocks of every turn of a Messages request."""
    contents = [turn.get("content") for turn in turns or () if isinstance(turn, Mapping)]
    return [block for content in contents if isinstance(content, list) for block in content]


def _calls_without_thought(turns: Sequence[Any]) -> bool:
    """Returns whether the last answer calls tools, has its results, and does not begin with thinking."""
    if len(turns) < 2 or turns[-1].get("role") != "user" or not isinstance(turns[-2].get("content"), list):
        return False
    content = turns[-2]["content"]
    calls = any(isinstance(block, Mapping) and block.get("type") == "tool_use" for block in content)
    return calls and not _is_thought(content[0])


def _is_thought(block: Any) -> bool:
    return isinstance(block, Mapping) and block.get("type") in ("thinking", "redacted_thinking")


def _is_unsigned(block: Mapping[str, Any]) -> bool:
    return block.get("type") == "thinking" and not block.get("signature")
