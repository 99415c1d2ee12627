"""A verifier: every sum that an answer writes out is worked out again."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator
from functools import lru_cache

from ...backends import Completion, Query

_MAX_CHARACTERS = 20_000
_MAX_EQUATIONS = 60
_MAX_SIDE = 200  # characters; all work is done on windows of this size, so that no text can make it slow

# Other ways to write the same signs, and marks around formulas.
_NOTATION = {
    "\\times": "×",
    "\\cdot": "·",
    "\\div": "÷",
    "−": "-",
    "\\$": "$",
    "\\%": "%",
    "\\left": "",
    "\\right": "",
    "\\(": " ",
    "\\)": " ",
    "\\[": " ",
    "\\]": " ",
    "**": " ",
}
_MARKS = re.compile("|".join(map(re.escape, _NOTATION)))
_BACKWARDS = re.compile(r"[\d\s.,$()+\-*/×÷x·%]*")
_BULLET = re.compile(r"\s*(?:[-*+]|\d{1,2}[.)])\s+")
_GOES_ON_BEFORE = re.compile(r"[\w^{}\\\]!√∛]")  # x^2 + 3, f(2) + 1, a_1 + 2
_GOES_ON_BEHIND = (
    r",?\d|\(|\^|√|[ \t]*[+\-*/×÷x·]|\\\w*(?:frac|sqrt)|[A-Za-z](?![A-Za-z])|[ \t]*choose|[^\n]{0,20}remainder"
)
_RESULT = re.compile(rf"\s*\$?\s*(-?(?:\d{{1,3}}(?:,\d{{3}})++|\d++)(?:\.\d++)?+)(\s*%)?+(?!{_GOES_ON_BEHIND})")
_SUM = re.compile(r"[\d)%]\s*[+\-*/×÷x·]")
_TIMES = re.compile(r"(?<=[\d)])\s*x\s*(?=[\d$(.])")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_PLAIN = r"((?:0|[1-9]\d*)(?:\.\d+)?)"
_OF_TWO = re.compile(rf"{_PLAIN} *([-+*/]) *{_PLAIN}", re.ASCII)  # most sums: read in a tenth of the parser's time
_TOKEN = re.compile(r"\d+(?:\.\d*)?|\.\d+|\S", re.ASCII)
_SIGNS = str.maketrans({"×": "*", "÷": "/", "·": "*", "$": None})
_OF_SIGNS: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


class ArithmeticVerifier:
    """How many equations of plain numbers the answer contains, and which share of them is wrong."""

    names = ("log_checked", "share_wrong", "any_wrong")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; shares are NaN where nothing could be checked."""
        checks = check_equations(said_by(completion))
        if not checks:
            return 0.0, math.nan, math.nan
        wrong = checks.count(False)
        return math.log1p(len(checks)), wrong / len(checks), float(wrong > 0)


def check_equations(text: str) -> list[bool]:
    """Returns for each equation `sum = number` in the text whether it holds, to the digits that are written.

    What only looks like one, because it is the end of something longer or has letters in it, is left out.

    >>> check_equations("16 - 3 - 4 = 9 eggs, so 9 * 2 = $18, and 7 + 5 = 13.")
    [True, True, False]
    """
    results = []
    for left, right, has_percent in written_equations(text):
        value = value_of_sum(left)
        if value is None:
            continue
        decimals = right.partition(".")[2]
        precision = (1.01 if decimals else 0.51) * 10.0 ** -len(decimals) + 1e-9 * abs(
            value
        )  # decimals are often cut off
        holds = abs(value - float(right)) <= precision
        if has_percent:  # people mean both 1/4 = 25% and 5 * 5 = 25%
            holds = holds or abs(100 * value - float(right)) <= precision
        results.append(holds)
        if len(results) == _MAX_EQUATIONS:
            break
    return results


def said_by(completion: Completion) -> str:
    """Returns reasoning and answer of a completion, or the end of them."""
    said = f"{completion.reasoning}\n{completion.text}" if completion.reasoning else completion.text
    return said[-_MAX_CHARACTERS:]


