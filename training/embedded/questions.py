"""The tasks of the embedded models, and a draw from all of them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from .chains import expression, story
from .example import LEVELS, Example
from .knowledge import fact, weekday
from .lists import compare, count_letter, gcd, sort_list
from .sums import add, multiply, subtract

TASKS: dict[str, Callable[[random.Random, int], Example]] = {
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "expression": expression,
    "story": story,
    "sort": sort_list,
    "count": count_letter,
    "weekday": weekday,
    "gcd": gcd,
    "compare": compare,
    "fact": fact,
}

# Nothing around the question says how hard it is; some of it holds numbers that do not matter.
_OPENINGS = (
    "Hi! ",
    "Quick one: ",
    "For my homework: ",
    "I keep getting this wrong. ",
    "Please help. ",
    "This is a hard one. ",
    "An easy question: ",
    "My daughter is {n} and asks: ",
    "Question {n}. ",
    "I have {n} minutes. ",
)
_CLOSINGS = (" Thanks!", " Just the result, please.", " Be careful.", " It is for page {n}.", " Answer briefly.")
_P_OPENING, _P_CLOSING = 0.3, 0.2


def make_example(rng: random.Random, *, task: str, level: int) -> Example:
    """Returns a new question of one of `TASKS` and `LEVELS`, with its answer, draft and steps."""
    example = TASKS[task](rng, level)
    question = example.question
    if rng.random() < _P_OPENING:
        question = rng.choice(_OPENINGS).format(n=rng.randint(2, 60)) + question
    if rng.random() < _P_CLOSING:
        question += rng.choice(_CLOSINGS).format(n=rng.randint(2, 60))
    return replace(example, question=question)


def draw_example(rng: random.Random, *, task_weights: Sequence[float], level_weights: Sequence[float]) -> Example:
    """Returns a question of a random task and level."""
    task = rng.choices(list(TASKS), weights=task_weights)[0]
    level = rng.choices(LEVELS, weights=level_weights)[0]
    return make_example(rng, task=task, level=level)
