"""How answers come about: a working step by step, and the slips that lead to wrong ones."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """One way to an answer, right or wrong."""

    steps: tuple[str, ...]
    answer: str


Made = tuple[str, Solution, list[Solution]]  # text, the right solution, wrong ones


# Working in numbers: a solution is a function that calls `Working.step` for each operation.

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "//": operator.floordiv,
    "mod": operator.mod,
}


class Working:
    """Calculates and writes down each step; at step `slip_at` the result is a plausible slip."""

    def __init__(self, rng: random.Random, slip_at: int | None = None) -> None:
        self.steps: list[str] = []
        self._rng = rng
        self._slip_at = slip_at

    def step(self, left: int, sign: str, right: int) -> int:
        """Returns the result of one operation, or of getting it wrong."""
        result = _OPERATIONS[sign](left, right)
        if len(self.steps) == self._slip_at:
            result = slip(self._rng, result)
        self.steps.append(f"{left} {'/' if sign == '//' else sign} {right} = {result}")
        return result


def slip(rng: random.Random, value: int) -> int:
    """Returns a number that one may get in place of `value`: off by a little, a carry lost, digits swapped."""
    candidates = [value + 1, value - 1, value + 2, value + 10, value - 10]
    if abs(value) > 200:
        candidates += [value + 100, value - 100]
    digits = str(abs(value))
    position = rng.randrange(len(digits))
    swapped = digits[:position] + digits[position : position + 2][::-1] + digits[position + 2 :]
    candidates.append(int(swapped) if value >= 0 else -int(swapped))
    return rng.choice([number for number in candidates if number != value and (number >= 0 or value < 0)])


_Solve = Callable[[Working], int]


def solved(rng: random.Random, solve: _Solve, misreadings: Sequence[_Solve] = ()) -> tuple[Solution, list[Solution]]:
    """Returns the right solution, and one for a slip at every step and for every misreading."""

    def run(solve: _Solve, slip_at: int | None = None) -> Solution:
        working = Working(rng, slip_at)
        answer = solve(working)
        return Solution(steps=tuple(working.steps), answer=str(answer))

    right = run(solve)
    wrong = [run(solve, slip_at) for slip_at in range(len(right.steps))]
    return right, wrong + [run(misread) for misread in misreadings]
