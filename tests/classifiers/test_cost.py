from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers import FitError, fit_cost
from penstock.classifiers.ridge import FloatArray

from .planted import Planted, plant, query_of

NOTHING = np.nan


def quantities_of(planted: Planted, cost: FloatArray) -> FloatArray:
    """Returns quantities of which only the cost is known."""
    out = np.full((len(planted.texts), 3, cost.shape[1]), NOTHING)
    out[:, 0] = cost
    return out


def lognormal(planted: Planted, spread: float, seed: int = 0) -> FloatArray:
    """Returns costs around 1 and 4 for easy and hard queries, a hundred times that at the second backend."""
    rng = np.random.default_rng(seed)
    level = np.where(planted.is_hard[:, None] == 1, [4.0, 400.0], [1.0, 100.0])
    noise: FloatArray = level * np.exp(spread * rng.normal(size=level.shape) - spread**2 / 2)
    return noise


def test_the_expected_cost_is_the_mean_and_not_the_median() -> None:
    planted = plant(800)
    cost = lognormal(planted, spread=1.0)
    model, out_of_fold = fit_cost(planted.features, quantities_of(planted, cost), planted.folds)
    for expected in (model.predict(planted.features)[:, 0], out_of_fold[:, 0]):
        assert expected.mean(0) == pytest.approx(cost.mean(0), rel=0.15)
        for hard in (0, 1):
            rows = planted.is_hard == hard
            assert expected[rows].mean(0) == pytest.approx(cost[rows].mean(0), rel=0.25)


@pytest.mark.parametrize("spread", [0.3, 1.0])
def test_nine_in_ten_calls_stay_below_the_tail(spread: float) -> None:
    planted = plant(800)
    cost = lognormal(planted, spread=spread)
    model, expected = fit_cost(planted.features, quantities_of(planted, cost), planted.folds)
    assert (cost <= expected[:, 0] * model.tails()[0]).mean(0) == pytest.approx(0.9, abs=0.03)
    assert np.isnan(model.tails()[1:]).all()


def test_the_tail_is_never_below_what_is_expected() -> None:
    planted = plant(200)
    free = np.zeros((200, 2))
    for cost in (free, lognormal(planted, spread=0.0), lognormal(planted, spread=4.0)):
        model, _ = fit_cost(planted.features, quantities_of(planted, cost), planted.folds)
        assert (model.tails()[0] >= 1).all()


def test_hard_queries_are_expected_to_cost_more() -> None:
    planted = plant(400)
    _, expected = fit_cost(planted.features, quantities_of(planted, lognormal(planted, spread=0.3)), planted.folds)
    hard, easy = expected[planted.is_hard == 1, 0], expected[planted.is_hard == 0, 0]
    assert (hard.mean(0) > 2 * easy.mean(0)).all()


def test_one_query_is_expected_to_cost_what_it_does_in_a_batch() -> None:
    planted = plant(60)
    model, _ = fit_cost(planted.features, quantities_of(planted, lognormal(planted, spread=0.5)), planted.folds)
    batch = model.predict(planted.features)
    for row in range(60):
        assert model.predict_one(query_of(planted.features, row)) == pytest.approx(batch[row], rel=1e-4, nan_ok=True)


def test_what_was_never_observed_stays_unknown() -> None:
    planted = plant(60)
    quantities = quantities_of(planted, lognormal(planted, spread=0.5))
    quantities[:, 2, 1] = 3.0  # the second backend's latency, too
    model, out_of_fold = fit_cost(planted.features, quantities, planted.folds)
    known = np.array([[True, True], [False, False], [False, True]])
    for expected in (model.predict(planted.features), out_of_fold):
        assert expected.shape == (60, 3, 2)
        assert (np.isfinite(expected) == known).all()
    assert model.predict(planted.features)[:, 2, 1] == pytest.approx(np.full(60, 3.0), rel=1e-4)


def test_nothing_observed_at_all_is_all_unknown() -> None:
    planted = plant(60)
    model, out_of_fold = fit_cost(planted.features, np.full((60, 3, 2), NOTHING), planted.folds)
    assert np.isnan(out_of_fold).all()
    assert np.isnan(model.predict_one(query_of(planted.features, 0))).all()


def test_what_was_always_free_stays_free() -> None:
    planted = plant(60)
    cost = lognormal(planted, spread=0.5)
    cost[:, 0] = 0
    model, out_of_fold = fit_cost(planted.features, quantities_of(planted, cost), planted.folds)
    assert (model.predict(planted.features)[:, 0, 0] == 0).all()
    assert (out_of_fold[:, 0, 0] == 0).all()
    assert (out_of_fold[:, 0, 1] > 0).all()


def test_a_single_zero_counts_as_the_least_cost() -> None:
    planted = plant(60)
    cost = lognormal(planted, spread=0.1)
    with_zero, with_least = cost.copy(), cost.copy()
    with_zero[7, 0] = 0
    with_least[7, 0] = np.delete(cost[:, 0], 7).min()
    _, one = fit_cost(planted.features, quantities_of(planted, with_zero), planted.folds)
    _, other = fit_cost(planted.features, quantities_of(planted, with_least), planted.folds)
    np.testing.assert_array_equal(one, other)


def test_missing_cells_are_filled_from_the_other_backends() -> None:
    planted = plant(400)
    cost = lognormal(planted, spread=0.2)
    cost[np.random.default_rng(3).random(400) < 0.5, 1] = NOTHING
    _, expected = fit_cost(planted.features, quantities_of(planted, cost), planted.folds)
    assert np.isfinite(expected[:, 0]).all()
    assert expected[planted.is_hard == 1, 0, 1].mean() == pytest.approx(400, rel=0.3)


@pytest.mark.parametrize(
    ("quantities", "message"),
    [
        (np.ones((20, 2, 2)), r"expected shape \(20, 3, n_backends\), got \(20, 2, 2\)"),
        (np.ones((19, 3, 2)), r"expected shape \(20, 3, n_backends\), got \(19, 3, 2\)"),
        (np.full((20, 3, 2), -1.0), "finite numbers >= 0"),
        (np.full((20, 3, 2), np.inf), "finite numbers >= 0"),
    ],
)
def test_quantities_that_cannot_be_are_refused(quantities: FloatArray, message: str) -> None:
    planted = plant(20)
    with pytest.raises(FitError, match=message):
        fit_cost(planted.features, quantities, planted.folds)
