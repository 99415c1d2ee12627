"""The verifier that puts what was found into the equations again."""

from __future__ import annotations

import math

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.equations import EquationVerifier, check_solutions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2x + 3 = 11\n2x = 8\nx = 4", [True, True]),
        ("2x + 3 = 11\n2x = 9\nx = 4.5", [False, True]),
        ("Let a = 5. Then 2(a + 1) = 12 and 3a - 2 = 14.", [True, False]),
        ("x + y = 10, x - y = 2, so x = 6 and y = 4.", [True, True]),
        ("x = 2 or x = 3, since x^2 - 5x + 6 = 0.", [True]),
        ("x = 2 or x = 4, since x^2 - 5x + 6 = 1.", [False]),
        (r"$\frac{x}{2} = 3$, so $x = 6$", [True]),
        (r"\(2x \times 3 = 12\), \(x = 2\)", [True]),
        ("3x = 10, so x = 3.33", [True]),
        ("-x - -3 = 1, so 2 = x", [True]),
        ("x = y + 1 = 5, y = 4", [True]),
    ],
)
def test_what_was_found_is_put_into_the_equations(text: str, expected: list[bool]) -> None:
    assert check_solutions(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7",
        "2x + 3 = 11",
        "f(x) = x^2, x = 3",
        "x = 1, x = 2, x = 3, 2x = 4",
        "total_x = 5, x = 4, cost = 2x",
        "x = 4, 5x = 20%",
        "x = 0, 1/x = 7",
        "x = 4, x! = 24",
        "x = 9, 2^(2x) = 5",
        "x = 4, 2x + = 8",
        "x = 999999999999, y = 2, x^6 = 3y",
    ],
)
def test_what_is_not_understood_is_left_out(text: str) -> None:
    assert check_solutions(text) == []


def test_the_share_of_equations_that_do_not_hold_is_told() -> None:
    completion = Completion(text="x = 4", reasoning="2x + 3 = 11, 3x = 13")
    assert EquationVerifier().read(Query.from_text("?"), completion) == pytest.approx((math.log(3), 0.5))


def test_without_unknowns_nothing_is_said() -> None:
    count, share = EquationVerifier().read(Query.from_text("?"), Completion(text="It is 4."))
    assert count == 0
    assert math.isnan(share)


def test_many_equations_are_read_to_a_bound() -> None:
    assert len(check_solutions("x = 1\n" + "2x = 2\n" * 500)) == 59
