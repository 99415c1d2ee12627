"""Which of two numbers is the larger or the smaller one."""

from __future__ import annotations

import re

from .right import Choice
from .wording import BEGINS, ENDS, NUMBER, in_digits, words_in

_LARGER = frozenset(("larger", "bigger", "greater", "higher", "largest", "biggest", "greatest", "highest"))
_SMALLER = frozenset(("smaller", "lower", "lesser", "smallest", "lowest", "least"))
_ASKED = re.compile(r"\b(?:which|what|is|tell)\b")
_PAIR = re.compile(rf"{BEGINS}{NUMBER} (?:or|and) {NUMBER}{ENDS}", re.ASCII)
_EACH = re.compile(NUMBER, re.ASCII)
_OTHERWISE = re.compile(r"\b(?:than|common|how much|how many|power|square|root|sum|product|divides|number between)\b")


def greater_or_smaller(question: str) -> Choice | None:
    """Returns the one that is asked for of the only two numbers in a question.

    >>> greater_or_smaller("which is larger, 9.11 or 9.9?").right
    '9.9'
    """
    words = words_in(question)
    is_larger, is_smaller = not words.isdisjoint(_LARGER), not words.isdisjoint(_SMALLER)
    if is_larger == is_smaller or not _ASKED.search(question) or _OTHERWISE.search(question):
        return None
    pairs = _PAIR.findall(in_digits(question))
    if len(pairs) != 1:
        return None
    small, large = sorted(_EACH.findall(pairs[0]), key=float)
    if float(small) == float(large):
        return None
    right, other = (large, small) if is_larger else (small, large)
    return Choice(right=right, others=frozenset({other}))
