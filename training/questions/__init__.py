"""Questions with computed answers, in many kinds and five levels, and the slips that lead to wrong ones."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from .numeric import arithmetic, digits_and_divisors, units, word_problem
from .solving import Made, Solution
from .worded import code, dates, logic, strings

LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question; the answers of `wrong`, at least one, all differ from the right one."""

    kind: str
    level: int
    text: str
    right: Solution
    wrong: tuple[Solution, ...]


def make_question(rng: random.Random, *, kind: str, level: int) -> Question:
    """Returns a new question of one of `KINDS` and `LEVELS`."""
    while True:
        text, right, slipped = KINDS[kind](rng, level)
        wrong = tuple(solution for solution in slipped if solution.answer != right.answer)
        if wrong:  # a slip on the way to a greatest common divisor of 1, say, often does no harm
            return Question(kind=kind, level=level, text=_worded(rng, text), right=right, wrong=wrong)


_OPENINGS = ("", "", "", "Hi! ", "Quick one: ", "For my homework: ", "I keep getting this wrong. ", "Please help. ")
_CLOSINGS = ("", "", "", " Show your working.", " Just the result, please.", " Explain briefly.", " Thanks!")


def _worded(rng: random.Random, text: str) -> str:
    return rng.choice(_OPENINGS) + text + rng.choice(_CLOSINGS)


KINDS: dict[str, Callable[[random.Random, int], Made]] = {
    "arithmetic": arithmetic,
    "units": units,
    "word problem": word_problem,
    "numbers": digits_and_divisors,
    "code": code,
    "strings": strings,
    "dates": dates,
    "logic": logic,
}
