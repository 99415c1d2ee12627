"""Several small operations, one after the other: expressions, instructions and stories."""

from __future__ import annotations

import random

from .example import Example, Speller

_LARGEST = 199  # no intermediate result is larger, so that every step is a small one

_EXPRESSION = (
    "Compute {e}.",
    "Evaluate {e}.",
    "What does {e} equal?",
    "What is {e}?",
    "Work out {e}, please.",
    "Give me the value of {e}.",
)
_SPOKEN = {
    "+": ("add {k}", "then add {k}", "increase it by {k}"),
    "-": ("subtract {k}", "take away {k}", "decrease it by {k}"),
    "*": ("multiply by {k}", "multiply the result by {k}", "take it {k} times"),
}
_SPOKEN_END = ("What do you get?", "Where do you end?", "What is the result?")


def expression(rng: random.Random, level: int) -> Example:
    """Returns an expression of `level` operations, in symbols or as instructions."""
    say = Speller(rng)
    if level in (2, 3) and rng.random() < 0.2:
        return _precedence(rng, level, say)
    value = rng.randint(1, 20)
    text, spoken, steps, draft = say(value), [f"Start with {say(value)}"], [], []
    for place in range(level):
        sign, k = _operation(rng, value)
        result = _apply(value, sign, k)
        steps.append(f"{value}{sign}{k}={result}")
        draft.append(str(result))
        joined = f"{text} {sign} {say(k)}"
        text = f"({joined})" if place < level - 1 else joined
        spoken.append(rng.choice(_SPOKEN[sign]).format(k=say(k)))
        value = result
    if rng.random() < 0.35:
        question = f"{', '.join(spoken)}. {rng.choice(_SPOKEN_END)}"
    else:
        question = rng.choice(_EXPRESSION).format(e=text)
    return _chain("expression", level, question, value, draft, steps)


def _precedence(rng: random.Random, level: int, say: Speller) -> Example:
    """Returns what looks like one to be read from left to right, and is not."""
    a, b, c = rng.randint(1, 60), rng.randint(2, 12), rng.randint(2, 9)
    steps, draft, value = [f"{b}*{c}={b * c}", f"{a}+{b * c}={a + b * c}"], [str(b * c), str(a + b * c)], a + b * c
    text = f"{say(a)} + {say(b)} * {say(c)}"
    if level == 3:
        d = rng.randint(1, min(value, 30))
        steps.append(f"{value}-{d}={value - d}")
        value -= d
        draft.append(str(value))
        text += f" - {say(d)}"
    return _chain("expression", level, rng.choice(_EXPRESSION).format(e=text), value, draft, steps)


def _operation(rng: random.Random, value: int) -> tuple[str, int]:
    """Returns a sign and a number that keep the value between 0 and `_LARGEST`."""
    sign = rng.choice("++--*")
    k = rng.randint(2, 9) if sign == "*" else rng.randint(1, 40)
    if (sign == "-" and k > value) or (sign == "*" and value * k > _LARGEST):
        sign = "+"
    if sign == "+" and value + k > _LARGEST:
        sign = "-"
    return sign, k


def _apply(value: int, sign: str, k: int) -> int:
    return {"+": value + k, "-": value - k, "*": value * k}[sign]


def _chain(task: str, level: int, question: str, value: int, draft: list[str], steps: list[str]) -> Example:
    return Example(
        task=task,
        level=level,
        question=question,
        answer=str(value),
        draft=";".join(draft[:-1]),
        steps=";".join(steps),
    )


_NAMES = "Ann Ben Cara Dan Eva Finn Gina Hugo Iris Jack Kim Leo Mia Noah Olga Paul Rosa Sam Tina Uma".split()
_THINGS = "apples books coins cards pens eggs shells stamps stones beads".split()
_GAINS = ("Then {who} buys {k} more.", "A friend brings {k} {what}.", "{who} finds {k} more.", "{k} {what} are added.")
_LOSSES = ("{who} gives away {k}.", "{who} loses {k} of them.", "{k} {what} are sold.", "A friend takes {k}.")
_HALVES = ("{who} sells half of them.", "Half of the {what} are lost.")
_BAGS = ("{who} finds {n} bags with {k} {what} each.", "{n} boxes of {k} {what} arrive.")
_BESIDES = (
    "{who} is {k} years old.",
    "{friend} has {k} {other}.",
    "It is {k} degrees outside.",
    "{friend} lives at number {k}.",
    "The shop is {k} miles away.",
)
_STORY_END = (
    "How many {what} does {who} have now?",
    "How many {what} are left with {who}?",
    "How many {what} are there in the end?",
    "What is the number of {what} now?",
)
_N_EVENTS = (1, 1, 2, 2, 3, 4)
_N_BESIDES = (0, 1, 0, 1, 1, 2)


def story(rng: random.Random, level: int) -> Example:
    """Returns a word problem; from time to time it tells what does not matter."""
    say = Speller(rng)
    who, friend = rng.sample(_NAMES, 2)
    what, other = rng.sample(_THINGS, 2)
    value = rng.randint(2, 40)
    said, steps, draft = [f"{who} has {say(value)} {what}."], [], []
    for _ in range(_N_EVENTS[level - 1]):
        kind = rng.choice(("gain", "bags", "loss", "half"))
        if (kind == "half" and (value % 2 or value < 4)) or (kind == "loss" and value < 3):
            kind = "gain"
        n, k = rng.randint(2, 9), rng.randint(2, 9) if kind == "bags" else rng.randint(1, 40)
        if kind == "loss":
            k = rng.randint(1, value - 1)
        elif value + (n * k if kind == "bags" else k) > _LARGEST and kind != "half":
            kind, k = "loss", rng.randint(1, 40)
        if kind == "gain":
            sentence, sign = rng.choice(_GAINS), f"+{k}"
        elif kind == "bags":
            steps.append(f"{n}*{k}={n * k}")
            sentence, sign = rng.choice(_BAGS), f"+{n * k}"
        elif kind == "loss":
            sentence, sign = rng.choice(_LOSSES), f"-{k}"
        else:
            sentence, sign = rng.choice(_HALVES), "/2"
        said.append(_sentence(sentence.format(who=who, what=what, n=say(n), k=say(k))))
        result = {"gain": value + k, "bags": value + n * k, "loss": value - k, "half": value // 2}[kind]
        steps.append(f"{value}{sign}={result}")
        draft.append(str(result))
        value = result
    for _ in range(_N_BESIDES[level - 1]):
        aside = rng.choice(_BESIDES).format(who=who, friend=friend, other=other, k=say(rng.randint(2, 60)))
        said.insert(rng.randint(1, len(said)), aside)
    said.append(rng.choice(_STORY_END).format(what=what, who=who))
    return _chain("story", level, " ".join(said), value, draft, steps)


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]
