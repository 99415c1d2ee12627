"""Sums that a question states, in signs or in English."""

from __future__ import annotations

import re

from ..signals.arithmetic import plain_notation, value_of_sum
from .right import Value
from .wording import in_digits, words_in

_MAX_CHARACTERS = 200  # what is longer asks more than a sum
_MAX_SUM = 200  # characters

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
_OF_TWO = frozenset(("add", "sum", "subtract", "take", "difference", "multiply", "product", "divide", "quotient"))
_SAID_OTHERWISE = (
    "not don mod modulo remainder root square squared cube cubed half twice double triple third quarter digit digits"
    " binary hexadecimal base roman words round rounded nearest log ln sin cos tan sqrt negative hundred"
    " thousand million billion dozen percent percentage factorial less more exceed exceeds fit who won score happened"
    " next after before poem story gcd gcf hcf lcm common divisible"
)
_OTHERWISE = frozenset(_SAID_OTHERWISE.split())
_WORD_OTHERWISE = re.compile(rf"\b(?:{'|'.join(sorted(_OTHERWISE))})\b")
_ANY_WORD = frozenset(word.split()[0] for words, *_ in _SAID for word in words)
_SIGNS = "-+*/×÷·"
_SIGN = re.compile(f"[{_SIGNS}]")  # one of these, or of the words, is in every sum
_ATOM = rf"(?:\d+(?:,\d+)*(?:\.\d+)?|[{_SIGNS}()])"
_RUN = re.compile(rf"{_ATOM}(?: {{0,2}}{_ATOM})*", re.ASCII)
_A_NUMBER = re.compile(r"\d+(?:,\d+)*(?:\.\d+)?", re.ASCII)
_IS_SUM = re.compile(r"[\d)] *[-+*/×÷·] *[-\d(]")
_DATE_OR_RANGE = re.compile(r"[\d.,]+(?:[-/][\d.,]+)+")  # 10-15, 1/2, 2024-05-06
_TIMES = re.compile(r"(?<=[\d)])(?<!\b0)\s*x\s*(?=[\d(])")  # but for 0x10
_NO_SUM_BEHIND = re.compile(r"(?:[\w^{}\\\]!√∛.,]|[\^√∛%] +|\d:|\d +and +|[=<>] *)$")  # x + 3, f(2) + 1: a tail
_NO_SUM_BEFORE = re.compile(  # goes on, or is worked out already
    r"[\w{\\!]| *[\^√∛%]| *(?:=|equal to|equals|is|makes?)? *[-\d(]|,? *(?:and|by|to)? *[-\d(]"
)


def value_of_asked_sum(question: str) -> Value | None:
    """Returns what the one sum in a short question comes to, None where there is no such sum.

    >>> value_of_asked_sum("what is 3 + 4 * 5?"), value_of_asked_sum("take 12 away from ninety-one.")
    (Value(number=23.0), Value(number=79.0))
    """
    if len(question) > _MAX_CHARACTERS or "**" in question or " or " in question:
        return None
    text = plain_notation(question)
    if "x" in text:
        text = _TIMES.sub(" * ", text)
    words = words_in(question)
    is_said = not words.isdisjoint(_ANY_WORD)
    if not (is_said or _SIGN.search(text)):
        return None
    if not words.isdisjoint(_OTHERWISE) and _WORD_OTHERWISE.search(question):
        return None
    text, n_of_two = in_digits(text), 0
    if is_said:
        for signs, form, meant in _SAID:
            if signs[0] in text or signs[-1] in text:
                text, n_found = form.subn(meant, text)
                n_of_two += n_found * (form.groups > 0)
    if n_of_two and len(words & _OF_TWO) > 1:
        return None
    if not _IS_SUM.search(text):
        return None
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
    # The sum of 3 and 4 times 2 may be 11 or 14.
    if n_of_two and any(len(_A_NUMBER.findall(one)) > 2 for one in sums):
        return None
    value = value_of_sum(sums[0]) if len(sums) == 1 else None
    return None if value is None else Value(number=float(value))
