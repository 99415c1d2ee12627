"""Baseline curves and swept lams, by their contracts and against figures published beside the traces."""

import math
from pathlib import Path

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.router.lookahead import MIN_GAIN
from penstock.training.curves import MAX_ORACLE_POINTS, baseline_curves, oracle_curve, sweep_lams
from penstock.training.evaluation import FloatArray
from penstock.training.metrics import aiq, apgr, cpt, hull_aiq, oracle_aiq, oracle_points, single_backends

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NAMES = ["always-cheapest", "always-best", "random mix", "mean-score", "oracle"]


def observed(name: str) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Quality and cost for training (train and val) and test, queries in the order of their ids."""
    path = TRACES / f"{name}.parquet"
    if not path.is_file():
        pytest.skip(f"recorded traces are not at {path}")
    sql = "select query_id, backend, split = 'test', score, cost_usd from read_parquet(?)"
    rows = duckdb.execute(sql, [str(path)]).fetchall()
    queries, backends = (sorted({row[column] for row in rows}) for column in (0, 1))
    shape = (len(queries), len(backends))
    quality, cost, is_test = np.full(shape, math.nan), np.full(shape, math.nan), np.zeros(len(queries), dtype=bool)
    row_of, column_of = ({name: place for place, name in enumerate(names)} for names in (queries, backends))
    for query, backend, in_test, score, cost_usd in rows:
        quality[row_of[query], column_of[backend]] = score
        cost[row_of[query], column_of[backend]] = cost_usd
        is_test[row_of[query]] = in_test
    return quality[~is_test], cost[~is_test], quality[is_test], cost[is_test]


@pytest.mark.parametrize(
    ("name", "mean_score", "hull", "oracle"),
    [
        ("routellm_gsm8k", 0.7494, 0.7494, 0.8894),
        ("math_l5", 0.7401, 0.7524, 0.9508),
        ("farel_bench", 0.9477, 0.9514, 0.9988),
        ("mixed_9_open_models", 0.5916, 0.5916, 0.8020),
        ("gsm_9", 0.9543, 0.9543, 0.9836),
        ("routellm_mmlu", 0.7469, 0.7469, 0.8498),
    ],
)
def test_areas_are_those_published_with_the_traces(name: str, mean_score: float, hull: float, oracle: float) -> None:
    train_quality, train_cost, quality, cost = observed(name)
    curve = next(c for c in baseline_curves(train_quality, train_cost, quality, cost) if c.name == "mean-score")
    single = single_backends(quality, cost)
    area = aiq(curve.cost_usd.mean(axis=1), curve.score.mean(axis=1), single.low_usd, single.high_usd)
    assert area == pytest.approx(mean_score, abs=5.1e-5)
    assert hull_aiq(quality, cost) == pytest.approx(hull, abs=5.1e-5)
    assert oracle_aiq(quality, cost) == pytest.approx(oracle, abs=5.1e-5)


@pytest.mark.parametrize(
    ("name", "area", "half", "most"),
    [("routellm_gsm8k", 0.4904, 51.1688, 84.1558), ("routellm_mmlu", 0.4427, 62.8909, 83.3681)],
)
def test_pair_figures_by_order_of_id_are_those_published_with_the_traces(
    name: str, area: float, half: float, most: float
) -> None:
    _, _, quality, cost = observed(name)
    strong = single_backends(quality, cost).best
    by_id = -np.arange(len(quality), dtype=np.float64)
    pair = quality[:, 1 - strong], quality[:, strong]
    assert apgr(by_id, *pair) == pytest.approx(area, abs=5.1e-5)
    assert cpt(by_id, *pair, 50) == pytest.approx(half, abs=5.1e-5)
    assert cpt(by_id, *pair, 80) == pytest.approx(most, abs=5.1e-5)
    assert apgr(np.zeros(len(quality)), *pair) == pytest.approx(0.5)


def made(seed: int, n_queries: int = 50) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    return rng.random((n_queries, 4)), np.array([1e-6, 1e-5, 1e-4, 1e-3]) * rng.uniform(0.5, 2, (n_queries, 4))


def test_baselines_come_by_name_with_one_row_a_point() -> None:
    quality, cost = made(0)
    curves = baseline_curves(*made(1), quality, cost)
    assert [curve.name for curve in curves] == NAMES
    for curve in curves:
        assert curve.cost_usd.shape == curve.score.shape == (len(curve.labels), len(quality))


def test_mean_score_router_learns_nothing_from_the_data_it_is_evaluated_on() -> None:
    train_quality, train_cost = np.array([[0.9, 0.1]]), np.array([[1.0, 2.0]])
    quality, cost = np.array([[0.0, 1.0]]), np.array([[1.0, 2.0]])
    curve = baseline_curves(train_quality, train_cost, quality, cost)[3]
    assert curve.score.tolist() == [[0.0]]


def test_random_mix_curve_has_the_area_of_the_hull() -> None:
    quality, cost = made(2)
    mix = baseline_curves(quality, cost, quality, cost)[2]
    single = single_backends(quality, cost)
    area = aiq(mix.cost_usd.mean(axis=1), mix.score.mean(axis=1), single.low_usd, single.high_usd)
    assert area == pytest.approx(hull_aiq(quality, cost))


def test_oracle_curve_lies_on_the_exact_one_and_has_its_ends() -> None:
    quality, cost = made(3, n_queries=400)
    curve, exact = oracle_curve(quality, cost), oracle_points(quality, cost)
    costs, scores = curve.cost_usd.mean(axis=1), curve.score.mean(axis=1)
    assert np.interp(costs, exact[:, 0], exact[:, 1]) == pytest.approx(scores)
    assert scores[-1] == pytest.approx(quality.max(axis=1).mean())
    assert costs[0] == pytest.approx(cost.min(axis=1).mean())
    assert len(costs) == MAX_ORACLE_POINTS


def test_oracle_curve_leaves_out_queries_that_nobody_was_asked() -> None:
    quality, cost = made(4)
    quality[7], cost[7] = math.nan, math.nan
    curve = oracle_curve(quality, cost)
    assert np.isnan(curve.score[:, 7]).all()
    assert not np.isnan(np.delete(curve.score, 7, axis=1)).any()


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_swept_lams_go_from_the_best_everywhere_to_the_cheapest_everywhere(seed: int, n: int) -> None:
    quality, cost = made(seed, n_queries=12)
    lams = sweep_lams(quality, cost, n)
    assert lams[0] == 0
    assert (np.diff(lams) > 0).all()
    assert len(lams) <= n
    assert ((quality - lams[-1] * cost).argmax(axis=1) == cost.argmin(axis=1)).all()


def test_no_step_of_the_sweep_moves_many_decisions() -> None:
    quality, cost = made(5, n_queries=400)
    lams = sweep_lams(quality, cost, 42)
    choices = np.array([(quality - lam * cost).argmax(axis=1) for lam in lams])
    moved = (choices[1:] != choices[:-1]).sum(axis=1)
    assert moved[1:-1].max() < 1.5 * moved.sum() / 20


def test_the_sweep_leaves_no_wide_gap_among_the_small_lams_at_which_further_calls_change() -> None:
    quality, cost = made(5, n_queries=400)
    lams = sweep_lams(quality, cost, 42)
    assert lams[1] * cost.max() == pytest.approx(MIN_GAIN)
    evenly = (lams[-2] / lams[1]) ** (1 / 19)
    assert (lams[2:-1] / lams[1:-2]).max() <= evenly * 1.001


def test_sweep_with_nothing_to_trade_still_has_both_ends() -> None:
    assert sweep_lams(np.full((3, 2), 0.5), np.zeros((3, 2)), 10).tolist() == [0.0, 1.0]
    assert sweep_lams(np.ones((1, 1)), np.full((1, 1), 0.01), 10).tolist() == [0.0, 200.0]


def test_sweep_of_fewer_than_two_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 2, got 1"):
        sweep_lams(np.ones((1, 1)), np.ones((1, 1)), 1)
