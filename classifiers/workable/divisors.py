"""Greatest common divisors and least common multiples."""

from __future__ import annotations

import math
import re

from .right import Value
from .wording import in_digits, runs_of_numbers, words_in

_DIVISOR = re.compile(
    r"\b(?:greatest|highest|largest|biggest) common (?:divisor|factor)|\bgcd\b|\bgcf\b|\bhcf\b"
    r"|\b(?:greatest|highest|largest|biggest) (?:whole )?(?:number|integer) that divides (?:both|all)\b"
)
_MULTIPLE = re.compile(
    r"\b(?:least|lowest|smallest) common multiple|\blcm\b"
    r"|\b(?:least|lowest|smallest) (?:positive |whole )*(?:number|integer) (?:that is )?divisible by (?:both|all)?\b"
)
_WORDS = frozenset(("common", "divides", "divisible", "gcd", "gcf", "hcf", "lcm"))
_OTHERWISE = re.compile(
    r"\b(?:plus|minus|sum|product|difference|times|twice|half|double|squared?|many|not|but|exceeds|above|over"
    r"|than)\b|\d ?[-+*/] ?\d"
)
_MOST_DIGITS = 15


def common_divisor(question: str) -> Value | None:
    """Returns the greatest common divisor, or the least common multiple, of the only list of numbers in a question.

    >>> common_divisor("find gcd(12, 18)."), common_divisor("what is the least common multiple of 4 and 6?")
    (Value(number=6.0), Value(number=12.0))
    """
    if words_in(question).isdisjoint(_WORDS) or _OTHERWISE.search(question):
        return None
    is_divisor, is_multiple = bool(_DIVISOR.search(question)), bool(_MULTIPLE.search(question))
    if is_divisor == is_multiple:
        return None
    lists = runs_of_numbers(in_digits(question))
    if len(lists) != 1 or not all(0 < number < 10**_MOST_DIGITS and number == int(number) for number in lists[0]):
        return None
    whole = [int(number) for number in lists[0]]
    value = math.gcd(*whole) if is_divisor else math.lcm(*whole)
    return Value(number=float(value)) if value < 10**_MOST_DIGITS else None
