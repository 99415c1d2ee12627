"""Splits `<think>...</think>` from the answer while the text is still coming."""

from __future__ import annotations

from typing import Literal

OPENING = "<think>"
CLOSING = "</think>"


class ThinkSplitter:
    """Takes text in pieces of any size and gives it back as (reasoning, answer) pieces.

    Only thinking at the start of the text counts: a later `<think>` is part of the answer, as one that
    the answer quotes is. `starts_inside` is for templates that already wrote the opening tag; an
    opening tag that comes all the same is dropped. Thinking that is never closed is all reasoning.
    White space next to the tags belongs to neither side.

    >>> splitter = ThinkSplitter()
    >>> splitter.feed("<thi"), splitter.feed("nk>17 * 2</think>\\n34"), splitter.close()
    (('', ''), ('17 * 2', '34'), ('', ''))
    """

    __slots__ = ("_held", "_place", "_starts_inside", "has_split")

    def __init__(self, *, starts_inside: bool = False) -> None:
        self._starts_inside = starts_inside
        self.has_split = starts_inside  # whether the text holds more than the answer
        self._held = ""  # text whose meaning depends on what comes next
        self._place: Literal["start", "opened", "reasoning", "closed", "answer"] = "start"

    @property
    def is_inside(self) -> bool:
        """Whether the text so far ends within thinking."""
        return self._place in ("opened", "reasoning") or (self._place == "start" and self._starts_inside)

    def feed(self, text: str) -> tuple[str, str]:
        """Returns the reasoning and the answer that are certain after `text`; either may be empty."""
        if self._place == "answer":
            return "", text
        self._held += text
        if self._place == "start" and not self._read_start():
            return "", ""
        if self._place == "opened":
            self._held = self._held.lstrip()
            if self._held:
                self._place = "reasoning"
        reasoning = self._read_reasoning() if self._place == "reasoning" else ""
        if self._place == "closed":
            self._held = self._held.lstrip()
            if self._held:
                self._place = "answer"
        if self._place != "answer":
            return reasoning, ""
        answer, self._held = self._held, ""
        return reasoning, answer

    def close(self) -> tuple[str, str]:
        """Returns what was held back: the text has ended, and half a tag is just text."""
        held, self._held = self._held, ""
        if self._place == "reasoning" or (self._place == "start" and self._starts_inside):
            return held.strip() if self._place == "start" else held.rstrip(), ""
        return "", held

    def _read_start(self) -> bool:
        """Returns whether it is certain by now that the text does or does not open with thinking."""
        body = self._held.lstrip()
        if body.startswith(OPENING):
            self._held = body[len(OPENING) :]
            self._place = "opened"
            self.has_split = True
            return True
        if OPENING.startswith(body):  # also when nothing but white space came yet
            return False
        self._place = "opened" if self._starts_inside else "answer"
        return True

    def _read_reasoning(self) -> str:
        """Returns the certain part of the thinking; half a closing tag waits, with the white space before it."""
        before, closing, after = self._held.partition(CLOSING)
        if closing:
            self._held = after
            self._place = "closed"
            return before.rstrip()
        certain = before[: len(before) - _overlap(before, CLOSING)].rstrip()
        self._held = before[len(certain) :]
        return certain


def _overlap(text: str, tag: str) -> int:
    """Returns how many characters at the end of `text` could be the beginning of `tag`."""
    for size in range(min(len(tag) - 1, len(text)), 0, -1):
        if text.endswith(tag[:size]):
            return size
    return 0
