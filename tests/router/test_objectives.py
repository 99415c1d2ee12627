from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from penstock.backends import ConfigError
from penstock.classifiers import Escalation
from penstock.router import OBJECTIVES, Outlook, Policy, Tried
from penstock.router.objectives import create_objective

from .pieces import outlook

UTILITY, CHEAPEST_ABOVE = create_objective("utility"), create_objective("cheapest_above")
LAMS = st.sampled_from([0.0, 0.1, 1.0, 5.0, 20.0, 100.0, 1e4, 1e8, 1e15]) | st.integers(0, 1000).map(float)


def auto(lam: float = 20.0) -> Policy:
    """Returns a policy of the objective `utility`."""
    return Policy(name="auto", lam=lam)


def frugal(quality: float = 0.8) -> Policy:
    """Returns a policy of the objective `cheapest_above`."""
    return Policy(name="frugal", objective="cheapest_above", quality=quality)


def tried(place: int, confidence: float, cost_usd: float = 0.0) -> tuple[Tried, ...]:
    """Returns one call that was made."""
    return (Tried(place=place, confidence=confidence, cost_usd=cost_usd),)


@st.composite
def outlooks(draw: st.DrawFn, *, can_check: bool) -> Outlook:
    """Draws what may be expected of one to five backends, ties included."""
    n = draw(st.integers(1, 5))
    share = st.integers(0, 100).map(lambda percent: percent / 100)
    return Outlook(
        backends=tuple(f"b{place}" for place in range(n)),
        quality=np.array(draw(st.lists(share, min_size=n, max_size=n))),
        cost_usd=np.array(draw(st.lists(st.integers(0, 50), min_size=n, max_size=n))) / 1000,
        escalation=Escalation(
            loading=np.array(draw(st.lists(share, min_size=n, max_size=n))) * 4,
            power=np.array(draw(st.lists(share, min_size=n, max_size=n))) if can_check else np.zeros(n),
            collision=np.array([draw(share) * 4 - 3, draw(share) - 0.5]),
            comparable=draw(st.sampled_from([0.0, 0.5, 1.0])) if can_check else 0.0,
            overlap=0.0,
        ),
        max_calls=draw(st.integers(1, 4)),
        budget_usd=draw(st.sampled_from([float("inf"), 0.0, 0.02, 0.06])),
    )


# Every objective


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=150, deadline=None)
@given(seen=outlooks(can_check=True), lam=LAMS, floor=st.integers(0, 10), confidence=st.integers(0, 10))
def test_an_objective_never_repeats_a_backend_nor_breaks_a_limit(
    name: str, seen: Outlook, lam: float, floor: int, confidence: int
) -> None:
    objective, policy = create_objective(name), Policy(name="p", objective=name, lam=lam, quality=floor / 10)
    first = objective.start(seen, policy)
    assert 0 <= first < len(seen.backends)
    calls = tried(first, confidence / 10, float(seen.cost_usd[first]))
    while (place := objective.escalate(seen, policy, calls)) is not None:
        assert place not in {call.place for call in calls}
        assert len(calls) < seen.max_calls
        assert sum(call.cost_usd for call in calls) + seen.cost_usd[place] <= seen.budget_usd + 1e-12
        calls += tried(place, confidence / 10, float(seen.cost_usd[place]))
    assert len(calls) <= max(seen.max_calls, 1)


@pytest.mark.parametrize("name", OBJECTIVES)
@settings(max_examples=50, deadline=None)
@given(seen=outlooks(can_check=True), lam=LAMS)
def test_a_confidence_of_one_stops(name: str, seen: Outlook, lam: float) -> None:
    policy = Policy(name="p", objective=name, lam=lam)
    objective = create_objective(name)
    place = objective.start(seen, policy)
    assume(seen.escalation.power[place] > 0)  # else its answers cannot be told apart
    assert objective.escalate(seen, policy, tried(place, 1.0)) is None


@pytest.mark.parametrize("name", OBJECTIVES)
def test_one_backend_is_asked_once(name: str) -> None:
    seen, policy = outlook([0.1], [0.01], power=1.0), Policy(name="p", objective=name, lam=0.0)
    objective = create_objective(name)
    assert objective.start(seen, policy) == 0
    assert objective.escalate(seen, policy, tried(0, 0.0)) is None


def test_an_unknown_objective_is_refused_with_those_allowed() -> None:
    with pytest.raises(
        ConfigError,
        match="objective: unknown 'best'; expected one of utility, near_best, cheapest_above, within_of_best, or",
    ):
        create_objective("best")


# utility: whom to ask first


