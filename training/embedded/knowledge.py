"""What is looked up, not worked out: weekdays, capitals, opposites, pleasantries, and what is out of reach."""

from __future__ import annotations

import random

from .example import LEVELS, Example, Speller

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_WEEKDAY = (
    "What day is it {n} days after {d}?",
    "Today is {d}. Which day is it in {n} days?",
    "It is {d}. My parcel comes in {n} days. Which day is that?",
    "Which weekday comes {n} days after {d}?",
    "If today is {d}, what day will it be {n} days from now?",
    "A trip starts on {d} and takes {n} days. On which day does it end?",
)
_MOST_DAYS = (3, 6, 14, 30, 60, 99)


def weekday(rng: random.Random, level: int) -> Example:
    """Returns which day it is so many days later; the steps take out whole weeks, then walk."""
    start, n = rng.randrange(7), rng.randint(1, _MOST_DAYS[level - 1])
    rest = n % 7
    walk = ">".join(DAYS[(start + day) % 7] for day in range(rest + 1))
    question = rng.choice(_WEEKDAY).format(n=Speller(rng)(n), d=DAYS[start])
    steps = f"{n}=7*{n // 7}+{rest};{walk}"
    return Example(
        task="weekday", level=level, question=question, answer=DAYS[(start + n) % 7], draft=str(rest), steps=steps
    )


_CAPITALS = dict(
    zip(
        "France Germany Italy Spain Japan China Russia England Greece Egypt Canada India Portugal Sweden Norway Poland "
        "Austria Ireland Belgium Mexico Brazil Turkey Denmark Finland Hungary Australia Cuba Kenya Peru Chile Iran "
        "Iraq Thailand Vietnam Ukraine Argentina Colombia Morocco Nigeria Ghana Nepal Angola Senegal Mongolia Uruguay "
        "Ecuador Bolivia Latvia Estonia Zambia".split(),
        "Paris Berlin Rome Madrid Tokyo Beijing Moscow London Athens Cairo Ottawa Delhi Lisbon Stockholm Oslo Warsaw "
        "Vienna Dublin Brussels Mexico-City Brasilia Ankara Copenhagen Helsinki Budapest Canberra Havana Nairobi Lima "
        "Santiago Tehran Baghdad Bangkok Hanoi Kyiv Buenos-Aires Bogota Rabat Abuja Accra Kathmandu Luanda Dakar "
        "Ulaanbaatar Montevideo Quito La-Paz Riga Tallinn Lusaka".split(),
        strict=True,
    )
)
_OPPOSITES = tuple(
    pair.split("-")
    for pair in (
        "hot-cold big-small up-down left-right day-night fast-slow happy-sad old-new open-closed light-dark high-low "
        "early-late rich-poor strong-weak wet-dry full-empty near-far long-short hard-soft clean-dirty thick-thin "
        "brave-cowardly ancient-modern generous-stingy scarce-abundant"
    ).split()
)
_CAPITAL = (
    "What is the capital of {c}?",
    "Name the capital city of {c}.",
    "{c}'s capital is?",
    "Which city is the capital of {c}?",
)
_OPPOSITE = ("What is the opposite of {w}?", "Give the antonym of {w}.", "Which word means the contrary of {w}?")
_PLEASANTRIES = (
    ("Hello", "Hello!"),
    ("Hi there", "Hello!"),
    ("Good morning", "Good morning!"),
    ("Thank you", "You are welcome."),
    ("Thanks a lot!", "You are welcome."),
    ("How are you?", "Fine, thank you."),
    ("Who are you?", "A small model that knows sums, words and capitals."),
    ("What can you do?", "Sums, sorting, counting letters, weekdays, capitals and opposites."),
)
_OUT_OF_REACH = (
    "Write a poem about {t}.",
    "Explain {t} to a child.",
    "Summarise the history of {t}.",
    "Write a Python function for {t}.",
    "Prove a theorem about {t}.",
    "Translate a sentence about {t} into French.",
    "What do you think about {t}?",
    "Tell me a joke about {t}.",
    "Plan a week of {t} for me.",
)
_TOPICS = (
    "autumn gravity football democracy music cooking chess volcanoes taxes bicycles dreams computers gardens rivers "
    "history painting love trains medicine weather"
).split()
_SORRY = "Sorry, I only know sums, words and capitals."


def fact(rng: random.Random, level: int) -> Example:
    """Returns a capital, an opposite, a pleasantry or a request that is out of reach; higher levels are rarer ones."""
    kind = rng.random()
    share = level / len(LEVELS)
    if kind < 0.5:
        countries = list(_CAPITALS)
        country = countries[int(rng.random() * share * len(countries))]
        question, answer = rng.choice(_CAPITAL).format(c=country), _CAPITALS[country]
        steps = f"{country}:{answer}"
    elif kind < 0.8:
        pair = list(_OPPOSITES[int(rng.random() * share * len(_OPPOSITES))])
        rng.shuffle(pair)
        question, answer = rng.choice(_OPPOSITE).format(w=pair[0]), pair[1]
        steps = f"{pair[0]}:{answer}"
    elif kind < 0.9:
        question, answer = rng.choice(_PLEASANTRIES)
        steps = ""
    else:
        question, answer, steps = rng.choice(_OUT_OF_REACH).format(t=rng.choice(_TOPICS)), _SORRY, ""
    return Example(task="fact", level=level, question=question, answer=answer, draft="", steps=steps)
