"""The day of the week so many days before or after another."""

from __future__ import annotations

import re

from .right import Choice
from .wording import in_digits

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_NAMED = f"(?P<day>{'|'.join(_DAYS)})"
_ASKED = re.compile(r"\b(?:which|what)(?: week)?(?:day| day)\b|\bday of the week\b")
_DAY = re.compile(rf"\b(?:{'|'.join(_DAYS)})\b")
_N_DAYS = r"(?<![\w.,-])(\d{1,6}) days?"
_IS_TODAY = re.compile(rf"\b(?:today|it)(?: is|['’]s) (?:an? )?{_NAMED}\b")
_FROM_DAY = re.compile(rf"{_N_DAYS} (after|from|since|later than|before|earlier than) (?:an? )?{_NAMED}\b", re.ASCII)
_FROM_NOW = re.compile(rf"\bin (\d{{1,6}}) days\b|{_N_DAYS} (?:(?:from|after) (?:now|today)|later)\b", re.ASCII)
_BACK = re.compile(rf"{_N_DAYS} (?:ago|earlier|before)\b", re.ASCII)
_OTHERWISE = re.compile(
    r"\b(?:working|business|weeks|(?:an?|next|last|\d+) week|months?|years?|tomorrow|yesterday|every|weekdays|hours?"
    r"|not|except|counting|hundred|thousand|million|day(?: of the week)?(?: is| was)?(?: it)? (?:today|now))\b"
)


def weekday_reached(question: str) -> Choice | None:
    """Returns the day so many days before or after the only one that the question names.

    >>> weekday_reached("what day is it 10 days after monday?").right
    'thursday'
    """
    if "day" not in question or not _ASKED.search(question) or _OTHERWISE.search(question):
        return None
    text = in_digits(question)
    if len(set(_DAY.findall(text))) != 1:
        return None
    direct, today = _FROM_DAY.findall(text), _IS_TODAY.search(text)
    if direct:
        (said, way, day), *others = direct
        n_days = -int(said) if way in ("before", "earlier than") else int(said)
    elif today:
        day = today["day"]
        steps = [(1, a or b) for a, b in _FROM_NOW.findall(text)] + [(-1, said) for said in _BACK.findall(text)]
        if not steps:
            return None
        ((sign, said), *others) = steps
        n_days = sign * int(said)
    else:
        return None
    if others:
        return None
    right = _DAYS[(_DAYS.index(day) + n_days) % len(_DAYS)]
    return Choice(right=right, others=frozenset(_DAYS) - {right})
