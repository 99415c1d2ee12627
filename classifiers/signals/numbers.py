"""The numbers that a text writes, and those of whole answers and questions read once for all signals."""

from __future__ import annotations

import re
from functools import lru_cache

from ...backends import Query
from ..question import question_of

_MAX_QUESTION = 20_000  # characters
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")


def numbers_in(text: str) -> list[str]:
    """Returns the numbers as they are written, but without commas.

    >>> numbers_in("-5 degrees, 1,200.50 dollars")
    ['-5', '1200.50']
    """
    found = _NUMBER.findall(text)
    return [number.replace(",", "") for number in found] if "," in text else found


@lru_cache(maxsize=16)  # several signals ask, and of a question every answer to it
def kept_numbers(text: str) -> tuple[float, ...]:
    """Returns the numbers of a question or an answer; infinity for those of more digits than a float can hold."""
    return tuple(map(float, numbers_in(text)))


def asks_with_numbers(query: Query) -> bool:
    """Returns whether there are numbers in what a query asks."""
    return bool(kept_numbers(question_of(query)[:_MAX_QUESTION]))
