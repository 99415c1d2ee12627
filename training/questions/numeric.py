"""Questions that are worked out in numbers: expressions, units, stories, digits and divisors."""

from __future__ import annotations

import random

from .solving import Made, Working, solved

_Expression = int | tuple["_Expression", str, "_Expression"]


def arithmetic(rng: random.Random, level: int) -> Made:
    """Returns an expression to evaluate."""

    def number() -> int:
        return rng.randint(2, (9, 30, 60, 99, 400)[level - 1] * rng.choice((1, 1, 2)))

    def tree(n_operations: int) -> _Expression:
        if n_operations == 0:
            return number()
        n_left = rng.randrange(n_operations)
        sign = rng.choice("++-*" if level > 1 else "+-")
        return (tree(n_left), sign, tree(n_operations - 1 - n_left))

    def render(expression: _Expression) -> str:
        if isinstance(expression, int):
            return str(expression)
        left, sign, right = (render(part) if not isinstance(part, str) else part for part in expression)
        if sign == "*" and isinstance(expression[0], tuple) and expression[0][1] != "*":
            left = f"({left})"
        if sign != "+" and isinstance(expression[2], tuple) and not (sign == "*" == expression[2][1]):
            right = f"({right})"
        return f"{left} {sign} {right}"

    def evaluate(working: Working, expression: _Expression) -> int:
        if isinstance(expression, int):
            return expression
        left, sign, right = expression
        return working.step(evaluate(working, left), sign, evaluate(working, right))

    expression = tree(level if level < 3 else rng.randint(level - 1, level + 1))
    shown = render(expression)
    if rng.random() < 0.4:
        shown = shown.replace("*", "×")
    asked = rng.choice(("What is {}?", "Compute {}.", "Work out {}", "What do I get for {}?", "Evaluate {} for me."))
    right, wrong = solved(rng, lambda working: evaluate(working, expression))
    return asked.format(shown), right, wrong


# For each unit how many of the next, and how many one may wrongly think there are.
_UNITS: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("weeks", 7, 5), ("days", 24, 12), ("hours", 60, 100), ("minutes", 60, 100), ("seconds", 0, 0)),
    (("miles", 1760, 1000), ("yards", 3, 4), ("feet", 12, 10), ("inches", 0, 0)),
    (("TiB", 1024, 1000), ("GiB", 1024, 1000), ("MiB", 1024, 1000), ("KiB", 0, 0)),
    (("gallons", 4, 5), ("quarts", 2, 3), ("pints", 2, 3), ("cups", 16, 12), ("tablespoons", 0, 0)),
    (("gross", 12, 10), ("dozens", 12, 10), ("pieces", 0, 0)),
)


