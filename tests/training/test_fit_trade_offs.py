"""Trade-offs: what the training queries lost and saved, and the policy that lives on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import Trained, load_artefact, save_artefact
from penstock.classifiers.trade_offs import TradeOffs
from penstock.router import Policy, Pool
from penstock.training import Dataset, Replayer
from penstock.training.fit_trade_offs import fit_trade_offs
from penstock.training.held_out import HeldOut
from penstock.training.progress import Silent

NEAR = Policy(name="near", objective="near_best", margin=0.05)


def found_for(trained: Trained, dataset: Dataset, held_out: HeldOut, families: Sequence[str] = ()) -> TradeOffs:
    """Returns the trade-offs; where no families are named, no query is a twin of another."""
    return fit_trade_offs(trained, dataset, held_out, families or [*map(str, range(dataset.n_queries))], Silent())


def told(dataset: Dataset, quality: np.ndarray, confidences: np.ndarray) -> HeldOut:
    """Returns what is thought of these queries."""
    return HeldOut(quality=quality, cost_usd=dataset.cost_usd, confidences=confidences)


def test_the_greater_lam_the_more_is_saved_and_lost(demo) -> None:  # type: ignore[no-untyped-def]
    found = demo.fitted.trained.trade_offs
    assert (np.diff(found.lams) > 0).all()
    assert found.cost[-1] < 0.5 * found.cost[0]
    assert found.lag[-1] > found.lag[0] + 0.05
    assert (found.lag_error > 0).any()


def test_near_best_saves_and_stays_near_the_best_on_unseen_queries(demo) -> None:  # type: ignore[no-untyped-def]
    outcome = Replayer(Pool({}, demo.fitted.trained), demo.test).outcome(NEAR)
    best = int(demo.test.quality.mean(axis=0).argmax())
    assert outcome.score.mean() > demo.test.quality[:, best].mean() - 2 * NEAR.margin
    assert outcome.cost_usd.mean() < demo.test.cost_usd[:, best].mean()


def test_what_is_thought_of_held_out_queries_is_what_decides(demo) -> None:  # type: ignore[no-untyped-def]
    test, trained = demo.test, demo.fitted.trained
    known = found_for(trained, test, told(test, test.quality, test.quality))
    nothing = np.full(test.quality.shape, test.quality.mean())
    unknown = found_for(trained, test, told(test, nothing, nothing))
    assert known.lag[0] <= 0
    assert known.cost[0] < 0.7
    assert (unknown.lam_within(0.02) or 0.0) < (known.lam_within(0.02) or 0.0)


def test_where_the_best_backend_is_free_there_is_nothing_to_trade(demo) -> None:  # type: ignore[no-untyped-def]
    free = replace(demo.test, cost_usd=np.zeros_like(demo.test.cost_usd))
    found = found_for(demo.fitted.trained, free, told(free, free.quality, free.quality))
    assert found.lam_within(0.5) is None


def test_queries_that_one_backend_alone_was_asked_tell_of_no_loss(demo) -> None:  # type: ignore[no-untyped-def]
    test = demo.test
    asked = np.arange(test.n_queries)[:, None] % test.n_backends == np.arange(test.n_backends)
    apart = replace(
        test, quality=np.where(asked, test.quality, np.nan), cost_usd=np.where(asked, test.cost_usd, np.nan)
    )
    found = found_for(demo.fitted.trained, apart, told(apart, test.quality, test.quality))
    assert found.lam_within(0.5) is None


def test_twins_are_no_further_evidence(demo) -> None:  # type: ignore[no-untyped-def]
    trained, once = demo.fitted.trained, demo.test
    twice = once.take(np.repeat(np.arange(once.n_queries), 2))
    alone = found_for(trained, once, told(once, once.quality, once.quality))
    families = [str(row // 2) for row in range(twice.n_queries)]
    beside = found_for(trained, twice, told(twice, twice.quality, twice.quality), families)
    assert alone.lag_error.max() > 0
    assert beside.lag_error == pytest.approx(alone.lag_error)


def test_whoever_always_asks_the_best_backend_loses_nothing_where_there_are_several_draws(demo) -> None:  # type: ignore[no-untyped-def]
    once = demo.test
    scores = np.random.default_rng(0).random(once.quality.shape) * 0.5 + 0.5 * (np.arange(once.n_backends) == 0)
    drawn = replace(once, quality=scores, n_draws=np.full(once.quality.shape, 2))
    assert not np.allclose(drawn.as_answered().quality, drawn.quality)
    sure = np.broadcast_to(np.where(np.arange(once.n_backends) == 0, 0.99, 0.01), scores.shape)
    found = found_for(demo.fitted.trained, drawn, told(drawn, sure, sure))
    assert found.best == once.backends[0]
    assert (found.lag[0], found.lag_error[0], found.cost[0]) == pytest.approx((0.0, 0.0, 1.0))


def test_an_artefact_keeps_its_trade_offs(demo, tmp_path) -> None:  # type: ignore[no-untyped-def]
    trained = demo.fitted.trained
    save_artefact(trained, tmp_path / "a", training_data_sha256="", seed=0, metrics={})
    again, _ = load_artefact(tmp_path / "a")
    assert again.trade_offs is not None
    assert again.trade_offs.lam_within(0.02) == pytest.approx(trained.trade_offs.lam_within(0.02))
