"""A verifier: every sum that an answer writes out is worked out again."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable

from ...backends import Completion, Query

_EQUATION = re.compile(r"([\d$(][\d\s.,$()+\-*/×÷x·%]*?[\d)%])\s*=\s*\$?\s*(-?\d[\d,]*(?:\.\d+)?)(?![\d]*\s*[+\-*/×÷x·])")
_SIGNS = str.maketrans({"×": "*", "÷": "/", "·": "*", "x": "*", "$": None, ",": None, "\n": " "})
_MAX_CHARACTERS = 20_000
_MAX_EQUATIONS = 60
_OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class ArithmeticVerifier:
    """How many equations of plain numbers the answer contains, and which share of them is wrong."""

    names = ("log_checked", "share_wrong", "any_wrong")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; shares are NaN where nothing could be checked."""
        text = (completion.reasoning + "\n" + completion.text)[-_MAX_CHARACTERS:]
        checks = check_equations(text)
        if not checks:
            return 0.0, math.nan, math.nan
        wrong = checks.count(False)
        return math.log1p(len(checks)), wrong / len(checks), float(wrong > 0)


def check_equations(text: str) -> list[bool]:
    """Returns for each equation `sum = number` in the text whether it holds, to the digits that are written.

    >>> check_equations("16 - 3 - 4 = 9 eggs, so 9 * 2 = $18, and 7 + 5 = 13.")
    [True, True, False]
    """
    results = []
    for match in list(_EQUATION.finditer(text))[:_MAX_EQUATIONS]:
        left, right = match.group(1), match.group(2).replace(",", "")
        if not re.search(r"[+\-*/×÷x·]", left[1:]):
            continue
        value = _evaluate(re.sub(r"(\d(?:\.\d+)?)\s*%", r"(\1/100)", left.translate(_SIGNS)))
        if value is None:
            continue
        decimals = len(right.partition(".")[2])
        results.append(abs(value - float(right)) <= 0.51 * 10.0**-decimals + 1e-9 * abs(value))
    return results


def _evaluate(expression: str) -> float | None:
    """Returns the value of a sum of plain numbers, or None where it is no such thing."""
    if len(expression) > 200:
        return None
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, TypeError, RecursionError, MemoryError):
        return None
    return value if math.isfinite(value) else None


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
        return _OPERATIONS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    raise ValueError("not a plain sum")
