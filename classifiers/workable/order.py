"""Numbers to put in order."""

from __future__ import annotations

import re

from .right import Listing
from .wording import in_digits, runs_of_numbers, words_in

_ASKED = re.compile(r"\b(?:sort|arrange)\b|\bin (?!what\b|which\b)(?:\w+ )?order\b(?! to\b)")
_SMALL = ("smallest", "lowest", "least", "small", "low", "smaller", "lower")
_LARGE = ("largest", "biggest", "highest", "greatest", "large", "high")
_LEAST, _MOST = f"(?:{'|'.join(_SMALL)})", f"(?:{'|'.join(_LARGE)})"
_UP, _DOWN = ("ascending", "increasing", "rising"), ("descending", "decreasing", "falling")
_WORDS = frozenset(("sort", "arrange", "order", *_UP, *_DOWN, *_SMALL, *_LARGE))
_RISING = re.compile(rf"\b(?:{'|'.join(_UP)}|{_LEAST} (?:to|first)|from {_LEAST}|start\w* with the {_LEAST})\b")
_FALLING = re.compile(rf"\b(?:{'|'.join(_DOWN)}|{_MOST} (?:to|first)|from {_MOST}|start\w* with the {_MOST})\b")
_OTHERWISE = re.compile(
    r"\b(?:absolute|magnitude|distance|reverse|backwards|distinct|unique|digits|even|odd|prime|median|mean"
    r"|average|sum|second|middle|remove|alphabetical(?:ly)?|form|make|price|code|query|non|not|ways)\b"
)
_SIZES = frozenset((*_SMALL, *_LARGE))


def in_order(question: str) -> Listing | None:
    """Returns the numbers of the only list in the question in the order asked for, the smallest first unless told.

    >>> in_order("sort 5, 3, 8 from high to low.")
    Listing(numbers=(8.0, 5.0, 3.0))
    """
    words = words_in(question)
    if words.isdisjoint(_WORDS) or _OTHERWISE.search(question):
        return None
    is_rising, is_falling = bool(_RISING.search(question)), bool(_FALLING.search(question))
    # Where sizes are spoken of in another way, such as "the largest on top", it is not known which way.
    is_plain = words.isdisjoint(_SIZES) and bool(_ASKED.search(question))
    if (is_rising and is_falling) or not (is_rising or is_falling or is_plain):
        return None
    lists = runs_of_numbers(in_digits(question))
    if len(lists) != 1:
        return None
    return Listing(numbers=tuple(sorted(lists[0], reverse=is_falling)))
