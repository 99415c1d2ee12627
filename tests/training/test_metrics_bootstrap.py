"""Weighted figures equal the plain ones on repeated rows, and intervals behave as intervals."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.training.bootstrap import (
    Interval,
    curve_figures,
    mean_interval,
    paired_bootstrap,
    point_bounds,
    probability_intervals,
    reference_figures,
    resampled_weights,
)
from penstock.training.curves import baseline_curves
from penstock.training.evaluation import Curve, FloatArray
from penstock.training.metrics import aiq, apgr, cpt, gap_closed, hull_aiq, oracle_aiq, saving_at_best, single_backends
from penstock.training.probability_metrics import aurc, auroc, brier, ece, equal_width_bins
from penstock.training.weighted import (
    weighted_apgr,
    weighted_aurc,
    weighted_auroc,
    weighted_brier,
    weighted_cpt,
    weighted_ece,
    weighted_mean,
)

Figure = Callable[[FloatArray, FloatArray], float]
Weighted = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]

counted_rows = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]),
        st.sampled_from([0.0, 0.3, 1.0]),
        st.integers(min_value=0, max_value=3),
    ),
    min_size=1,
    max_size=12,
).filter(lambda rows: any(count for _, _, count in rows))


def made(seed: int, n_queries: int = 60) -> tuple[FloatArray, FloatArray]:
    """Quality and cost of three backends, the dearer the better."""
    rng = np.random.default_rng(seed)
    quality = (rng.random((n_queries, 3)) < np.array([0.4, 0.6, 0.8])).astype(np.float64)
    return quality, np.array([1e-5, 1e-4, 1e-3]) * rng.uniform(0.5, 1.5, (n_queries, 3))


@pytest.mark.parametrize(
    ("plain", "weighted"),
    [
        (brier, weighted_brier),
        (auroc, weighted_auroc),
        (aurc, weighted_aurc),
        (ece, lambda p, s, w: weighted_ece(p, s, w, equal_width_bins(p))),
        (lambda p, s: apgr(p, s, np.ones(len(s))), lambda p, s, w: weighted_apgr(p, s, np.ones(len(s)), w)),
        (lambda p, s: cpt(p, s, np.ones(len(s)), 70), lambda p, s, w: weighted_cpt(p, s, np.ones(len(s)), 70, w)),
    ],
    ids=["brier", "auroc", "aurc", "ece", "apgr", "cpt"],
)
@given(rows=counted_rows)
def test_weight_counts_as_that_many_rows(
    plain: Figure, weighted: Weighted, rows: list[tuple[float, float, int]]
) -> None:
    probability, score, count = (np.array(column) for column in zip(*rows, strict=True))
    repeated = plain(np.repeat(probability, count), np.repeat(score, count))
    assert weighted(probability, score, count[np.newaxis].astype(np.float64))[0] == pytest.approx(repeated, nan_ok=True)


def test_resamples_are_drawn_again_by_the_same_seed_only() -> None:
    first, again, other = (np.vstack(list(resampled_weights(20, n_resamples=30, seed=seed))) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    assert (first.sum(axis=1) == 20).all()


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        interval = mean_interval((rng.random(80) < 0.3).astype(np.float64), n_resamples=300, seed=seed)
        covered += interval.low <= 0.3 <= interval.high
    assert 178 <= covered <= 200


def test_paired_difference_of_a_strategy_with_itself_has_no_width() -> None:
    quality, _ = made(0)
    interval = mean_interval(quality[:, 0] - quality[:, 0])
    assert (interval.value, interval.low, interval.high) == (0, 0, 0)


def test_resamples_without_a_value_are_left_out_and_counted() -> None:
    score = np.array([1.0, 0.0, 0.0])
    interval = paired_bootstrap(lambda weights: weighted_auroc(np.array([0.9, 0.2, 0.1]), score, weights), 3)
    assert interval.value == interval.low == interval.high == 1
    assert 0 < interval.share_defined < 1


def test_interval_of_a_figure_that_does_not_exist_is_nan() -> None:
    interval = mean_interval(np.full(3, math.nan))
    assert math.isnan(interval.value)
    assert math.isnan(interval.low)


def test_curve_figures_are_the_plain_figures_with_intervals_around_them() -> None:
    quality, cost = made(1)
    curve = baseline_curves(*made(2), quality, cost)[3]
    figures = curve_figures([curve], quality, cost, n_resamples=200)[0]
    single = single_backends(quality, cost)
    costs, scores = curve.cost_usd.mean(axis=1), curve.score.mean(axis=1)
    area = aiq(costs, scores, single.low_usd, single.high_usd)
    mixed, oracle = hull_aiq(quality, cost), oracle_aiq(quality, cost)
    assert figures.aiq.value == pytest.approx(area)
    assert figures.gain_over_hull.value == pytest.approx(area - mixed)
    assert figures.gap_closed.value == pytest.approx(gap_closed(area, mixed, oracle))
    saving = saving_at_best(costs, scores, single.best_score, single.high_usd)
    assert figures.saving_at_best.value == pytest.approx(saving)
    assert figures.aiq.low < figures.aiq.value < figures.aiq.high


def test_reference_figures_are_those_of_mix_and_oracle() -> None:
    quality, cost = made(3)
    mixed, oracle = reference_figures(quality, cost, n_resamples=100)
    assert mixed.value == pytest.approx(hull_aiq(quality, cost))
    assert oracle.value == pytest.approx(oracle_aiq(quality, cost))
    assert oracle.low < oracle.value < oracle.high


def test_gain_of_the_mix_over_itself_is_nothing_and_far_tighter_than_its_aiq() -> None:
    quality, cost = made(4)
    mix = baseline_curves(quality, cost, quality, cost)[2]
    figures = curve_figures([mix], quality, cost, n_resamples=200)[0]
    assert figures.gain_over_hull.value == pytest.approx(0)
    assert figures.gain_over_hull.high - figures.gain_over_hull.low < (figures.aiq.high - figures.aiq.low) / 4


@pytest.mark.parametrize("cost_of_all", [0.0, 1e-4])
def test_figures_of_backends_that_cost_the_same_are_finite(cost_of_all: float) -> None:
    quality, _ = made(5)
    cost = np.full(quality.shape, cost_of_all)
    curve = Curve(name="router", labels=("one",), cost_usd=cost[:, :1].T, score=quality.max(axis=1)[np.newaxis])
    figures = curve_figures([curve], quality, cost, n_resamples=50)[0]
    assert figures.aiq.value == pytest.approx(quality.max(axis=1).mean())
    assert figures.saving_at_best.value == 0
    assert figures.gap_closed.value == pytest.approx(1)


def test_figures_pass_over_cells_that_were_not_observed() -> None:
    quality, cost = made(6)
    quality[::3, 1] = cost[::3, 1] = math.nan
    curve = Curve(name="router", labels=("a", "b"), cost_usd=cost[:, 1:].T, score=quality[:, 1:].T)
    figures = curve_figures([curve], quality, cost, n_resamples=50)[0]
    assert 0 < figures.aiq.low < figures.aiq.high < 1


def test_point_bounds_lie_around_the_means_and_are_nan_for_an_empty_point() -> None:
    quality, _ = made(7)
    values = np.vstack([quality.T, np.full(len(quality), math.nan)])
    low, high = point_bounds(values, n_resamples=200)
    assert (low[:3] < quality.mean(axis=0)).all()
    assert (quality.mean(axis=0) < high[:3]).all()
    assert math.isnan(low[3])


def test_probability_intervals_are_wider_when_rows_of_a_query_go_together() -> None:
    rng = np.random.default_rng(8)
    probability, score = np.repeat(rng.random(40), 10), np.repeat((rng.random(40) < 0.5).astype(np.float64), 10)
    together = probability_intervals(probability, score, np.repeat(np.arange(40), 10), 40).brier
    apart = probability_intervals(probability, score, np.arange(400), 400).brier
    assert together.value == apart.value == pytest.approx(brier(probability, score))
    assert together.high - together.low > 2 * (apart.high - apart.low)


def test_weighted_mean_of_points_matches_numpy() -> None:
    quality, _ = made(9)
    assert weighted_mean(quality.T, np.ones((1, len(quality))))[0] == pytest.approx(quality.mean(axis=0))


def twice(values: FloatArray) -> FloatArray:
    """Returns every row, and behind it its twin."""
    return np.repeat(values, 2, axis=0)


def test_twins_make_no_interval_narrower() -> None:
    (quality, cost), twins = made(4), np.repeat(np.arange(60), 2)
    once = baseline_curves(*made(5), quality, cost)[3]
    both = Curve(name="both", labels=once.labels, cost_usd=twice(once.cost_usd.T).T, score=twice(once.score.T).T)
    doubled = curve_figures([both], twice(quality), twice(cost), families=twins)[0]
    alone = curve_figures([once], quality, cost)[0]
    assert _bounds(doubled.aiq) == pytest.approx(_bounds(alone.aiq))
    assert _bounds(doubled.gap_closed) == pytest.approx(_bounds(alone.gap_closed))
    references = zip(
        reference_figures(twice(quality), twice(cost), families=twins), reference_figures(quality, cost), strict=True
    )
    for beside, by_itself in references:
        assert _bounds(beside) == pytest.approx(_bounds(by_itself))
    mean = mean_interval(quality[:, 0])
    assert _bounds(mean_interval(twice(quality)[:, 0], families=twins)) == pytest.approx(_bounds(mean))
    assert mean_interval(twice(quality)[:, 0]).high < mean.high
    low, high = point_bounds(twice(quality).T, families=twins)
    assert (low[0], high[0]) == pytest.approx((mean.low, mean.high))
    estimate = np.full(60, 0.5)
    rows = np.arange(60)
    told = probability_intervals(twice(estimate), twice(quality[:, 0]), np.arange(120), 120, families=twins).brier
    assert _bounds(told) == pytest.approx(_bounds(probability_intervals(estimate, quality[:, 0], rows, 60).brier))


def test_queries_without_twins_are_drawn_as_if_nothing_were_said_of_twins() -> None:
    values = np.random.default_rng(0).random(50)
    assert mean_interval(values, families=np.arange(50)) == mean_interval(values)
    assert mean_interval(values, families=3 * np.arange(50)) == mean_interval(values)


def _bounds(figure: Interval) -> tuple[float, float, float]:
    return figure.low, figure.value, figure.high