@settings(max_examples=300, deadline=None)
@given(seen=outlooks(can_check=False), lams=st.tuples(LAMS, LAMS))
def test_a_larger_lam_never_raises_the_expected_cost_where_nothing_can_be_checked(
    seen: Outlook, lams: tuple[float, float]
) -> None:
    low, high = (UTILITY.start(seen, auto(lam)) for lam in sorted(lams))
    assert seen.cost_usd[high] <= seen.cost_usd[low]


@settings(max_examples=200, deadline=None)
@given(seen=outlooks(can_check=False), lam=LAMS)
def test_without_checks_nobody_is_worth_more_than_the_first(seen: Outlook, lam: float) -> None:
    worth = seen.quality - lam * seen.cost_usd
    place = UTILITY.start(seen, auto(lam))
    assert worth[place] >= worth.max() - 1e-8 * max(1, abs(worth.max()))


@settings(max_examples=100, deadline=None)
@given(seen=outlooks(can_check=True))
def test_a_huge_lam_asks_the_best_of_the_cheapest_and_nobody_else(seen: Outlook) -> None:
    place = UTILITY.start(seen, auto(1e15))
    cheapest = seen.cost_usd == seen.cost_usd.min()
    assert cheapest[place]
    if seen.cost_usd[place] > 0:
        assert seen.quality[place] == seen.quality[cheapest].max()
        assert UTILITY.escalate(seen, auto(1e15), tried(place, 0.0)) is None


@settings(max_examples=100, deadline=None)
@given(seen=outlooks(can_check=False))
def test_a_lam_of_zero_asks_the_cheapest_of_the_best(seen: Outlook) -> None:
    place = UTILITY.start(seen, auto(0.0))
    best = seen.quality == seen.quality.max()
    assert best[place]
    assert seen.cost_usd[place] == seen.cost_usd[best].min()


@pytest.mark.parametrize("lam", [20.0, 1e6, 1e12, 1e18, 1e300])
@pytest.mark.parametrize("costs", list(itertools.permutations([0.1 + 0.2, 0.3, 0.3 * (1 + 3e-16)])))
def test_costs_that_differ_by_rounding_do_not_pick_the_worse_backend(lam: float, costs: tuple[float, ...]) -> None:
    assert UTILITY.start(outlook([0.5, 0.9, 0.7], costs), auto(lam)) == 1


def test_a_cost_that_really_is_lower_wins_at_a_huge_lam() -> None:
    assert UTILITY.start(outlook([0.5, 0.9], [0.3 * (1 - 1e-6), 0.3]), auto(1e12)) == 0


def test_of_equals_the_first_of_the_file_is_asked() -> None:
    assert UTILITY.start(outlook([0.5, 0.5], [0.1, 0.1]), auto()) == 0


def test_the_option_to_escalate_lets_a_cheap_backend_go_first() -> None:
    quality, cost = [0.5, 0.9], [0.001, 0.01]
    # Alone: 0.5 - 0.02 = 0.48 against 0.9 - 0.2 = 0.7. If its answers can be told apart, half of the time a second
    # call adds 0.9 - 0.2 - 0.01: 0.48 + 0.345 = 0.825.
    assert UTILITY.start(outlook(quality, cost, power=0.0), auto()) == 1
    assert UTILITY.start(outlook(quality, cost, power=1.0), auto()) == 0


@pytest.mark.parametrize("changes", [{"max_calls": 1}, {"budget_usd": 0.0105}], ids=["one call", "budget"])
def test_the_option_is_worth_nothing_where_it_cannot_be_used(changes: dict[str, Any]) -> None:
    assert UTILITY.start(outlook([0.5, 0.9], [0.001, 0.01], power=1.0, **changes), auto()) == 1


# utility: whether to go on


@pytest.mark.parametrize(
    ("confidence", "goes_on"), [(0.0, True), (0.5, True), (0.73, True), (0.735, False), (0.9, False)]
)
def test_utility_goes_on_while_the_expected_gain_exceeds_the_price(confidence: float, goes_on: bool) -> None:
    # Nine times in ten the second answer looks good, 0.955, else it looks bad, 0.407, and the first one is kept:
    # 0.9 * 0.955 + 0.1 * confidence - confidence - 20 * 0.01 > 0.001 up to a confidence of 0.7315
    seen = outlook([0.5, 0.9], [0.001, 0.01], power=0.3)
    assert (UTILITY.escalate(seen, auto(), tried(0, confidence, 0.001)) == 1) is goes_on


def test_utility_does_not_go_on_to_who_fails_at_the_same_queries() -> None:
    quality, cost = [0.7, 0.72], [0.001, 0.01]
    assert UTILITY.escalate(outlook(quality, cost, power=0.3, loading=4.0), auto(30.0), tried(0, 0.0)) is None
    assert UTILITY.escalate(outlook(quality, cost, power=0.3, loading=0.0), auto(30.0), tried(0, 0.0)) == 1


