"""Which of two numbers is the larger or the smaller one."""

from __future__ import annotations

import re

from .right import Choice
from .wording import BEGINS, ENDS, NUMBER, in_digits, words_in

_LARGER = frozenset(("larger", "bigger", "greater", "higher", "largest", "biggest", "greatest", "highest"))
_SMALLER = frozenset(("smaller", "lower", "lesser", "smallest", "lowest", "least"))
_PAIR = rf"{BEGINS}(?P<one>{NUMBER}) (?:or|and) (?P<other>{NUMBER}){ENDS}"
_SIZE = rf"(?:{'|'.join(sorted(_LARGER | _SMALLER))})"
_FILLING = "(?: (?:is|the|which|of|these|1|2|numbers?|values?|decimals?))*"  # 1, 2: "one", "two"
_END = "(?= ?[?.!]| ?$|,? please)"
_FORMS = tuple(  # nothing else may be said: the largest prime between 3 and 9 is neither
    re.compile(form, re.ASCII)
    for form in (
        rf"\b(?:which|what|tell me){_FILLING} {_SIZE}{_FILLING}[,:]? {_PAIR}{_END}",
        rf"\bis {_PAIR}{_FILLING} {_SIZE}{_FILLING}{_END}",
        rf"\b(?:of|between){_FILLING} {_PAIR},?(?: what)?{_FILLING} {_SIZE}{_FILLING}{_END}",
    )
)


def greater_or_smaller(question: str) -> Choice | None:
    """Returns the one that is asked for of the only two numbers in a question.

    >>> greater_or_smaller("which is larger, 9.11 or 9.9?").right
    '9.9'
    """
    words = words_in(question)
    is_larger, is_smaller = not words.isdisjoint(_LARGER), not words.isdisjoint(_SMALLER)
    if is_larger == is_smaller:
        return None
    text = in_digits(question)
    pairs = [(found["one"], found["other"]) for form in _FORMS for found in form.finditer(text)]
    if len(set(pairs)) != 1:
        return None
    small, large = sorted(pairs[0], key=float)
    if float(small) == float(large):
        return None
    right, other = (large, small) if is_larger else (small, large)
    return Choice(right=right, others=frozenset({other}))
