"""Whether a final number can be made of the numbers in the question at all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import lru_cache

from ...backends import Completion, Query
from ..final_answer import final_answer
from ..workable.wording import in_digits

_MAX_CHARACTERS = 600  # of a question; what is longer has too many numbers for this to tell anything
_MOST_NUMBERS = 7
_MOST_VALUES, _GROWTH = 1000, 6  # of more, hardly one tells anything; each number makes some six times as many
_MEANT = {"half": 2.0, "twice": 2.0, "double": 2.0, "doubled": 2.0, "triple": 3.0, "tripled": 3.0}
_MEANT |= {"third": 3.0, "quarter": 4.0, "dozen": 12.0}
_NUMBER = re.compile(rf"(?<![\w.])\d+(?:,\d{{3}})*(?:\.\d+)?(?!\w)|\b(?:{'|'.join(_MEANT)})\b")


class ReachableSignal:
    """Whether the final number comes out of the question's numbers, taken in their order, by adding, subtracting,
    multiplying and dividing, some left out; how many of them it takes at most, and how many numbers come out at all.

    A slip in a sum seldom ends at a number that comes out, where few do.
    """

    names = ("is_reachable", "share_used", "log_values")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the question has no two numbers, or too many, or the
        answer none.
        """
        is_short = len(query.text) <= _MAX_CHARACTERS  # no other is kept
        values, n_numbers = _values_of(query.text) if is_short else ({}, 0)
        answer = final_answer(completion) if values else None
        if answer is None or answer.kind != "number":
            return (math.nan,) * len(self.names)
        n_used = values.get(_rounded(abs(float(answer.value))))
        return float(n_used is not None), math.nan if n_used is None else n_used / n_numbers, math.log(len(values))


@lru_cache(maxsize=16)  # every answer to a question asks
def _values_of(question: str) -> tuple[Mapping[float, int], int]:
    """Returns the numbers that come out, with how many of the question's numbers each takes at most, and how many these
    are; none where there are too few or too many.
    """
    found = _NUMBER.findall(in_digits(question.lower()))
    if not 2 <= len(found) <= _MOST_NUMBERS:
        return {}, 0
    numbers = [_MEANT[one] if one in _MEANT else float(one.replace(",", "")) for one in found]
    before: dict[float, int] = {}  # what comes out of the numbers up to the last but one, and of how many at most
    values: dict[float, int] = {}  # up to the last one
    for place, number in enumerate(numbers):
        if len(values) * _GROWTH ** (len(numbers) - place) > _MOST_VALUES:
            return {}, 0
        grown = dict(values)
        _join(grown, values, number, 1)
        if place:
            _join(grown, before, numbers[place - 1] * number, 2)  # 4 boxes of 6
        before, values = values, grown
    return values, len(numbers)


def _join(grown: dict[float, int], values: Mapping[float, int], number: float, n_more: int) -> None:
    """Puts in a number, and what each of the values and it come to."""
    known = grown.get
    grown[number] = max(known(number, 0), n_more)
    for value, n_used in values.items():
        n_all = n_used + n_more
        made = [value + number, abs(value - number), value * number]
        if number:
            made.append(_rounded(value / number))
        if value:
            made.append(_rounded(number / value))
        for each in made:
            if known(each, 0) < n_all:
                grown[each] = n_all


def _rounded(value: float) -> float:
    """Returns a value to seven digits, as final answers are told; whole numbers in full."""
    return value if value.is_integer() else float(f"{value:.7g}")