@lru_cache(maxsize=16)  # several signals ask of the same answer
def written_equations(text: str) -> tuple[tuple[str, str, bool], ...]:
    """Returns of each equation the left side, the number on the right, and whether that is a percentage."""
    return tuple(_written(plain_notation(text))) if "=" in text else ()


def _written(text: str) -> Iterator[tuple[str, str, bool]]:
    behind = 0  # of what was read already
    place = text.find("=")
    while place >= 0:
        result = _RESULT.match(text, place + 1, place + 1 + _MAX_SIDE)
        if result and result.end() < place + 1 + _MAX_SIDE:
            left = _left_side(text, max(behind, text.rfind("\n", behind, place) + 1), place)
            if left:
                yield left, result[1].replace(",", ""), bool(result[2])
        behind = result.end() if result else place + 1
        place = text.find("=", behind)


def plain_notation(text: str) -> str:
    """Returns the text with one way to write each sign, and without marks around formulas."""
    return _MARKS.sub(lambda match: _NOTATION[match[0]], text)


def _left_side(text: str, start: int, end: int) -> str:
    """Returns the sum that ends before `end`; '' where there is none, or where it is only the tail of one."""
    window = text[max(start, end - _MAX_SIDE) : end]
    if len(window) < _MAX_SIDE and _OF_TWO.fullmatch(plain := window.strip(" \t.,")):
        return plain  # what follows comes to the same, for most sums
    run = _BACKWARDS.match(window[::-1])
    left = run[0][::-1] if run else ""
    before = window[: len(window) - len(left)][-1:]
    if len(left) == len(window) and len(window) == _MAX_SIDE:
        return ""
    if not before and (start == 0 or text[start - 1] == "\n"):
        left = _BULLET.sub("", left, count=1) if _BULLET.match(left) else left
    elif _GOES_ON_BEFORE.match(before) and left[:1] not in (" ", "\t", ".", ","):
        return ""
    left = left.strip(" \t.,")
    is_sum = left[:1].isdigit() or left[:1] in ("$", "(") or (left[:1] == "-" and not before)
    return left if is_sum and left[-1] in "0123456789)%" and _SUM.search(left) else ""


def value_of_sum(left: str) -> float | None:
    """Returns the value of a sum of plain numbers, or None where it is no such thing."""
    plain = _OF_TWO.fullmatch(left)
    if plain and (plain[2] != "/" or float(plain[3])):
        value = _OF_SIGNS[plain[2]](float(plain[1]), float(plain[3]))
        return value if math.isfinite(value) else None
    expression = _THOUSANDS.sub("", _TIMES.sub("*", left)).translate(_SIGNS)
    if "%" in expression:
        expression = _PERCENT.sub(r"(\1/100)", expression)
    if not expression.isascii():
        return None
    tokens = _TOKEN.findall(expression)[::-1]  # the next one is the last
    try:
        value = _terms(tokens)
    except (ValueError, ZeroDivisionError, IndexError, RecursionError):
        return None
    return value if math.isfinite(value) and not tokens else None


def _terms(tokens: list[str]) -> float:
    """Returns the value of terms that are added and subtracted, whose tokens are taken off the end."""
    value = _factors(tokens)
    while tokens and tokens[-1] in "+-":
        value = _OF_SIGNS[tokens.pop()](value, _factors(tokens))
    return value


def _factors(tokens: list[str]) -> float:
    value = _factor(tokens)
    while tokens and tokens[-1] in "*/":
        value = _OF_SIGNS[tokens.pop()](value, _factor(tokens))
    return value


def _factor(tokens: list[str]) -> float:
    token = tokens.pop()
    if token == "-":
        return -_factor(tokens)
    if token == "(":
        value = _terms(tokens)
        if tokens.pop() != ")":
            raise ValueError("a bracket is left open")
        return value
    if token[0] == "0" and token.isdigit() and int(token):
        raise ValueError("a number with a zero in front")  # a code or a date
    return float(token)
