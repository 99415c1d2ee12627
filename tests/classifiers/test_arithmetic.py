from __future__ import annotations

import re

import pytest

from penstock.classifiers.signals import arithmetic
from penstock.classifiers.signals.arithmetic import check_equations

from .hostile import HOSTILE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 + 2 = 4", [True]),
        ("2 + 2 = 5", [False]),
        ("so 16 - 3 - 4 = 9 eggs, and 9 * $2 = $18.", [True, True]),
        ("10 + 2.5 = 12.5", [True]),
        ("2 / 3 = 0.67", [True]),
        ("2 / 3 = 0.66, cut off", [True]),
        ("2 / 3 = 0.7", [True]),
        ("1,000 + 1 = 1,001", [True]),
        ("3 × 4 = 12, 12 ÷ 4 = 3, 3 · 2 = 6, 3 x 4 = 12", [True] * 4),
        (r"\(3 \times 4 + 2 = 14\) and \[12 \div 4 = 3\]", [True, True]),
        ("**5 + 6 = 11**", [True]),
        ("(2 + 3) * 4 = 20", [True]),
        ("5 − 7 = -2", [True]),
        ("20% * 50 = 10 and 12.5% * 80 = 10", [True, True]),
        ("50 / 200 = 25%", [True]),
        ("5 * 9% = 45%", [True]),
        ("50 / 200 = 30%", [False]),
        ("- 3 + 4 = 7\n* 3 + 4 = 7\n1. 3 + 4 = 7\n2) 3 + 4 = 7", [True] * 4),
        ("Total: 12\n3 + 4 = 7\n8 + 1 = 9", [True, True]),
        ("-3 + 4 = 1", [True]),
        ("So, 3 + 4 = 7.", [True]),
        ("3 + 4 = 7 8 + 1 = 9", [True, True]),
        ("x = 3 + 4 = 7", [True]),
        ("20 - 5 - 3 * (4 - 1) = 6 and 24 / 4 / 2 = 3", [True, True]),
        ("2 * -3 + 10 = 4 and (-(2 + 3)) * 2 + 11 = 1", [True, True]),
        ("0.5 * (.5 + 1.5) + 00 = 1", [True]),
    ],
)
def test_sums_are_worked_out_again(text: str, expected: list[bool]) -> None:
    assert check_equations(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "5 * 200 = 1,000 + 50",  # not 5 * 200 = 1
        "10 + 2.75 = 12.75 + 1",  # not 10 + 2.75 = 12
        "2x - 3 = 7",
        "y - 3 + 4 = 10",
        "x^2 + 3 = 7",
        "a_1 + 2 = 5",
        r"\frac{6}{2} + 4 = 7",
        r"\sqrt{9} * 2 + 1 = 7",
        "f(2) + 1 = 9",
        "5!/(3 * 2) = 20",
        "45 + 5 = 2S",
        "60 - 8 = 2 * (A - 4)",
        "60 - 8 = 2(A - 4)",
        "142 ÷ 9 = 15 remainder 7",
        r"142 \div 9 = 15 \text{ remainder } 7",
        "5 * 4 = 6 choose 3",
        "2 * 3 = 2^3",
        "√(4 * 6) = 2",
        "1, 2 + 3 = 6",
        "5 = 6",
        "007 + 1 = 9",
        "2 (3 + 4) + 1 = 15",
        "(2 + 3)(4 + 5) - 1 = 44",
        "7 // 2 + 1 = 4",
        "1.2.3 + 4 + 1 = 6",
        "(1 + 2 + 3 = 6",
        "3 + 4 == 8",
        "3 + 4 >= 5",
        "2 + 2 =",
        "= 4",
        "1 / 0 = 3",
        "2 ** 3 = 9",
        "__import__('os').system('x') + 1 = 2",
        "(" * 150 + "1 + 1" + ")" * 150 + " = 3",
        "1 + " * 60 + "1 = 3",
    ],
)
def test_what_is_no_plain_sum_is_left_out(text: str) -> None:
    assert check_equations(text) == []


def test_only_so_many_sums_are_checked() -> None:
    assert len(check_equations("1 + 1 = 2\n" * 500)) == 60


class Watched:
    """A pattern that keeps count of the characters it was shown."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self.pattern = pattern
        self.longest = self.total = 0

    def match(self, text: str, start: int = 0, end: int | None = None) -> re.Match[str] | None:
        shown = min(len(text), len(text) if end is None else end) - start
        self.longest, self.total = max(self.longest, shown), self.total + shown
        return self.pattern.match(text, start, len(text) if end is None else end)

    def findall(self, text: str) -> list[str]:
        self.total += len(text)
        return self.pattern.findall(text)


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_every_look_at_a_text_is_a_short_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = HOSTILE[name][-20_000:]
    left, right, tokens = Watched(arithmetic._BACKWARDS), Watched(arithmetic._RESULT), Watched(arithmetic._TOKEN)
    monkeypatch.setattr(arithmetic, "_BACKWARDS", left)
    monkeypatch.setattr(arithmetic, "_RESULT", right)
    monkeypatch.setattr(arithmetic, "_TOKEN", tokens)
    check_equations(text)
    assert max(left.longest, right.longest) <= arithmetic._MAX_SIDE
    assert left.total <= len(text)
    assert right.total <= arithmetic._MAX_SIDE * text.count("=")
    assert tokens.total <= 10 * len(text)
