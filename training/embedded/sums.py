"""Addition, subtraction and multiplication, worked out as on paper."""

from __future__ import annotations

import random

from .example import Example, Speller, number_of

_P_DISGUISED = 0.12  # share of the sums that look hard for their digits and are not

_ADD = (
    "What is {a} + {b}?",
    "Add {a} and {b}.",
    "{a} + {b} =",
    "Please compute the sum of {a} and {b}.",
    "How much is {a} plus {b}?",
    "What do you get if you add {b} to {a}?",
    "I spent {a} dollars and then {b} dollars. What is the total?",
    "A parcel weighs {a} grams, another {b} grams. How many grams are both?",
)
_SUBTRACT = (
    "What is {a} - {b}?",
    "Subtract {b} from {a}.",
    "{a} - {b} =",
    "How much is {a} minus {b}?",
    "What is the difference between {a} and {b}?",
    "Take {b} away from {a}.",
    "Of {a} seats, {b} are taken. How many are free?",
    "I had {a} dollars and spent {b}. What is left?",
)
_MULTIPLY = (
    "What is {a} * {b}?",
    "Multiply {a} by {b}.",
    "{a} times {b} is what?",
    "Find the product of {a} and {b}.",
    "{a} * {b} =",
    "How much is {a} times {b}?",
    "There are {a} rows with {b} seats each. How many seats are there?",
    "One ticket costs {a} dollars. What do {b} tickets cost?",
)


def add(rng: random.Random, level: int) -> Example:
    """Returns a sum of two numbers, the longer with `level` digits."""
    a, b = number_of(rng, level), number_of(rng, max(1, level - rng.randint(0, 1)))
    if level > 2 and rng.random() < _P_DISGUISED:
        b = rng.choice((0, 1, 10 ** (level - 1)))
    columns, carry = [], 0
    for p, q in _columns(a, b):
        total = p + q + carry
        columns.append(f"{p}+{q}+{carry}={total:02d}")
        carry = total // 10
    say = Speller(rng)
    question = rng.choice(_ADD).format(a=say(a), b=say(b))
    return Example(task="add", level=level, question=question, answer=str(a + b), draft="", steps=";".join(columns))


def subtract(rng: random.Random, level: int) -> Example:
    """Returns a difference, never below 0."""
    a, b = number_of(rng, level), number_of(rng, max(1, level - rng.randint(0, 1)))
    if level > 2 and rng.random() < _P_DISGUISED:
        b = rng.choice((0, a, 10 ** (level - 1)))
    a, b = max(a, b), min(a, b)
    columns, borrow = [], 0
    for p, q in _columns(a, b):
        difference = p - q - borrow
        borrow = int(difference < 0)
        columns.append(f"{p}-{q}={difference % 10}b{borrow}")
    say = Speller(rng)
    question = rng.choice(_SUBTRACT).format(a=say(a), b=say(b))
    return Example(
        task="subtract", level=level, question=question, answer=str(a - b), draft="", steps=";".join(columns)
    )


def multiply(rng: random.Random, level: int) -> Example:
    """Returns a product: one digit by one, up to two by two."""
    n, m = ((1, 1), (2, 1), (2, 1), (3, 1), (2, 2), (2, 2))[level - 1]
    a, b = number_of(rng, n), number_of(rng, m)
    if level == 2:
        b = rng.randint(2, 5)
    elif level == 5:
        b = rng.randint(11, 30)
    if level > 2 and rng.random() < _P_DISGUISED:
        b = rng.choice((0, 1)) if m == 1 else 10 * rng.randint(1, 9)
    rows: list[int] = []
    steps = []
    for place, digit in enumerate(reversed(str(b))):
        row, weight = 0, int(digit) * 10**place
        for power, figure in reversed(list(enumerate(reversed(str(a))))):
            part = int(figure) * 10**power
            steps.append(f"{part}*{weight}={part * weight}")
            if row:
                steps.append(f"{row}+{part * weight}={row + part * weight}")
            row += part * weight
        if rows:
            steps.append(f"{sum(rows)}+{row}={sum(rows) + row}")
        rows.append(row)
    say = Speller(rng)
    question = rng.choice(_MULTIPLY).format(a=say(a), b=say(b))
    draft = "+".join(map(str, rows)) if len(rows) > 1 else ""
    return Example(
        task="multiply", level=level, question=question, answer=str(a * b), draft=draft, steps=";".join(steps)
    )


def _columns(a: int, b: int) -> list[tuple[int, int]]:
    """Returns the digits of both in columns, ones first; b has no more digits than a or is padded, as a is."""
    width = max(len(str(a)), len(str(b)))
    return [(int(p), int(q)) for p, q in zip(f"{a:0{width}d}"[::-1], f"{b:0{width}d}"[::-1], strict=True)]