@settings(max_examples=100, deadline=None)
@given(seen=outlooks(can_check=False), lam=LAMS)
def test_utility_does_not_go_on_where_no_answer_can_be_judged(seen: Outlook, lam: float) -> None:
    first = UTILITY.start(seen, auto(lam))
    assert UTILITY.escalate(seen, auto(lam), tried(first, 0.0, float(seen.cost_usd[first]))) is None


def test_utility_goes_on_after_an_answer_that_could_be_judged_even_if_the_last_could_not() -> None:
    seen = outlook([0.5, 0.6, 0.9], [0.001, 0.001, 0.01], power=[0.3, 0.0, 0.0])
    assert UTILITY.escalate(seen, auto(), tried(0, 0.2) + tried(1, 0.6)) == 2


def test_utility_asks_the_better_of_two_that_cost_the_same() -> None:
    seen = outlook([0.5, 0.7, 0.9], [0.001, 0.3, 0.1 + 0.2], power=0.3)
    assert UTILITY.escalate(seen, auto(0.1), tried(0, 0.0)) == 2


@pytest.mark.parametrize(("spent", "goes_on"), [(0.001, True), (0.01, True), (0.0101, False)])
def test_utility_counts_what_was_really_spent_against_the_budget(spent: float, goes_on: bool) -> None:
    seen = outlook([0.5, 0.9], [0.001, 0.01], power=0.3, budget_usd=0.02)
    assert (UTILITY.escalate(seen, auto(), tried(0, 0.0, spent)) == 1) is goes_on


def test_a_lam_of_zero_does_not_ask_everybody_for_nothing() -> None:
    seen = outlook([0.9, 0.9], [0.001, 0.01], power=0.3)
    assert UTILITY.escalate(seen, auto(0.0), tried(0, 0.995)) is None


# cheapest_above


@pytest.mark.parametrize(
    ("floor", "place"), [(0.0, 0), (0.5, 0), (0.51, 1), (0.7, 1), (0.8, 2), (0.95, 2)], ids=lambda value: str(value)
)
def test_cheapest_above_starts_with_the_cheapest_good_enough_or_else_the_best(floor: float, place: int) -> None:
    assert CHEAPEST_ABOVE.start(outlook([0.5, 0.7, 0.9], [0.001, 0.01, 0.1]), frugal(floor)) == place


@settings(max_examples=150, deadline=None)
@given(seen=outlooks(can_check=True), floor=st.integers(0, 10))
def test_cheapest_above_starts_with_nobody_dearer_than_needed(seen: Outlook, floor: int) -> None:
    place = CHEAPEST_ABOVE.start(seen, frugal(floor / 10))
    enough = seen.quality >= floor / 10
    if enough.any():
        assert enough[place]
        assert seen.cost_usd[place] == seen.cost_usd[enough].min()
    else:
        assert seen.quality[place] == seen.quality.max()


def test_cheapest_above_asks_the_better_of_two_that_cost_the_same_but_for_rounding() -> None:
    assert CHEAPEST_ABOVE.start(outlook([0.85, 0.9], [0.3, 0.1 + 0.2]), frugal()) == 1


@pytest.mark.parametrize(("confidence", "place"), [(0.8, None), (0.79, 1), (0.0, 1)])
def test_cheapest_above_goes_on_to_the_cheapest_good_enough_below_the_floor(
    confidence: float, place: int | None
) -> None:
    seen = outlook([0.81, 0.85, 0.95], [0.001, 0.01, 0.1], power=0.3)
    assert CHEAPEST_ABOVE.escalate(seen, frugal(), tried(0, confidence)) == place


def test_cheapest_above_goes_on_to_the_likeliest_where_nobody_is_good_enough() -> None:
    seen = outlook([0.81, 0.85, 0.95], [0.001, 0.01, 0.1], power=0.3, loading=3.0)
    assert CHEAPEST_ABOVE.escalate(seen, frugal(0.99), tried(0, 0.2)) == 2


def test_cheapest_above_stops_where_nobody_is_likelier_to_be_right_than_the_answer() -> None:
    seen = outlook([0.81, 0.55, 0.55], [0.001, 0.01, 0.1])
    assert CHEAPEST_ABOVE.escalate(seen, frugal(0.9), tried(0, 0.81)) is None


def test_cheapest_above_stays_within_the_budget() -> None:
    seen = outlook([0.81, 0.85, 0.95], [0.001, 0.01, 0.1], power=0.3, budget_usd=0.0105)
    assert CHEAPEST_ABOVE.escalate(seen, frugal(), tried(0, 0.1, 0.001)) is None