def units(rng: random.Random, level: int) -> Made:
    """Returns a quantity to convert and add up."""
    ladder = rng.choice(_UNITS)
    n_steps = min(rng.randint((level + 1) // 2, level), len(ladder) - 1)
    first = rng.randrange(len(ladder) - n_steps)
    rungs = ladder[first : first + n_steps + 1]
    amounts = [rng.randint(2, 4 * 3**level)]
    amounts += [rng.randint(1, 6) if level > 2 and rng.random() < 0.7 else 0 for _ in rungs[1:]]

    def convert(working: Working, misread: int | None = None) -> int:
        total = amounts[0]
        for index in range(n_steps):
            total = working.step(total, "*", rungs[index][2] if index == misread else rungs[index][1])
            if amounts[index + 1]:
                total = working.step(total, "+", amounts[index + 1])
        return total

    amount = " and ".join(f"{amount} {rung[0]}" for amount, rung in zip(amounts, rungs, strict=True) if amount)
    asked = rng.choice(
        ("Convert {} to {}.", "How much is {} in {}?", "{} - how many {} is that?", "Express {} in {}, please.")
    )
    misreadings = [lambda working, index=index: convert(working, index) for index in range(n_steps)]
    right, wrong = solved(rng, convert, misreadings)
    return asked.format(amount, rungs[-1][0]), right, wrong


PEOPLE = ("Mara", "Jonas", "Priya", "Tomas", "Aiko", "Lena", "Omar", "Ines", "Kofi", "Wren")
_THINGS = ("apples", "stamps", "marbles", "tickets", "seedlings", "postcards", "candles", "bolts", "shells")


def word_problem(rng: random.Random, level: int) -> Made:
    """Returns a story about buying, sharing and counting."""
    person, friend = rng.sample(PEOPLE, 2)
    things = rng.choice(_THINGS)
    size = 6 * 2**level
    start = rng.randint(size, 4 * size)
    told = [f"{person} has {start} {things}."]
    events: list[tuple[str, int, int]] = []
    held = start
    for _ in range(rng.randint(level, level + 1)):
        a, b = rng.randint(2, 3 + 2 * level), rng.randint(3, 4 + 3 * level)
        can_halve, can_give = held % 2 == 0 and held > 2, held > b
        event = rng.choice(["buy", "receive"] + ["halve"] * can_halve + ["give"] * can_give)
        if event == "buy":
            told.append(rng.choice(("{} buys {} boxes of {}.", "Then {} orders {} packs with {} each.")))
            told[-1] = told[-1].format(person, a, b)
            held += a * b
        elif event == "give":
            told.append(rng.choice(("{1} gets {0} of them.", "{2} gives {0} to {1}.")).format(b, friend, person))
            held -= b
        elif event == "receive":
            told.append(f"{friend} brings another {b}.")
            held += b
        else:
            told.append(rng.choice(("Half of them are sold.", f"{person} keeps only half.")))
            held //= 2
        events.append((event, a, b))
    if rng.random() < 0.5:
        told.insert(
            rng.randrange(1, len(told)), rng.choice(("{} is {} years old.", "{} lives at number {}.")).format(friend, a)
        )

    def count(working: Working, skipped: int | None = None) -> int:
        held = start
        for index, (event, a, b) in enumerate(events):
            if index == skipped:
                continue
            if event == "buy":
                held = working.step(held, "+", working.step(a, "*", b))
            elif event == "halve":
                held = working.step(held, "//", 2)
            else:
                held = working.step(held, "-" if event == "give" else "+", b)
        return held

    misreadings = [lambda working, index=index: count(working, index) for index in range(len(events))]
    right, wrong = solved(rng, count, misreadings)
    told.append(
        rng.choice(
            (f"How many {things} does that leave {person} with?", f"How many {things} does {person} have in the end?")
        )
    )
    return " ".join(told), right, wrong


def digits_and_divisors(rng: random.Random, level: int) -> Made:
    """Returns a question about common divisors, remainders or digits."""
    bound = 20 * 6**level
    a, b = rng.randint(bound // 6, bound), rng.randint(bound // 12, bound // 2)
    form = rng.choice(("gcd", "remainder", "digits"))

    def gcd(working: Working) -> int:
        left, right = a, b
        while right:
            left, right = right, working.step(left, "mod", right)
        return left

    def remainder(working: Working) -> int:
        return working.step(working.step(a, "*", a), "mod", b)

    def digit_sum(working: Working) -> int:
        total = 0
        for digit in str(working.step(a, "*", b)):
            total = working.step(total, "+", int(digit))
        return total

    if form == "gcd":
        asked = rng.choice((f"What is the greatest common divisor of {a} and {b}?", f"Find gcd({a}, {b})."))
        right, wrong = solved(rng, gcd)
    elif form == "remainder":
        asked = rng.choice((f"What is {a} squared modulo {b}?", f"Divide {a}^2 by {b}. What remains?"))
        right, wrong = solved(rng, remainder)
    else:
        asked = rng.choice((f"What do the digits of {a} times {b} add up to?", f"Find the digit sum of {a} * {b}."))
        right, wrong = solved(rng, digit_sum)
    return asked, right, wrong
