"""Prompt styles: what a backend is told about how to reason, beside the query itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .errors import InvalidRequest
from .types import Message, Query

PLAIN = "plain"  # the query as it came
CHECK_DRAFT = "check_draft"  # with another backend's answer, see `with_draft`
STYLES: Mapping[str, str] = {
    PLAIN: "",
    "direct": "Give the answer alone, without any working or explanation.",
    # Chain of Draft: Xu et al. 2025, arXiv:2502.18600.
    "draft": "Work in notes: one line a step, a handful of words or one equation each, no full sentences. "
    "Put the answer on a last line of its own.",
    CHECK_DRAFT: "The last message ends with a draft of the answer to it, by somebody who may be mistaken. Check the "
    "draft, correct what is wrong, and answer in full, as if there had been no draft.",
}
_DRAFT = "Draft of the answer, to be checked:\n\n<draft>\n{}\n</draft>"
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


def with_draft(query: Query) -> Query:
    """Returns the query with its draft at the end of the last message, in the words it came in too.

    Raises:
        InvalidRequest: it has no draft.
    """
    if query.draft is None:
        raise InvalidRequest("this backend checks drafts, and there is none; it is asked after another one only")
    draft = draft_text(query.draft)
    original = query.original_in("messages")
    if original is not None:
        body = {**original.body, "messages": list(_with_last(original.body["messages"], draft))}
        query = replace(query, original=replace(original, body=body))
    return replace(query, messages=_with_last(query.messages, draft))


def draft_text(draft: str) -> str:
    """Returns what a backend that checks drafts reads of one."""
    return _DRAFT.format(draft)


def _with_last(messages: Sequence[Message], text: str) -> tuple[Message, ...]:
    """Returns messages with the text at the end of the last one: a message of its own would be the second of its role
    in a row, which not all models take.
    """
    *others, last = messages
    return (*others, {**last, "content": _appended(last.get("content"), text)})


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
