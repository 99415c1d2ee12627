"""Questions that are worked out in other things than numbers: code, letters, dates, orders."""

from __future__ import annotations

import datetime
import itertools
import random
from collections.abc import Sequence

from .numeric import PEOPLE
from .solving import Made, Solution, Working, solved


def code(rng: random.Random, level: int) -> Made:
    """Returns a short program whose output is asked."""
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
    right, wrong = solved(rng, trace, [lambda working: trace(working, stop + 1), lambda working: start + stop])
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


def strings(rng: random.Random, level: int) -> Made:
    """Returns letters to reverse, to sort or to drop every other one of."""
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


def dates(rng: random.Random, level: int) -> Made:
    """Returns a date or weekday to find."""
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


def logic(rng: random.Random, level: int) -> Made:
    """Returns clues from which an order follows."""
    people = rng.sample(PEOPLE, 2 + level if level < 5 else 8)
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
