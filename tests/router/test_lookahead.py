"""What asking is worth, against trying out every plan in pools of which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers.final_answer import FinalAnswer
from penstock.router import Outlook, Policy, Tried
from penstock.router.belief import _chances, belief_of
from penstock.router.lookahead import MIN_GAIN, _plan, gains
from penstock.router.objectives.utility import Utility
from penstock.router.readings import confidences

from .pieces import outlook
from .worlds import RIGHT, World, best_score, best_value, groups_of, random_outlook, tried_in, worlds_of

LAM = 30.0
SAME, OTHER = FinalAnswer(kind="number", value="1"), FinalAnswer(kind="number", value="2")


def says(*calls: tuple[int, float, FinalAnswer | None]) -> tuple[Tried, ...]:
    """Returns calls that were made: place, confidence, answer."""
    return tuple(Tried(place=place, confidence=c, cost_usd=0.0, answer=answer) for place, c, answer in calls)


# What is believed


def test_one_answer_is_believed_as_its_confidence_says() -> None:
    seen = outlook([0.5, 0.7], [0.001, 0.01], power=0.3, loading=2.0)
    for answer in (None, SAME):
        assert confidences(seen, says((1, 0.9, answer))) == pytest.approx([0.9], abs=1e-3)


def test_answers_that_agree_are_believed_more_and_equally() -> None:
    seen = outlook([0.6, 0.7, 0.8], [0.001, 0.01, 0.1], loading=1.0, comparable=1.0)
    first, second = confidences(seen, says((0, 0.6, SAME), (1, 0.7, SAME)))
    assert first == second > 0.85


def test_of_answers_that_disagree_at_most_one_is_right() -> None:
    seen = outlook([0.6, 0.7], [0.001, 0.01], loading=1.0, comparable=1.0)
    chances = confidences(seen, says((0, 0.6, SAME), (1, 0.7, OTHER)))
    assert chances.sum() < 1
    assert chances[1] > chances[0]


def test_two_that_agree_may_outweigh_a_better_one() -> None:
    seen = outlook([0.6, 0.6, 0.7], [0.001, 0.001, 0.01], loading=1.0, comparable=1.0)
    chances = confidences(seen, says((0, 0.6, SAME), (1, 0.6, SAME), (2, 0.7, OTHER)))
    assert chances[0] == chances[1] > chances[2]


def test_errors_that_go_together_make_agreement_worth_less() -> None:
    quality, cost = [0.6, 0.6], [0.001, 0.001]
    agree = says((0, 0.6, SAME), (1, 0.6, SAME))
    alone = confidences(outlook(quality, cost, comparable=1.0), agree)[0]
    often = outlook(quality, cost, comparable=1.0)
    often = replace(often, escalation=replace(often.escalation, collision=np.array([2.0, 0.0])))
    assert alone > confidences(often, agree)[0] > 0.6


def test_an_answer_that_cannot_be_compared_is_right_or_wrong_for_itself() -> None:
    seen = outlook([0.6, 0.7], [0.001, 0.01], power=0.3)  # errors have nothing to do with each other
    assert confidences(seen, says((0, 0.4, None), (1, 0.9, None))) == pytest.approx([0.4, 0.9], abs=1e-3)


def test_a_wrong_answer_of_one_is_bad_news_of_the_others() -> None:
    seen = outlook([0.6, 0.7], [0.001, 0.01], power=[0.9, 0.0], loading=2.0)
    assert confidences(seen, says((0, 0.01, None), (1, 0.7, None)))[1] < 0.6


def test_where_looking_tells_nothing_confidence_is_not_listened_to() -> None:
    seen = outlook([0.6, 0.7], [0.001, 0.01], power=0.0)
    assert confidences(seen, says((0, 0.01, None))) == pytest.approx([0.6], abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("comparable", [0.0, 1.0])
def test_the_belief_is_that_of_counting_all_worlds(seed: int, comparable: float) -> None:
    seen = random_outlook(seed, 3, comparable=comparable)
    seen = replace(seen, escalation=replace(seen.escalation, power=np.zeros(3)))  # agreement alone
    for part in groups_of(worlds_of(seen), (0, 1, 2), is_compared=comparable > 0):
        total = sum(world.chance for world in part)
        counted = [sum(w.chance for w in part if w.says[place] == RIGHT) / total for place in range(3)]
        assert confidences(seen, tried_in(seen, part[0], (0, 1, 2))) == pytest.approx(counted, abs=5e-3)


# What asking is worth


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("comparable", [0.0, 1.0])
def test_the_value_of_a_first_call_is_that_of_the_best_plan(seed: int, comparable: float) -> None:
    seen = random_outlook(seed, 3, comparable=comparable)
    worlds = worlds_of(seen)

    def charge(place: int, number: int) -> float:
        return LAM * float(seen.cost_usd[place]) + (MIN_GAIN if number else 0)

    found = gains(seen, (), lam=LAM, price=MIN_GAIN)
    for place in range(3):
        parts = groups_of(worlds, (place,), is_compared=comparable > 0)
        value = sum(best_value(seen, part, (place,), charge, 2) for part in parts) - charge(place, 0)
        assert found[place] == pytest.approx(value, abs=5e-3)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("comparable", [0.0, 1.0])
def test_the_value_of_going_on_is_that_of_the_best_plan(seed: int, comparable: float) -> None:
    seen = random_outlook(seed, 3, comparable=comparable)

    def charge(place: int, _number: int) -> float:
        return LAM * float(seen.cost_usd[place]) + MIN_GAIN

    for part in groups_of(worlds_of(seen), (0,), is_compared=comparable > 0):
        total = sum(world.chance for world in part)
        found = gains(seen, tried_in(seen, part[0], (0,)), lam=LAM, price=MIN_GAIN)
        assert found[0] == -np.inf
        value = best_value(seen, part, (0,), charge, 2) / total
        stop = best_score(part, (0,)) / total
        assert max(found.max(), 0.0) == pytest.approx(value - stop, abs=5e-3)


def test_where_hardly_anything_is_uncertain_nothing_is_thought_through() -> None:
    seen = outlook([0.6, 0.7, 0.8], [0.001, 0.01, 0.02], power=0.5, comparable=1.0)
    tried = says((0, 0.99, SAME), (1, 0.99, SAME))
    uncertain = 1 - confidences(seen, tried).max()
    n_thoughts = _plan.cache_info().misses
    found = gains(seen, tried, lam=LAM, price=MIN_GAIN)
    assert _plan.cache_info().misses == n_thoughts
    assert found[:2].tolist() == [-np.inf] * 2
    assert found[2] == pytest.approx(uncertain - LAM * 0.02 - MIN_GAIN)
    assert found[2] < 0


def test_the_first_call_goes_to_who_is_worth_most_where_every_call_costs_more_than_it_can_bring() -> None:
    seen = outlook([0.1, 0.9], [1.0, 1.01], power=0.5)
    assert Utility().start(seen, Policy(name="p", lam=1.5)) == 1


def test_agreement_is_valued_before_it_is_bought() -> None:
    # Nobody can be judged by looking: only that answers can be compared makes a cheap one worth a try.
    quality, cost = [0.7, 0.7, 0.9], [0.0001, 0.0001, 0.01]
    policy = Policy(name="p", lam=30.0)
    assert Utility().start(outlook(quality, cost), policy) == 0
    apart, together = outlook(quality, cost), outlook(quality, cost, comparable=1.0)
    assert gains(together, (), lam=30.0, price=0.0)[0] > gains(apart, (), lam=30.0, price=0.0)[0] + 0.01
    assert Utility().escalate(apart, policy, says((0, 0.7, None))) is None
    assert Utility().escalate(together, policy, says((0, 0.7, SAME))) == 1
    assert Utility().escalate(together, policy, says((0, 0.7, SAME), (1, 0.7, SAME))) is None
    assert Utility().escalate(together, policy, says((0, 0.7, SAME), (1, 0.7, OTHER))) == 2


@pytest.mark.parametrize("answer", [None, SAME])
def test_what_is_kept_of_one_thought_is_that_of_thinking_anew(answer: FinalAnswer | None) -> None:
    pools = [random_outlook(seed, 4, comparable=0.5) for seed in range(3)]
    cases = [
        (replace(seen, budget_usd=budget), tried, lam)
        for seen in (*pools, replace(pools[0], escalation=replace(pools[0].escalation, collision=np.array([0.5, 0.1]))))
        for tried in ((), says((0, 0.4, answer)), says((0, 0.6, answer)), says((0, 0.6, answer), (1, 0.7, OTHER)))
        for lam in (0.0, 20.0)
        for budget in (np.inf, 0.003)
    ]
    kept = [gains(seen, tried, lam=lam, price=MIN_GAIN) for seen, tried, lam in cases]
    for (seen, tried, lam), found in zip(cases, kept, strict=True):
        for memory in (_chances, belief_of, _plan):
            memory.cache_clear()
        np.testing.assert_array_equal(gains(seen, tried, lam=lam, price=MIN_GAIN), found)


def test_of_a_large_pool_the_cheapest_and_the_most_promising_are_looked_at() -> None:
    n = 40
    seen = replace(
        outlook([0.5], [0.001], comparable=1.0),
        backends=tuple(str(place) for place in range(n)),
        quality=np.linspace(0.4, 0.9, n),
        cost_usd=np.geomspace(0.0001, 0.01, n),
        escalation=replace(
            outlook([0.5], [0.001]).escalation, loading=np.ones(n), power=np.full(n, 0.2), comparable=1.0
        ),
    )
    found = gains(seen, (), lam=10.0, price=0.0)
    assert np.isfinite(found[0])
    assert np.isfinite(found[(seen.quality - 10.0 * seen.cost_usd).argmax()])
    assert np.isfinite(found).sum() < n


# The rule as a whole


def value_of_rule(seen: Outlook, worlds: list[World], asked: tuple[int, ...], policy: Policy) -> float:
    """Returns what following the rule is worth, in quality less lam times cost."""
    place: int | None
    if asked:
        place = Utility().escalate(seen, policy, tried_in(seen, worlds[0], asked))
        if place is None:
            chances = confidences(seen, tried_in(seen, worlds[0], asked))
            chosen = asked[int(chances.argmax())]
            return sum(world.chance for world in worlds if world.says[chosen] == RIGHT)
    else:
        place = Utility().start(seen, policy)
    grown = (*asked, place)
    parts = groups_of(worlds, grown, is_compared=seen.escalation.comparable > 0)
    cost = policy.lam * float(seen.cost_usd[place]) * sum(world.chance for world in worlds)
    return sum(value_of_rule(seen, part, grown, policy) for part in parts) - cost


def value_of_threshold_cascade(seen: Outlook, worlds: list[World], first: int, second: int, lam: float) -> float:
    """Returns what asking `first`, and `second` if the answer looks bad, and keeping the last one is worth."""
    value = -lam * float(seen.cost_usd[first])
    for world in worlds:
        if world.looks_good[first]:
            value += world.chance * (world.says[first] == RIGHT)
        else:
            value += world.chance * ((world.says[second] == RIGHT) - lam * float(seen.cost_usd[second]))
    return value


@pytest.mark.parametrize("seed", range(8))
def test_the_rule_is_within_one_percent_of_the_optimum(seed: int) -> None:
    seen, policy = random_outlook(seed, 4, max_calls=4), Policy(name="p", lam=LAM)
    worlds = worlds_of(seen)
    optimum = best_value(seen, worlds, (), lambda place, _: LAM * float(seen.cost_usd[place]), 4)
    assert value_of_rule(seen, worlds, (), policy) >= optimum - 0.01 * abs(optimum)


def worst_shortfall(seeds: range) -> float:
    """Returns by how much the rule falls short of the best plain routing or plain cascade at worst."""
    worst = 0.0
    for seed in seeds:
        seen = random_outlook(seed, 3, comparable=float(seed % 2))
        worlds, lam = worlds_of(seen), float(np.random.default_rng(seed).choice([0.0, 3.0, 30.0, 300.0]))
        plain = float((seen.quality - lam * seen.cost_usd).max())
        for first in range(3):
            for second in {0, 1, 2} - {first}:
                plain = max(plain, value_of_threshold_cascade(seen, worlds, first, second, lam))
        worst = max(worst, plain - value_of_rule(seen, worlds, (), Policy(name="p", lam=lam)))
    return worst


def test_the_rule_is_never_worse_than_plain_routing_or_a_plain_cascade() -> None:
    assert worst_shortfall(range(40)) < 0.01
