"""What a decision may not hang on: the order of backends and of answers, the currency; and what more freedom may do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import Escalation
from penstock.classifiers.final_answer import FinalAnswer
from penstock.router import Outlook, Tried
from penstock.router.lookahead import MIN_GAIN, gains
from penstock.router.outlook import FloatArray
from penstock.router.readings import confidences

ANSWERS = (None, FinalAnswer(kind="number", value="1"), FinalAnswer(kind="number", value="2"))
State = tuple[Outlook, tuple[Tried, ...], float]  # the outlook, what was tried, lam
SEEDS = pytest.mark.parametrize("seed", range(25))


def state(seed: int) -> State:
    """Returns any state of a cascade over one to five backends, some of them free, with a budget or without."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 6))
    cost = 10 ** rng.uniform(-5, -1.5, n) * (rng.random(n) > 0.1)
    seen = Outlook(
        backends=tuple(f"backend {place}" for place in range(n)),
        quality=rng.uniform(0.02, 0.98, n),
        cost_usd=cost,
        escalation=Escalation(
            loading=rng.choice([0.0, 1.5, 3.0], n),
            power=rng.choice([0.0, 0.2, 0.6, 1.0], n),
            collision=rng.uniform(-2, 1, 2),
            comparable=float(rng.choice([0.0, 0.3, 1.0])),
            overlap=float(rng.choice([0.0, 0.5])),
        ),
        max_calls=int(rng.integers(1, 5)),
        budget_usd=float(rng.choice([np.inf, 0.05, 0.01])),
    )
    tried = tuple(
        Tried(
            place=place,
            confidence=float(rng.choice([0.0, rng.random(), 1.0])),
            cost_usd=float(cost[place]),
            answer=ANSWERS[rng.integers(3)],
        )
        for place in rng.permutation(n)[: rng.integers(n)].tolist()
    )
    return seen, tried, float(10 ** rng.uniform(-1, 4))


def worth(found: State, **changes: float) -> FloatArray:
    """Returns what asking each backend adds, where these figures of the outlook are as given."""
    seen, tried, lam = found
    return gains(replace(seen, **changes), tried, lam=lam, price=MIN_GAIN)  # type: ignore[arg-type]  # numbers


@SEEDS
def test_the_order_of_the_backends_changes_nothing(seed: int) -> None:
    seen, tried, lam = found = state(seed)
    order = np.random.default_rng(seed).permutation(len(seen.backends))
    moved = replace(
        seen,
        backends=tuple(seen.backends[place] for place in order),
        quality=seen.quality[order],
        cost_usd=seen.cost_usd[order],
        escalation=seen.escalation.take(order),
    )
    follow = order.argsort()
    calls = tuple(replace(call, place=int(follow[call.place])) for call in tried)
    assert gains(moved, calls, lam=lam, price=MIN_GAIN) == pytest.approx(worth(found)[order])


@SEEDS
def test_the_currency_changes_nothing(seed: int) -> None:
    seen, tried, lam = found = state(seed)
    cents = replace(seen, cost_usd=seen.cost_usd * 100, budget_usd=seen.budget_usd * 100)
    calls = tuple(replace(call, cost_usd=call.cost_usd * 100) for call in tried)
    assert gains(cents, calls, lam=lam / 100, price=MIN_GAIN) == pytest.approx(worth(found))


@SEEDS
def test_neither_a_wider_budget_nor_a_further_call_makes_anybody_worth_less(seed: int) -> None:
    seen, _, _ = found = state(seed)
    now = worth(found)
    told = now > 0  # below 0 it is not worked out how far
    for wider in (worth(found, budget_usd=seen.budget_usd * 2), worth(found, max_calls=seen.max_calls + 1)):
        assert (wider[told] >= now[told] - 1e-9).all()


@SEEDS
def test_the_greater_lam_the_less_is_a_call_worth(seed: int) -> None:
    seen, tried, lam = found = state(seed)
    told = worth(found) > 0
    dearer = gains(seen, tried, lam=2 * lam, price=MIN_GAIN)
    assert (dearer[told] <= worth(found)[told] + 1e-9).all()


@SEEDS
def test_the_order_of_the_answers_changes_no_confidence(seed: int) -> None:
    seen, tried, _ = state(seed)
    if not tried:
        return
    order = np.random.default_rng(seed).permutation(len(tried))
    together = confidences(seen, tried)
    assert confidences(seen, tuple(tried[number] for number in order)) == pytest.approx(together[order])
    assert ((together >= 0) & (together <= 1 + 1e-9)).all()
