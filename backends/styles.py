"""Prompt styles: what a backend is told about how to reason, beside the query itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .types import Message, Query

PLAIN = "plain"  # the query as it came
STYLES: Mapping[str, str] = {
    PLAIN: "",
    "direct": "Give the answer alone, without any working or explanation.",
    # Chain of Draft: Xu et al. 2025, arXiv:2502.18600.
    "draft": "Work in notes: one line a step, a handful of words or one equation each, no full sentences. "
    "Put the answer on a last line of its own.",
}
# Token-budget prompts: Han et al. 2024 (TALE), arXiv:2412.18547.
_BUDGET = re.compile(r"budget-([1-9]\d{0,5})", re.ASCII)
_BUDGET_TEXT = "Keep all of your working within {} tokens, then give the answer."
KNOWN = f"{', '.join(STYLES)}, budget-N for N tokens of working, or {{name: instruction}}"


def instruction_of(style: str) -> str | None:
    """Returns what a built-in style tells a model, "" where that is nothing; None where there is no such style.

    >>> instruction_of("budget-50")
    'Keep all of your working within 50 tokens, then give the answer.'
    """
    budget = _BUDGET.fullmatch(style)
    return _BUDGET_TEXT.format(budget[1]) if budget else STYLES.get(style)


def instructed(query: Query, instruction: str) -> Query:
    """Returns the query with an instruction at the end of its system message, in the words it came in too."""
    original = query.original_in("messages")  # sent as it came, where chat completions are made of our own messages
    if original is not None:
        body = {**original.body, "system": _appended(original.body.get("system"), instruction)}
        query = replace(query, original=replace(original, body=body))
    return replace(query, messages=_with_system(query.messages, instruction))


def _with_system(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    """Returns chat messages with the instruction at the end of the first system message, or as one of its own."""
    for place, message in enumerate(messages):
        if message["role"] in ("system", "developer"):
            told = {**message, "content": _appended(message.get("content"), instruction)}
            return (*messages[:place], told, *messages[place + 1 :])
    return ({"role": "system", "content": instruction}, *messages)


def _appended(content: Any, instruction: str) -> Any:
    """Returns text, or a list of parts, with the instruction at its end."""
    if isinstance(content, list | tuple):
        return [*content, {"type": "text", "text": instruction}]
    return f"{content}\n\n{instruction}" if content else instruction
