"""What a third party returns, held against the types: what the rest would trip over, or bill."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from .types import Chunk, Completion, Usage

_TEXTS = ("text", "reasoning")
_OF_TOKENS = ("logprobs", "reasoning_logprobs", "entropies", "margins")


def flaw_in_completion(completion: Completion) -> str | None:
    """Returns what is wrong with a completion, None where nothing is."""
    return _flaw_in_piece(completion, "the completion's") or _flaw_in_bill(completion) or _flaw_in_rest(completion)


def flaw_in_chunk(chunk: Chunk) -> str | None:
    """Returns what is wrong with a piece of a stream, None where nothing is."""
    flaw = _flaw_in_piece(chunk, "a chunk's")
    if flaw is not None or chunk.completion is None:
        return flaw
    if not isinstance(chunk.completion, Completion):
        return f"a chunk's completion is {kind_of(chunk.completion)}; expected a Completion"
    return flaw_in_completion(chunk.completion)


def _flaw_in_piece(piece: Completion | Chunk, whose: str) -> str | None:
    """Returns what is wrong with what both have."""
    for name in _TEXTS:
        if not isinstance(value := getattr(piece, name), str):
            return f"{whose} {name} is {kind_of(value)}; expected str"
    calls = piece.tool_calls
    if not isinstance(calls, tuple | list) or not all(isinstance(call, Mapping) for call in calls):
        return f"{whose} tool_calls are {calls!r:.200}; expected a tuple of mappings"
    for name in _OF_TOKENS:
        values = getattr(piece, name, None)
        if values is not None and not (isinstance(values, tuple | list) and all(map(_is_number, values))):
            return f"{whose} {name} are {values!r:.200}; expected a tuple of numbers"
    return None


def _flaw_in_bill(completion: Completion) -> str | None:
    usage, cost_usd = completion.usage, completion.cost_usd
    if not isinstance(usage, Usage) or not all(isinstance(each, int) and each >= 0 for each in astuple(usage)):
        return f"the completion's usage is {usage!r:.200}; expected a Usage of whole numbers from 0"
    if cost_usd is not None and not _is_amount(cost_usd):
        return f"the completion's cost_usd is {cost_usd!r:.60}; expected US dollars from 0, or None"
    return None


def _flaw_in_rest(completion: Completion) -> str | None:
    """Returns what is wrong with what a completion has besides."""
    for call in completion.tool_calls:
        function = call.get("function")
        said = [function.get("name"), function.get("arguments")] if isinstance(function, Mapping) else [None]
        if not all(isinstance(text, str) for text in (call.get("id"), *said)):
            return f"a tool call is {call!r:.200}; expected id and function, with the texts name and arguments"
    tokens = completion.tokens
    if tokens is not None and (
        not isinstance(tokens, tuple | list)
        or not all(isinstance(token, str) for token in tokens)
        or len(tokens) != len(completion.logprobs or ())
    ):
        return f"the completion's tokens are {tokens!r:.200}; expected a tuple of str, one for each of the logprobs"
    for name, took_s in (("latency_s", completion.latency_s), ("first_token_s", completion.first_token_s or 0.0)):
        if not _is_amount(took_s):
            return f"the completion's {name} is {took_s!r:.60}; expected seconds from 0"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < math.inf


def kind_of(value: object) -> str:
    """Returns the name of a value's type."""
    return type(value).__name__
