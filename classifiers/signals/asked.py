"""A verifier: whether an answer is what the sum in the question comes to."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from ...backends import Completion, Query
from ..final_answer import final_answer
from .arithmetic import plain_notation, value_of_sum

_MAX_CHARACTERS = 200  # what is longer asks more than a sum
_MAX_SUM = 200  # characters
_TOLERANCE = 0.01  # relative, of a value that is not whole, and so rounded
_EXACT = 1e-9

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_WORDS = dict(zip((*_ONES, *_TEENS, *_TENS), (*range(20), *range(20, 100, 10)), strict=True))
_WORD = re.compile(rf"\b({'|'.join(_TENS)})-({'|'.join(_ONES[1:])})\b|\b({'|'.join(_WORDS)})\b")
_LETTERS = re.compile(r"[a-z]+")
_NUMBER = r"(-?\d+(?:,\d+)*(?:\.\d+)?)"


def _larger_first(one: str, other: str) -> str:
    value, subtracted = sorted((one, other), key=lambda number: float(number.replace(",", "")), reverse=True)
    return f"{value} - {subtracted}"


_SAID = tuple(
    (words, re.compile(rf"\b{form}", re.ASCII), meant)
    for words, form, meant in (  # where none of the words is there, the form is not even looked for
        (("plus",), r"plus\b", "+"),
        (("minus",), r"minus\b", "-"),
        (("times", "multiplied"), r"(?:times|multiplied by)\b", "*"),
        (("divided",), r"divided by\b", "/"),
        (("add ", "sum of"), rf"(?:add|sum of) {_NUMBER} (?:and|to) {_NUMBER}", r"\1 + \2"),
        (("subtract", "take"), rf"(?:subtract|take) {_NUMBER} (?:away )?from {_NUMBER}", r"\2 - \1"),
        (
            ("difference",),
            rf"difference (?:between|of) {_NUMBER} and {_NUMBER}",
            lambda said: _larger_first(said[1], said[2]),
        ),
        (("multiply", "product"), rf"(?:multiply|product of) {_NUMBER} (?:by|and) {_NUMBER}", r"\1 * \2"),
        (("divide", "quotient"), rf"(?:divide|quotient of) {_NUMBER} (?:by|and) {_NUMBER}", r"\1 / \2"),
    )
)
_SIGNS = "-+*/×÷·"
_SIGN = re.compile(f"[{_SIGNS}]")  # one of these, or of the words, is in every sum
_ATOM = rf"(?:\d+(?:,\d+)*(?:\.\d+)?|[{_SIGNS}()])"
_RUN = re.compile(rf"{_ATOM}(?: {{0,2}}{_ATOM})*", re.ASCII)
_IS_SUM = re.compile(r"[\d)] *[-+*/×÷·] *[-\d(]")
_DATE_OR_RANGE = re.compile(r"[\d.,]+(?:[-/][\d.,]+)+")  # 10-15, 1/2, 2024-05-06
_TIMES = re.compile(r"(?<=[\d)])(?<!\b0)\s*x\s*(?=[\d(])")  # but for 0x10
_NO_SUM_BEHIND = re.compile(r"(?:[\w^{}\\\]!√∛.,]|[\^√∛%] +)$")  # x + 3, f(2) + 1: the tail of something longer
_NO_SUM_BEFORE = re.compile(r"[\w{\\!]| *[\^√∛%]| *= *[-\d(]")  # goes on, or is worked out already


class AskedSumVerifier:
    """Whether the final answer is the value of the sum that the question states, where it states exactly one."""

    names = ("is_value",)
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns 1 or 0; NaN where no sum is asked for, or the answer is no number."""
        asked = asked_value(query.text)
        answer = final_answer(completion) if asked is not None else None
        if asked is None or answer is None or answer.kind != "number":
            return (math.nan,)
        tolerance = _EXACT if asked == math.floor(asked) else _TOLERANCE
        return (float(abs(float(answer.value) - asked) <= tolerance * max(abs(asked), 1.0)),)


@lru_cache(maxsize=16)  # every answer to a question asks
def asked_value(question: str) -> float | None:
    """Returns what the one sum in a short question comes to, None where there is no such sum.

    >>> asked_value("What is 3 + 4 * 5?"), asked_value("Take 12 away from ninety-one."), asked_value("Pages 3-7?")
    (23.0, 79.0, None)
    """
    if len(question) > _MAX_CHARACTERS or "**" in question:
        return None
    text = plain_notation(question.lower())
    if "x" in text:
        text = _TIMES.sub(" * ", text)
    said = [(form, meant) for words, form, meant in _SAID if words[0] in text or words[-1] in text]
    if not said and not _SIGN.search(text):
        return None
    if not _WORDS.keys().isdisjoint(_LETTERS.findall(text)):
        text = _WORD.sub(_digits, text)
    for form, meant in said:
        text = form.sub(meant, text)
    sums = []
    for run in _RUN.finditer(text):
        before = text[: run.start()]
        if (
            _IS_SUM.search(run[0])
            and len(run[0]) <= _MAX_SUM
            and not _DATE_OR_RANGE.fullmatch(run[0])
            and not _NO_SUM_BEHIND.search(before)
            and not _NO_SUM_BEFORE.match(text, run.end())
        ):
            sums.append(run[0])
    value = value_of_sum(sums[0]) if len(sums) == 1 else None
    return None if value is None else float(value)


def _digits(word: re.Match[str]) -> str:
    return str(_WORDS[word[1]] + _WORDS[word[2]] if word[1] else _WORDS[word[3]])
