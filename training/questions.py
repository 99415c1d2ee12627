"""Questions with computed answers, in many kinds and five levels, and the slips that lead to wrong ones."""

from __future__ import annotations

import datetime
import itertools
import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

LEVELS = (1, 2, 3, 4, 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """One way to an answer, right or wrong."""

    steps: tuple[str, ...]
    answer: str


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


_Made = tuple[str, Solution, list[Solution]]
_OPENINGS = ("", "", "", "Hi! ", "Quick one: ", "For my homework: ", "I keep getting this wrong. ", "Please help. ")
_CLOSINGS = ("", "", "", " Show your working.", " Just the result, please.", " Explain briefly.", " Thanks!")


def _worded(rng: random.Random, text: str) -> str:
    return rng.choice(_OPENINGS) + text + rng.choice(_CLOSINGS)


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


def _solved(rng: random.Random, solve: _Solve, misreadings: Sequence[_Solve] = ()) -> tuple[Solution, list[Solution]]:
    """Returns the right solution, and one for a slip at every step and for every misreading."""

    def run(solve: _Solve, slip_at: int | None = None) -> Solution:
        working = Working(rng, slip_at)
        answer = solve(working)
        return Solution(steps=tuple(working.steps), answer=str(answer))

    right = run(solve)
    wrong = [run(solve, slip_at) for slip_at in range(len(right.steps))]
    return right, wrong + [run(misread) for misread in misreadings]


_Expression = int | tuple["_Expression", str, "_Expression"]


def _arithmetic(rng: random.Random, level: int) -> _Made:
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
    right, wrong = _solved(rng, lambda working: evaluate(working, expression))
    return asked.format(shown), right, wrong


# For each unit how many of the next, and how many one may wrongly think there are.
_UNITS: tuple[tuple[tuple[str, int, int], ...], ...] = (
    (("weeks", 7, 5), ("days", 24, 12), ("hours", 60, 100), ("minutes", 60, 100), ("seconds", 0, 0)),
    (("miles", 1760, 1000), ("yards", 3, 4), ("feet", 12, 10), ("inches", 0, 0)),
    (("TiB", 1024, 1000), ("GiB", 1024, 1000), ("MiB", 1024, 1000), ("KiB", 0, 0)),
    (("gallons", 4, 5), ("quarts", 2, 3), ("pints", 2, 3), ("cups", 16, 12), ("tablespoons", 0, 0)),
    (("gross", 12, 10), ("dozens", 12, 10), ("pieces", 0, 0)),
)


def _units(rng: random.Random, level: int) -> _Made:
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
    right, wrong = _solved(rng, convert, misreadings)
    return asked.format(amount, rungs[-1][0]), right, wrong


_PEOPLE = ("Mara", "Jonas", "Priya", "Tomas", "Aiko", "Lena", "Omar", "Ines", "Kofi", "Wren")
_THINGS = ("apples", "stamps", "marbles", "tickets", "seedlings", "postcards", "candles", "bolts", "shells")


def _word_problem(rng: random.Random, level: int) -> _Made:
    person, friend = rng.sample(_PEOPLE, 2)
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
    right, wrong = _solved(rng, count, misreadings)
    told.append(
        rng.choice(
            (f"How many {things} does that leave {person} with?", f"How many {things} does {person} have in the end?")
        )
    )
    return " ".join(told), right, wrong


def _digits_and_divisors(rng: random.Random, level: int) -> _Made:
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
        right, wrong = _solved(rng, gcd)
    elif form == "remainder":
        asked = rng.choice((f"What is {a} squared modulo {b}?", f"Divide {a}^2 by {b}. What remains?"))
        right, wrong = _solved(rng, remainder)
    else:
        asked = rng.choice((f"What do the digits of {a} times {b} add up to?", f"Find the digit sum of {a} * {b}."))
        right, wrong = _solved(rng, digit_sum)
    return asked, right, wrong


def _code(rng: random.Random, level: int) -> _Made:
    stop = rng.randint(3, 3 + 3 * level)
    factor, modulus = rng.randint(2, 3 + level), rng.randint(2, 2 + level)
    start = rng.randint(0, 9)
    is_nested = level > 2 and rng.random() < 0.6

    def trace(working: Working, stop: int = stop) -> int:
        total = start
        for i in range(1, stop):
            if is_nested:
                for j in range(i):
                    if (i + j) % modulus == 0:
                        total = working.step(total, "+", i * j)
            elif i % modulus:
                total = working.step(total, "+", i * factor)
        return total

    names = rng.choice((("total", "i"), ("s", "k"), ("acc", "n")))
    lines = [f"{names[0]} = {start}", f"for {names[1]} in range(1, {stop}):"]
    if is_nested:
        lines += [f"    for j in range({names[1]}):", f"        if ({names[1]} + j) % {modulus} == 0:"]
        lines += [f"            {names[0]} += {names[1]} * j"]
    else:
        lines += [f"    if {names[1]} % {modulus}:", f"        {names[0]} += {names[1]} * {factor}"]
    lines += [f"print({names[0]})"]
    asked = rng.choice(("What does this Python code print?", "Trace this program and tell me its output:"))
    right, wrong = _solved(rng, trace, [lambda working: trace(working, stop + 1), lambda working: start + stop])
    return f"{asked}\n\n" + "\n".join(lines) + "\n\n", right, wrong


_WORDS = (
    "lantern",
    "harbour",
    "pepper",
    "willow",
    "cactus",
    "violin",
    "marble",
    "oyster",
    "saffron",
    "tunnel",
    "glacier",
    "button",
    "rabbit",
    "copper",
    "meadow",
    "pigeon",
    "hammock",
    "ribbon",
    "walnut",
    "kettle",
    "anchor",
    "basil",
    "comet",
    "drizzle",
    "ember",
    "falcon",
    "ginger",
    "hollow",
    "igloo",
    "jigsaw",
)


def _strings(rng: random.Random, level: int) -> _Made:
    word = "".join(rng.sample(_WORDS, (1, 1, 2, 2, 3)[level - 1]))[: rng.randint(3 + 2 * level, 5 + 3 * level)]
    jobs = rng.sample(("reverse", "alternate", "sort"), 1 if level < 3 else 2)
    steps, text = [], word
    for job in jobs:
        text = {"reverse": text[::-1], "alternate": text[::2], "sort": "".join(sorted(text))}[job]
        steps.append(f"after {job}: {text}")
    told = {
        "reverse": "write it backwards",
        "alternate": "keep every other letter, starting with the first",
        "sort": "put its letters in alphabetical order",
    }
    asked = rng.choice(("Take the word '{}': {}.", "Here is a word, {}. Please {}.", "With '{}', do this: {}."))
    question = asked.format(word, ", then ".join(told[job] for job in jobs))
    wrong = []
    for position in range(len(text) - 1):
        slipped = text[:position] + text[position + 1] + text[position] + text[position + 2 :]
        wrong.append(Solution(steps=(*steps[:-1], f"after {jobs[-1]}: {slipped}"), answer=slipped))
    shortened = text[: len(text) // 2] + text[len(text) // 2 + 1 :]
    wrong.append(Solution(steps=(*steps[:-1], f"after {jobs[-1]}: {shortened}"), answer=shortened))
    return question, Solution(steps=tuple(steps), answer=text), wrong


_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _dates(rng: random.Random, level: int) -> _Made:
    day = datetime.date(rng.randint(1950, 2040), rng.randint(1, 12), rng.randint(1, 28))
    n_days = rng.randint((3, 15, 60, 250, 1200)[level - 1], (20, 100, 400, 1500, 9000)[level - 1])
    form = rng.choice(("date", "weekday", "distance"))
    later = day + datetime.timedelta(days=n_days)
    weekday = _WEEKDAYS[day.weekday()]

    def solution(days: int) -> Solution:
        end = day + datetime.timedelta(days=days)
        if form == "weekday":
            steps = (f"{n_days} days are {n_days // 7} weeks and {days % 7} days",)
            return Solution(steps=steps, answer=_WEEKDAYS[end.weekday()])
        if form == "distance":
            steps = (f"counting on from {day} to {later} takes {days} days",)
            return Solution(steps=steps, answer=str(days))
        return Solution(steps=(f"{n_days} days on from {day} is {end}",), answer=end.isoformat())

    texts = {
        "date": (f"Which date is {n_days} days after {day}?", f"My trial started on {day}. When are {n_days} days up?"),
        "weekday": (f"{day} is a {weekday}. What weekday is it {n_days} days later?",),
        "distance": (f"How many days are there from {day} to {later}?", f"Count the days between {day} and {later}."),
    }
    leap_days = max(n_days // 1461, 1)
    wrong = [solution(n_days + error) for error in (-1, 1, 2, -leap_days)]
    return rng.choice(texts[form]), solution(n_days), wrong


def _logic(rng: random.Random, level: int) -> _Made:
    people = rng.sample(_PEOPLE, 2 + level if level < 5 else 8)
    more, most, fewest = rng.choice(
        (
            ("is taller than", "tallest", "shortest"),
            ("finished before", "first", "last"),
            ("is older than", "oldest", "youngest"),
        )
    )
    clues = [f"{left} {more} {right}." for left, right in itertools.pairwise(people)]
    rng.shuffle(clues)
    if level > 1:
        left, right = sorted(rng.sample(range(len(people)), 2))
        clues.insert(rng.randrange(len(clues)), f"{people[left]} {more} {people[right]}.")
    place = rng.choice((0, len(people) - 1, *range(1, len(people) - 1)))
    if place in (0, len(people) - 1):
        asked = f"Who is {most if place == 0 else fewest}?"
    else:
        asked = f"Counted from the {most}, who is number {place + 1}?"

    def solution(order: Sequence[str]) -> Solution:
        return Solution(steps=(f"in order, {most} to {fewest}: {', '.join(order)}",), answer=order[place])

    wrong = []
    for other in {max(place - 1, 0), min(place + 1, len(people) - 1)} - {place}:
        order = list(people)
        order[place], order[other] = order[other], order[place]
        wrong.append(solution(order))
    return f"{' '.join(clues)} {asked}", solution(people), wrong


KINDS: dict[str, Callable[[random.Random, int], _Made]] = {
    "arithmetic": _arithmetic,
    "units": _units,
    "word problem": _word_problem,
    "numbers": _digits_and_divisors,
    "code": _code,
    "strings": _strings,
    "dates": _dates,
    "logic": _logic,
}
