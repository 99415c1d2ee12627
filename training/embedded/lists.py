"""Putting numbers in order, counting letters, comparing decimals, greatest common divisors."""

from __future__ import annotations

import random
from math import gcd as greatest_common_divisor

from .example import Example, Speller

_SORT = (
    "Sort {x} in ascending order.",
    "Put these numbers in order: {x}.",
    "Order {x} from smallest to largest.",
    "Arrange {x}, smallest first.",
    "Here are some numbers: {x}. List them from low to high.",
    "Sort this list: {x}.",
)


def sort_list(rng: random.Random, level: int) -> Example:
    """Returns `level` + 1 numbers below 100 to put in order; the steps go through the tens."""
    items = rng.sample(range(1, 100), level + 1)
    ordered = sorted(items)
    steps = []
    for tens in range(10):
        ones = "".join(str(item % 10) for item in ordered if item // 10 == tens)
        steps.append(f"{tens},{ones}" if ones else str(tens))
    question = rng.choice(_SORT).format(x=", ".join(map(str, items)))
    answer = ", ".join(map(str, ordered))
    return Example(task="sort", level=level, question=question, answer=answer, draft="", steps=";".join(steps))


_WORDS = (
    "strawberry banana letter mississippi bookkeeper committee success address balloon coffee dinner elephant "
    "follow giraffe happy island jungle kitchen lemon mirror needle orange pepper queen river summer tunnel umbrella "
    "village window yellow zebra raspberry assessment parallel referee possession tomorrow necessary millennium"
).split()
_COUNT = (
    "How many times does {c} appear in {w}?",
    "Count the letter {c} in the word {w}.",
    "How many {c}'s are in {w}?",
    "How often does the letter {c} occur in {w}?",
    "In {w}, how many letters are {c}?",
    "Tell me the number of {c}'s in {w}.",
)
_LENGTHS = ((3, 4), (4, 6), (6, 8), (8, 10), (10, 13), (13, 16))


def count_letter(rng: random.Random, level: int) -> Example:
    """Returns how often a letter is in a word or code; the steps spell it, with a running number for each hit."""
    length = rng.randint(*_LENGTHS[level - 1])
    if rng.random() < 0.5:
        word = "".join(rng.sample(_WORDS, 3))[:length].upper()
    else:
        letters = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", rng.randint(3, 8))
        word = "".join(rng.choices(letters, k=length))
    letter = rng.choice(word) if rng.random() < 0.85 else rng.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    word = _at_most_nine(word, letter)
    spelled, n = [], 0
    for character in word:
        n += character == letter
        spelled.append(str(n) if character == letter else character)
    question = rng.choice(_COUNT).format(c=letter, w=word)
    return Example(task="count", level=level, question=question, answer=str(n), draft="", steps="".join(spelled))


def _at_most_nine(word: str, letter: str) -> str:
    """Returns the word with every hit after the ninth replaced, so that a running number is one digit."""
    spare = "A" if letter != "A" else "B"
    head, n = "", 0
    for character in word:
        n += character == letter
        head += spare if character == letter and n > 9 else character
    return head


_COMPARE = (
    "Which is {more}, {a} or {b}?",
    "Which number is {more}: {a} or {b}?",
    "Is {a} or {b} the {more} one?",
    "Of {a} and {b}, which is {more}?",
    "Tell me which is {more}, {a} or {b}.",
)
_LARGER, _SMALLER = ("larger", "bigger", "greater"), ("smaller", "lower")
_P_SAME_WHOLE = (0.2, 0.5, 0.7, 0.8, 0.9, 0.95)
_MOST_DECIMALS = (1, 2, 2, 2, 3, 3)


def compare(rng: random.Random, level: int) -> Example:
    """Returns two decimals to compare, in the hard levels such as 9.11 and 9.9."""
    most = _MOST_DECIMALS[level - 1]
    while True:
        whole = rng.randint(1, 10 ** min(3, (level + 1) // 2) - 1)
        other = whole if rng.random() < _P_SAME_WHOLE[level - 1] else rng.randint(1, 10 ** min(3, (level + 1) // 2) - 1)
        a, b = (f"{w}.{rng.randint(0 if most == 1 else 1, 10 ** rng.randint(1, most) - 1)}" for w in (whole, other))
        if float(a) != float(b):
            break
    wants_larger = rng.random() < 0.7
    question = rng.choice(_COMPARE).format(a=a, b=b, more=rng.choice(_LARGER if wants_larger else _SMALLER))
    answer = a if (float(a) > float(b)) == wants_larger else b
    places = max(len(text.split(".")[1]) for text in (a, b))
    width = max(len(text.split(".")[0]) for text in (a, b))
    padded = [f"{text.split('.')[0]:0>{width}}.{text.split('.')[1]:0<{places}}" for text in (a, b)]
    first, second = next((p, q) for p, q in zip(*padded, strict=True) if p != q)
    steps = f"{padded[0]} {padded[1]};{first}{'>' if first > second else '<'}{second}"
    return Example(task="compare", level=level, question=question, answer=answer, draft="", steps=steps)


_GCD = (
    "What is the greatest common divisor of {a} and {b}?",
    "Find gcd({a}, {b}).",
    "What is the largest number that divides both {a} and {b}?",
    "Give the greatest common factor of {a} and {b}.",
    "gcd({a}, {b}) =",
)
_LARGEST = (12, 24, 36, 60, 80, 99)
_MOST_STEPS = (2, 4, 5, 6, 8, 9)


def gcd(rng: random.Random, level: int) -> Example:
    """Returns two numbers and their greatest common divisor, found by taking the smaller from the larger."""
    while True:
        g = rng.choice((1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15))
        most = _LARGEST[level - 1] // g
        if most < 2:
            continue
        a, b = g * rng.randint(1, most), g * rng.randint(1, most)
        pairs = _euclid(a, b)
        if (level - 1) // 2 < len(pairs) <= _MOST_STEPS[level - 1] + 1:
            break
    draft, x, y = [], max(a, b), min(a, b)
    while y:
        x, y = y, x % y
        draft.append(str(y))
    say = Speller(rng)
    return Example(
        task="gcd",
        level=level,
        question=rng.choice(_GCD).format(a=say(a), b=say(b)),
        answer=str(greatest_common_divisor(a, b)),
        draft=";".join(draft[:-1]),
        steps=";".join(f"{x},{y}" for x, y in pairs),
    )


def _euclid(a: int, b: int) -> list[tuple[int, int]]:
    """Returns the pairs, larger first, until both are equal."""
    x, y = max(a, b), min(a, b)
    pairs = [(x, y)]
    while x != y:
        x, y = max(x - y, y), min(x - y, y)
        pairs.append((x, y))
    return pairs
