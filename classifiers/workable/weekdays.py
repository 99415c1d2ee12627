"""The day of the week so many days before or after another."""

from __future__ import annotations

import re

from .right import Choice
from .wording import in_digits

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = re.compile(rf"\b({'|'.join(_DAYS)})\b")
_ASKED = re.compile(r"\b(?:which|what)(?: week)?(?:day| day)\b|\bday of the week\b")
_AFTER = re.compile(r"\bin (\d{1,6}) days\b|\b(\d{1,6}) days? (?:after|from|later|since)\b", re.ASCII)
_BEFORE = re.compile(r"\b(\d{1,6}) days? (?:before|ago|earlier)\b", re.ASCII)
_OTHERWISE = re.compile(
    r"\b(?:working|business|weeks|(?:an?|next|last|\d+) week|months?|tomorrow|yesterday|every|weekdays|hours?)\b"
)


def weekday_reached(question: str) -> Choice | None:
    """Returns the day so many days before or after the only one that the question names.

    >>> weekday_reached("what day is it 10 days after monday?").right
    'thursday'
    """
    if "day" not in question or not _ASKED.search(question) or _OTHERWISE.search(question):
        return None
    text = in_digits(question)
    named, after, before = set(_DAY.findall(text)), _AFTER.findall(text), _BEFORE.findall(text)
    if len(named) != 1 or len(after) + len(before) != 1:
        return None
    n_days = int(after[0][0] or after[0][1]) if after else -int(before[0])
    right = _DAYS[(_DAYS.index(named.pop()) + n_days) % len(_DAYS)]
    return Choice(right=right, others=frozenset(_DAYS) - {right})
