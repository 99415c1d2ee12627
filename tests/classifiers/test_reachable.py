"""Whether a final number can be made of the question's numbers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    is_reachable, share, log_ways = seen(SEATS, answer)
    assert is_reachable == 0
    assert math.isnan(share)
    assert log_ways > 1


def test_the_more_numbers_the_more_ways() -> None:
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


def all_that_comes_out(numbers: list[float]) -> dict[float, int]:
    """Returns every number that comes out, with how many of the question's numbers it takes at most, one by one."""
    levels: list[dict[float, int]] = [{}, {}]  # without the last number, and with it
    for place, number in enumerate(numbers):
        before, values = levels[-2:]
        grown = dict(values)
        for joined, n_more, others in ((number, 1, values), (numbers[place - 1] * number, 2, before))[
            : 1 + bool(place)
        ]:
            made = [(joined, n_more)]
            for value, n_used in others.items():
                results = [value + joined, abs(value - joined), value * joined]
                results += [float(f"{a / b:.7g}") for a, b in ((value, joined), (joined, value)) if b]
                made += [(result, n_used + n_more) for result in results]
            for result, n_used in made:
                grown[result] = max(grown.get(result, 0), n_used)
        levels.append(grown)
    return levels[-1]


@given(
    numbers=st.lists(st.sampled_from([0, 1, 2, 3, 7, 12, 45, 100, 0.5, 2.5, 1234]), min_size=2, max_size=4),
    answer=st.sampled_from([0, 1, 4, 5, 9, 14, 19, 36, 0.25, 3.333333, 0.1428571, 102.8333, 1234]),
)
def test_what_is_looked_for_comes_out_as_if_all_had_been_worked_out(numbers: list[float], answer: float) -> None:
    known = all_that_comes_out(numbers)
    for wanted in (answer, *list(known)[::17]):
        shown = f"{wanted:.15f}".rstrip("0").rstrip(".")
        is_reachable, share, _ = seen(f"Take {' and '.join(map(str, numbers))}?", shown)
        n_used = known.get(float(shown) if float(shown).is_integer() else float(f"{float(shown):.7g}"))
        assert is_reachable == (n_used is not None)
        assert share == pytest.approx(math.nan if n_used is None else n_used / len(numbers), nan_ok=True)
