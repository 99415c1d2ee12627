"""Whether a final number can be made of the question's numbers."""

from __future__ import annotations

import math

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.reachable import ReachableSignal

SEATS = "Of 120 seats, 85 are taken. How many are free?"


def seen(question: str, answer: str) -> tuple[float, ...]:
    return ReachableSignal().read(Query.from_text(question), Completion(text=answer))


@pytest.mark.parametrize(
    ("question", "answer", "share_used"),
    [
        (SEATS, "35", 1.0),
        (SEATS, "There are 85 left.", 0.5),
        ("Ann has thirteen pens. She is 9 years old. 3 boxes of 4 pens arrive. How many now?", "25", 0.75),
        ("Ann has 20 pens and sells half of them. How many are left?", "10", 1.0),
        ("A dozen eggs cost 3.60 dollars. What does one cost?", "0.3", 1.0),
        ("A bag costs 1,250 dollars, a hat 50. What do both cost?", "$1,300", 1.0),
        ("Three friends share 10 litres. How much does each get?", "3.333333", 1.0),
    ],
)
def test_what_comes_out_of_the_numbers_is_reachable(question: str, answer: str, share_used: float) -> None:
    is_reachable, share, _ = seen(question, answer)
    assert (is_reachable, share) == (1.0, pytest.approx(share_used))


@pytest.mark.parametrize("answer", ["36", "45", "3500"])
def test_a_slip_is_not_reachable(answer: str) -> None:
    is_reachable, share, log_values = seen(SEATS, answer)
    assert is_reachable == 0
    assert math.isnan(share)
    assert log_values > 1


def test_the_more_numbers_the_more_comes_out() -> None:
    assert seen(f"I am 40. {SEATS}", "35")[2] > seen(SEATS, "35")[2]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Who wrote Faust?", "1808"),
        ("I have 2 questions. Who wrote Faust?", "1808"),
        (SEATS, "I cannot tell."),
        (f"{SEATS} {' '.join(str(n) for n in range(20))}", "35"),
        (f"{SEATS} {'It matters a lot to me. ' * 40}", "35"),
        ("Add 3, 14, 159, 2653, 58979 and 323846 and 2.", "7"),
    ],
)
def test_too_few_or_too_many_numbers_tell_nothing(question: str, answer: str) -> None:
    assert all(map(math.isnan, seen(question, answer)))
