from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import Query
from penstock.classifiers import Estimates, no_escalation
from penstock.router import Decision, Policy, Router, Wishes, decide
from penstock.router.flips import Flip, find_flips

from .pieces import estimates, spec
from .serving import HELLO, MODELS, make_router, write_models

EXPECTED = estimates([0.5, 0.7, 0.95], [0.001, 0.01, 0.1])
AUTO = Policy(name="auto", lam=10)


def again(expected: Estimates, policy: Policy) -> Decision:
    """Returns the decision among backends of which two tell something of the third."""
    n = len(expected.backends)
    known = replace(no_escalation(n), loading=np.full(n, 2.0), power=np.full(n, 0.5))
    specs = {name: spec(name) for name in expected.backends}
    return decide(Query.from_text("hello"), expected, policy, specs=specs, escalation=known)


def flips_of(expected: Estimates, policy: Policy) -> tuple[Flip, ...]:
    return find_flips(again(expected, policy), expected, again)


def with_figure(flip: Flip, expected: Estimates, policy: Policy, value: float) -> str:
    """Returns who is asked first where the figure has this value."""
    if flip.figure == "lam":
        return again(expected, replace(policy, lam=value)).backend
    values = getattr(expected, flip.figure).copy()
    values[expected.backends.index(again(expected, policy).backend)] = value
    changes: dict[str, Any] = {flip.figure: values}
    return again(replace(expected, **changes), policy).backend


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), max_calls=st.integers(1, 3), lam=st.sampled_from([0.0, 1.0, 20.0]))
def test_the_told_change_flips_the_decision_and_a_bit_less_does_not(seed: int, max_calls: int, lam: float) -> None:
    rng = np.random.default_rng(seed)
    expected = estimates(rng.uniform(0.1, 0.9, 3).tolist(), rng.uniform(0.001, 0.1, 3).tolist())
    policy = Policy(name="auto", lam=lam, max_calls=max_calls)
    first = again(expected, policy).backend
    flips = flips_of(expected, policy)
    assert flips  # quality alone can always be so low that somebody else is asked
    for flip in flips:
        assert flip.backend != first
        assert with_figure(flip, expected, policy, flip.then) == flip.backend
        assert with_figure(flip, expected, policy, flip.now + 0.99 * (flip.then - flip.now)) == first


def test_lam_is_told_either_way() -> None:
    policy = replace(AUTO, max_calls=1)
    up, down = (flip for flip in flips_of(EXPECTED, policy) if flip.figure == "lam")
    assert again(EXPECTED, policy).backend == "mid"
    assert (up.backend, down.backend) == ("small", "lrm")
    assert up.then == pytest.approx(0.2 / 0.009, rel=1e-3)
    assert down.then == pytest.approx(0.25 / 0.09, rel=1e-3)


def test_a_budget_that_the_price_would_break_flips_too() -> None:
    policy = Policy(name="auto", lam=0, max_calls=1, max_cost_usd=0.15)
    (cost,) = (flip for flip in flips_of(EXPECTED, policy) if flip.figure == "cost_usd")
    assert cost.backend == "mid"
    assert cost.then == pytest.approx(0.15, rel=1e-3)


def test_what_is_not_known_of_a_backend_is_not_told() -> None:
    unknown = replace(EXPECTED, cost_usd=np.full(3, np.nan))
    assert {flip.figure for flip in flips_of(unknown, AUTO)} == {"quality"}


def test_among_one_there_is_nothing_to_flip() -> None:
    assert flips_of(EXPECTED, replace(AUTO, allow=("mid",))) == ()


def test_a_dry_run_tells_the_flips_and_an_answer_does_not_wait_for_them(tmp_path: Path) -> None:
    with make_router(tmp_path) as router:
        told = router.route(messages=HELLO)
        assert told.flips
        assert json.loads(json.dumps(told.as_dict()))["flips"][0] == told.flips[0].as_dict()
        lines = told.explain().splitlines()
        place = lines.index("what would flip the decision, the rest being as it is:")
        assert lines[place + 1].startswith(f"  {told.flips[0].figure}")
        assert router.ask(messages=HELLO).decision.flips == ()
        lam = next(flip for flip in told.flips if flip.figure == "lam")
        assert router.route(messages=HELLO, wishes=Wishes(lam=lam.then)).backend == lam.backend


def test_a_dry_run_decides_by_the_same_estimates_as_an_answer_also_where_these_are_robust(tmp_path: Path) -> None:
    models = MODELS.replace("policies:\n", "policies:\n  sturdy: {robust: true}\n")
    query = Query.from_text("Prove that there are infinitely many primes. " * 4 + "Thank you, and hello to all.")
    with Router.from_config(write_models(tmp_path, models)) as router:
        quality = router.decide(query, "sturdy").estimates.quality.tolist()
        assert router.dry_run(query, "sturdy").estimates.quality.tolist() == quality
        assert router.dry_run(query, "auto").estimates.quality.tolist() != quality
