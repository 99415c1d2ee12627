"""A verifier: whether what an answer finds for its unknowns solves the equations that it sets up.

Putting the values in checks every step of a derivation at once: a slip between 2x + 3 = 11 and x = 5 shows in the
first line. Exact fractions do it, without the weight of a computer algebra system on the way of every answer.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import islice, pairwise, product

from ...backends import Completion, Query
from .arithmetic import plain_notation, said_by

_MAX_EQUATIONS = 60
_MAX_SIDE = 120  # characters
_MAX_VALUES = 2  # of one unknown; with more it is no unknown but counts through cases
_MAX_WAYS = 8  # of putting the values in
_MAX_POWER, _MAX_SIZE = 6, 10**30
_TOLERANCE = Fraction(1, 100)  # relative, where decimals were written, which are often rounded

_TOKEN = re.compile(r"\d+(?:\.\d+)?|[A-Za-z]|[-+*/^()=]")
_ATOM = r"(?:\d+(?:\.\d+)?|(?<![A-Za-z\\])[A-Za-z](?![A-Za-z'’])|[-+*/^()=])"
_RUN = re.compile(rf"{_ATOM}(?: {{0,2}}{_ATOM})*")
_FINDING = re.compile(r"[A-Za-z] {0,2}=|= {0,2}[A-Za-z]")
_BEFORE = ("", *" \n:,;$.&")  # what a formula may begin behind
_BEHIND = tuple("'\\_!%√")  # what it goes on with in a way that is not understood
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]{1,60})\}\s*\{([^{}]{1,60})\}")
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,12})?")


class EquationVerifier:
    """How many equations with unknowns the found values could be put into, and which share of them does not hold."""

    names = ("log_checked", "share_wrong")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; the share is NaN where nothing could be checked."""
        checks = check_solutions(said_by(completion))
        return math.log1p(len(checks)), checks.count(False) / len(checks) if checks else math.nan


def check_solutions(text: str) -> list[bool]:
    """Returns for each equation whose unknowns are all found whether it holds with the values found.

    >>> check_solutions("2x + 3 = 11, so 2x = 8 and x = 4. With y = 2x + 1, y = 8.")
    [True, True, False]
    """
    equations = list(islice(_equations(text), _MAX_EQUATIONS))
    found: dict[str, set[Fraction]] = {}
    for left, right in equations:
        for name, side in ((left, right), (right, left)):
            if _is_unknown(name) and not _unknowns(side):
                value = _value(side, {})
                if value is not None:
                    found.setdefault(name[0], set()).add(value)
    known = {name: sorted(values) for name, values in found.items() if len(values) <= _MAX_VALUES}
    checks = []
    for left, right in equations:
        unknowns = sorted(_unknowns(left) | _unknowns(right))
        is_finding = any(_is_unknown(a) and not _unknowns(b) for a, b in ((left, right), (right, left)))
        if unknowns and not is_finding and all(name in known for name in unknowns):
            held = [
                _holds(left, right, dict(zip(unknowns, values, strict=True)))
                for values in islice(product(*(known[name] for name in unknowns)), _MAX_WAYS)
            ]
            if None not in held:
                checks.append(any(held))
    return checks


Side = tuple[str, ...]  # tokens


def _equations(text: str) -> Iterator[tuple[Side, Side]]:
    """Yields the two sides of every equation, a chain a = b = c being two; none where no unknown is found."""
    if "=" not in text:
        return
    text = _FRACTION.sub(r"((\1)/(\2))", plain_notation(text)).replace("{", "(").replace("}", ")")
    text = text.replace("×", "*").replace("·", "*").replace("÷", "/")
    if not _FINDING.search(text):  # without a value for an unknown, nothing can be put in
        return
    for run in _RUN.finditer(text):
        if "=" not in run[0]:
            continue
        before, behind = text[: run.start()][-1:], text[run.end() : run.end() + 1]
        sides = run[0].split("=")
        # What goes on in words or signs that are not understood is no side of an equation.
        tokens = [tuple(_TOKEN.findall(side)) if len(side) <= _MAX_SIDE else () for side in sides]
        if before not in _BEFORE:
            tokens[0] = ()
        if behind in _BEHIND:
            tokens[-1] = ()
        yield from ((one, other) for one, other in pairwise(tokens) if one and other)


def _is_unknown(side: Side) -> bool:
    return len(side) == 1 and side[0].isalpha()


def _unknowns(side: Side) -> set[str]:
    return {token for token in side if token.isalpha()}


def _holds(left: Side, right: Side, values: Mapping[str, Fraction]) -> bool | None:
    """Returns whether both sides are the same, None where one cannot be worked out."""
    one, other = _value(left, values), _value(right, values)
    if one is None or other is None:
        return None
    is_rounded = any("." in token for token in (*left, *right)) or any(v.denominator > 1 for v in values.values())
    slack = _TOLERANCE * max(abs(one), abs(other), Fraction(1)) if is_rounded else Fraction(0)
    return abs(one - other) <= slack


def _value(side: Side, values: Mapping[str, Fraction]) -> Fraction | None:
    """Returns what a side comes to, None where it is no expression or grows beyond all measure."""
    try:
        reader = _Reader(side, values)
        value = reader.sum()
        return value if reader.is_done else None
    except (ValueError, ZeroDivisionError, RecursionError):
        return None


class _Reader:
    """Works an expression out as it reads it: sums of products of powers, 2x and 2(x + 1) being products."""

    def __init__(self, tokens: Side, values: Mapping[str, Fraction]) -> None:
        self._tokens = tokens
        self._values = values
        self._place = 0

    @property
    def is_done(self) -> bool:
        """Whether everything was read."""
        return self._place == len(self._tokens)

    def sum(self) -> Fraction:
        """Returns the value of terms that are added and subtracted."""
        sign = self._sign()
        value = sign * self._product()
        while self._next in ("+", "-"):
            sign = self._sign()
            value += sign * self._product()
        return _bounded(value)

    def _sign(self) -> int:
        sign = 1
        while self._next in ("+", "-"):
            sign = -sign if self._take() == "-" else sign
        return sign

    def _product(self) -> Fraction:
        value = self._power()
        while self._next:
            if self._next in "*/":
                is_product = self._take() == "*"
                sign = self._sign()
                factor = sign * self._power()
                value = value * factor if is_product else value / factor
            elif self._next.isalpha() or self._next == "(":
                value *= self._power()
            else:
                break
            value = _bounded(value)
        return value

    def _power(self) -> Fraction:
        value = self._atom()
        if self._next == "^":
            self._take()
            power = self._atom()
            if power.denominator != 1 or not 0 <= power <= _MAX_POWER:
                raise ValueError("a power that is not worked out")
            value = value ** int(power)
        return _bounded(value)

    def _atom(self) -> Fraction:
        token = self._take()
        if token == "(":
            value = self.sum()
            if self._take() != ")":
                raise ValueError("a bracket is left open")
            return value
        if token.isalpha() and token in self._values:
            if self._next == "(":
                raise ValueError("a function")
            return self._values[token]
        if _NUMBER.fullmatch(token):
            return Fraction(token)
        raise ValueError("no number")

    @property
    def _next(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def _take(self) -> str:
        token = self._next
        self._place += 1
        return token


def _bounded(value: Fraction) -> Fraction:
    if abs(value.numerator) > _MAX_SIZE or value.denominator > _MAX_SIZE:
        raise ValueError("too large to matter")
    return value
