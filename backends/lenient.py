"""Replies of servers that write JSON as Python or JavaScript do: `NaN`, and half of a character that is two there."""

from __future__ import annotations

import json
from typing import Any

import orjson


def read_json(data: bytes) -> Any:
    """Returns the value that providers' own clients would read.

    In the texts in it there may be halves of surrogate pairs, see `Halves`; bytes that are no UTF-8 are replaced.

    Raises:
        JSONDecodeError: they would not read any.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        try:
            return json.loads(data.decode("utf-8-sig", "replace"))
        except (ValueError, RecursionError):
            raise error from None


def has_halves(value: Any) -> bool:
    """Returns whether there are halves of surrogate pairs in the texts of a JSON value."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


class Halves:
    """Joins halves of surrogate pairs that come in different pieces of a text; one that stays alone is replaced.

    >>> halves = Halves()
    >>> halves.feed("a \\ud83d"), halves.feed("\\ude00 b \\ud83d"), halves.close()
    ('a ', '😀 b ', '�')
    """

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Returns what is whole by now."""
        text = self._held + text
        self._held = text[-1] if text and "\ud800" <= text[-1] < "\udc00" else ""
        return whole(text.removesuffix(self._held))

    def close(self) -> str:
        """Returns what was held back: nothing more comes."""
        held, self._held = self._held, ""
        return whole(held)


def whole(text: str) -> str:
    """Returns a text in which halves that belong together are joined, and the others replaced."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
