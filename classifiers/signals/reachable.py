"""Whether a final number can be made of the numbers in the question at all."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from ...backends import Completion, Query
from ..final_answer import final_answer
from ..workable.wording import in_digits, words_in

_MAX_CHARACTERS = 600  # of a question; what is longer has too many numbers for this to tell anything
_MOST_NUMBERS = 7
_MOST_VALUES, _GROWTH = 1000, 6  # of more, hardly one tells anything; each number makes some six times as many
_MEANT = {"half": 2.0, "twice": 2.0, "double": 2.0, "doubled": 2.0, "triple": 3.0, "tripled": 3.0}
_MEANT |= {"third": 3.0, "quarter": 4.0, "dozen": 12.0}
_IN_DIGITS = r"\d(?<![\w.]\d)\d*(?:,\d{3})*(?:\.\d+)?(?!\w)"  # a digit first: it is quickly found
_DIGITS = re.compile(_IN_DIGITS)
_NUMBER = re.compile(rf"{_IN_DIGITS}|\b(?:{'|'.join(_MEANT)})\b")
_N_WAYS = 5  # of two numbers: their sum, difference, product, and both quotients
_ROUNDED_BY = 1e-6  # relative; more than seven digits leave out


class ReachableSignal:
    """Whether the final number comes out of the question's numbers, taken in their order, by adding, subtracting,
    multiplying and dividing, some left out; how many of them it takes at most, and in how many ways they can be taken.

    A slip in a sum seldom ends at a number that comes out, where few do.
    """

    names = ("is_reachable", "share_used", "log_ways")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the question has no two numbers, or too many, or the
        answer none.
        """
        reach = _reach_of(query.text) if len(query.text) <= _MAX_CHARACTERS else None  # no other is kept
        answer = final_answer(completion) if reach is not None else None
        if reach is None or answer is None or answer.kind != "number":
            return (math.nan,) * len(self.names)
        n_used = reach.most_used(_rounded(abs(float(answer.value))))
        return float(n_used > 0), n_used / reach.n_numbers if n_used else math.nan, math.log(reach.n_ways)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Join:
    """A number, how many of the question's it is made of, and the values that it is taken together with."""

    number: float
    n_used: int
    values: Mapping[float, int]  # with how many of the question's numbers each takes at most

    def most_used(self, wanted: float) -> int:
        """Returns how many of the question's numbers what is wanted takes at most, 0 where it does not come out."""
        number, n_more = self.number, self.n_used
        most, near = n_more if number == wanted else 0, wanted * _ROUNDED_BY
        for value, n_used in self.values.items():
            if n_used + n_more > most and (
                value + number == wanted
                or abs(value - number) == wanted
                or value * number == wanted
                # Few quotients are near enough to be worth rounding.
                or (number and abs(value / number - wanted) <= near and _rounded(value / number) == wanted)
                or (value and abs(number / value - wanted) <= near and _rounded(number / value) == wanted)
            ):
                most = n_used + n_more
        return most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reach:
    """What comes out of a question's numbers, but for what the last one joins: that is most, and looked for instead."""

    values: Mapping[float, int]  # what comes out without the last, with how many numbers each takes at most
    joins: tuple[_Join, ...]  # of the last one
    n_numbers: int

    @property
    def n_ways(self) -> int:
        """In how many ways the numbers can be taken, those that come to the same up to the last one counted once."""
        return len(self.values) + sum(1 + _N_WAYS * len(join.values) for join in self.joins)

    def most_used(self, wanted: float) -> int:
        """Returns how many of the numbers what is wanted takes at most, 0 where it does not come out."""
        return max(self.values.get(wanted, 0), *(join.most_used(wanted) for join in self.joins))


@lru_cache(maxsize=16)  # every answer to a question asks
def _reach_of(question: str) -> _Reach | None:
    """Returns what comes out of the numbers of a question; None where there are too few or too many."""
    lowered = question.lower()
    pattern = _DIGITS if words_in(lowered).isdisjoint(_MEANT) else _NUMBER
    found = pattern.findall(in_digits(lowered))
    if not 2 <= len(found) <= _MOST_NUMBERS:
        return None
    numbers = [_MEANT[one] if one in _MEANT else float(one.replace(",", "")) for one in found]
    before: dict[float, int] = {}  # what comes out of the numbers up to the last but one, and of how many at most
    values: dict[float, int] = {}  # up to the last one
    joins: tuple[_Join, ...] = ()
    for place, number in enumerate(numbers):
        if len(values) * _GROWTH ** (len(numbers) - place) > _MOST_VALUES:
            return None
        joins = (_Join(number=number, n_used=1, values=values),)
        if place:
            joins += (_Join(number=numbers[place - 1] * number, n_used=2, values=before),)  # 4 boxes of 6
        if place < len(numbers) - 1:
            grown = dict(values)
            for join in joins:
                _put(grown, join)
            before, values = values, grown
    return _Reach(values=values, joins=joins, n_numbers=len(numbers))


def _put(grown: dict[float, int], join: _Join) -> None:
    """Puts in a number, and what each of the values and it come to."""
    known, number, n_more = grown.get, join.number, join.n_used
    grown[number] = max(known(number, 0), n_more)
    for value, n_used in join.values.items():
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
