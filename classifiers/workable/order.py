"""Numbers to put in order."""

from __future__ import annotations

import re

from .right import Listing
from .wording import in_digits, runs_of_numbers

_ASKED = re.compile(r"\b(?:sort|arrange)\b|\bin (?:\w+ )?order\b")
_LEAST, _MOST = r"(?:smallest|lowest|least|small|low|smaller|lower)", r"(?:largest|biggest|highest|greatest|large|high)"
_RISING = re.compile(
    rf"\b(?:ascending|increasing|rising|{_LEAST} (?:to|first)|from {_LEAST}|start\w* with the {_LEAST})\b"
)
_FALLING = re.compile(
    rf"\b(?:descending|decreasing|falling|{_MOST} (?:to|first)|from {_MOST}|start\w* with the {_MOST})\b"
)
_OTHERWISE = re.compile(r"\b(?:absolute|reverse|distinct|unique|digits|even|odd|prime|median|mean|average|sum)\b")


def in_order(question: str) -> Listing | None:
    """Returns the numbers of the only list in the question in the order asked for, the smallest first unless told.

    >>> in_order("sort 5, 3, 8 from high to low.")
    Listing(numbers=(8.0, 5.0, 3.0))
    """
    is_rising, is_falling = bool(_RISING.search(question)), bool(_FALLING.search(question))
    if not (is_rising or is_falling or _ASKED.search(question)) or _OTHERWISE.search(question):
        return None
    lists = runs_of_numbers(in_digits(question))
    if len(lists) != 1 or (is_rising and is_falling):
        return None
    return Listing(numbers=tuple(sorted(lists[0], reverse=is_falling)))
