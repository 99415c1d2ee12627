"""How questions write numbers: in digits or in words, alone or several in a row."""

from __future__ import annotations

import re
from functools import lru_cache

NUMBER = r"-?\d+(?:\.\d+)?"
BEGINS = r"(?<![\w.,%$/-])(?<![-+*/×÷^] )"  # in front of a number that is no part of another, of a sum or a date
ENDS = r"(?![\w%(]|[.,]\d| ?[-+*/×÷^%])"  # and behind it

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = dict(zip((*_ONES, *_TEENS, *_TENS), (*range(20), *range(20, 100, 10)), strict=True))
_WORD = re.compile(rf"\b({'|'.join(_TENS)})-({'|'.join(_ONES[1:])})\b|\b({'|'.join(_WORDS)})\b")
_LETTERS = re.compile(r"[a-z]+")
_BETWEEN = r"(?: ?[,;] ?(?:and )?| and )"
_RUN = re.compile(rf"{BEGINS}{NUMBER}(?:{_BETWEEN}{NUMBER})+{ENDS}", re.ASCII)
_EACH = re.compile(NUMBER, re.ASCII)
_THOUSANDS = re.compile(r"\d,\d{3}\b")


@lru_cache(maxsize=4)  # all solvers ask of the same question
def words_in(question: str) -> frozenset[str]:
    """Returns the words of a question in small letters: where none of those is there that a kind of question is asked
    with, nothing else need be looked for.

    >>> sorted(words_in("which is larger, 12 or x2?"))
    ['is', 'larger', 'or', 'which', 'x']
    """
    return frozenset(_LETTERS.findall(question))


@lru_cache(maxsize=4)  # several solvers ask of the same question
def in_digits(question: str) -> str:
    """Returns a question in small letters with its numbers below 100 in digits.

    >>> in_digits("take twelve from ninety-one")
    'take 12 from 91'
    """
    return question if words_in(question).isdisjoint(_WORDS) else _WORD.sub(_digits, question)


def runs_of_numbers(text: str) -> list[tuple[float, ...]]:
    """Returns the runs of two or more numbers with commas, semicolons or `and` between them.

    >>> runs_of_numbers("Sort 5, 3 and 7.5. Page 12.")
    [(5.0, 3.0, 7.5)]
    """
    return [tuple(map(float, _EACH.findall(run[0]))) for run in _RUN.finditer(text) if not _THOUSANDS.search(run[0])]


def _digits(word: re.Match[str]) -> str:
    return str(_WORDS[word[1]] + _WORDS[word[2]] if word[1] else _WORDS[word[3]])
