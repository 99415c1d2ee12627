"""One question with its answer and two ways of thinking about it, and how numbers are put into words."""

from __future__ import annotations

import random
from dataclasses import dataclass

LEVELS = (1, 2, 3, 4, 5, 6)  # easiest to hardest, the generator's own knob

_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_P_SPELLED = 0.12  # share of the questions whose small numbers are in words


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question. Where `draft` or `steps` is empty there is nothing to think about, and the answer comes at once."""

    task: str
    level: int
    question: str
    answer: str
    draft: str  # compact chain of thought: intermediate results only
    steps: str  # full chain of thought


class Speller:
    """Writes the numbers of one question: all in digits, or the small ones in words."""

    def __init__(self, rng: random.Random) -> None:
        self._is_spelled = rng.random() < _P_SPELLED

    def __call__(self, number: int) -> str:
        """Returns the number as this question writes it."""
        return in_words(number) if self._is_spelled and 0 <= number < 100 else str(number)


def in_words(number: int) -> str:
    """Returns a number from 0 to 99 in English words."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def number_of(rng: random.Random, n_digits: int) -> int:
    """Returns a random number with that many digits; with one digit, 0 to 9."""
    return rng.randint(0, 9) if n_digits == 1 else rng.randint(10 ** (n_digits - 1), 10**n_digits - 1)
