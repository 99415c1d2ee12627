"""Numbers to put in order."""

from __future__ import annotations

import re

from .right import Listing
from .wording import in_digits, runs_of_numbers, words_in

_ASKED = re.compile(r"\b(?:sort|arrange)\b|\bin (?:\w+ )?order\b")
_SMALL = ("smallest", "lowest", "least", "small", "low", "smaller", "lower")
_LARGE = ("largest", "biggest", "highest", "greatest", "large", "high")
_LEAST, _MOST = f"(?:{'|'.join(_SMALL)})", f"(?:{'|'.join(_LARGE)})"
_UP, _DOWN = ("ascending", "increasing", "rising"), ("descending", "decreasing", "falling")
_WORDS = frozenset(("sort", "arrange", "order", *_UP, *_DOWN, *_SMALL, *_LARGE))
_RISING = re.compile(rf"\b(?:{'|'.join(_UP)}|{_LEAST} (?:to|first)|from {_LEAST}|start\w* with the {_LEAST})\b")
_FALLING = re.compile(rf"\b(?:{'|'.join(_DOWN)}|{_MOST} (?:to|first)|from {_MOST}|start\w* with the {_MOST})\b")
_OTHERWISE = re.compile(r"\b(?:absolute|reverse|distinct|unique|digits|even|odd|prime|median|mean|average|sum)\b")


def in_order(question: str) -> Listing | None:
    """Returns the numbers of the only list in the question in the order asked for, the smallest first unless told.

    >>> in_order("sort 5, 3, 8 from high to low.")
    Listing(numbers=(8.0, 5.0, 3.0))
    """
    if words_in(question).isdisjoint(_WORDS):
        return None
    is_rising, is_falling = bool(_RISING.search(question)), bool(_FALLING.search(question))
    if not (is_rising or is_falling or _ASKED.search(question)) or _OTHERWISE.search(question):
        return None
    lists = runs_of_numbers(in_digits(question))
    if len(lists) != 1 or (is_rising and is_falling):
        return None
    return Listing(numbers=tuple(sorted(lists[0], reverse=is_falling)))
