"""Figures of merit on cases whose answer is known by hand, and on the properties they must have."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.training.evaluation import FloatArray
from penstock.training.metrics import (
    aiq,
    apgr,
    cpt,
    gap_closed,
    hull_aiq,
    hull_points,
    mean_cost_usd,
    mean_score,
    oracle_aiq,
    oracle_points,
    saving_at_best,
    single_backends,
)
from penstock.training.probability_metrics import (
    aurc,
    auroc,
    brier,
    ece,
    ece_equal_mass,
    equal_mass_bins,
    risk_coverage,
)

NAN = math.nan


def array(*values: float) -> FloatArray:
    return np.array(values, dtype=np.float64)


@st.composite
def matrices(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Quality and cost of a few queries and backends, with ties, free backends and missing cells."""
    n_queries, n_backends = draw(st.integers(1, 7)), draw(st.integers(1, 4))
    shape = (n_queries, n_backends)
    quality = draw(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, NAN]), min_size=n_queries * n_backends, max_size=28))
    cost = draw(st.lists(st.sampled_from([0.0, 1e-6, 2e-6, 3e-5, 1e-2]), min_size=n_queries * n_backends, max_size=28))
    q = np.array(quality[: n_queries * n_backends]).reshape(shape)
    c = np.array(cost[: n_queries * n_backends]).reshape(shape)
    q[0, 0] = 0.5  # so that one backend is known
    c[np.isnan(q)] = NAN
    return q, c


def test_hull_leaves_out_points_below_a_mix_of_others() -> None:
    hull = hull_points(array(1, 2, 3, 4), array(0.1, 0.3, 0.9, 0.8))
    assert hull.tolist() == [[1, 0.1], [3, 0.9]]


def test_hull_takes_the_best_of_several_points_at_one_cost() -> None:
    assert hull_points(array(1, 1, 1), array(0.2, 0.7, 0.5)).tolist() == [[1, 0.7]]


def test_hull_takes_costs_apart_by_rounding_alone_as_one_cost() -> None:
    hull = hull_points(array(0.1 + 0.2, 0.3), array(0.9, 0.2))
    assert hull[:, 1].tolist() == [0.9]


def test_aiq_of_two_points_is_the_middle_of_their_scores() -> None:
    assert aiq(array(1, 3), array(0.4, 0.8), 1, 3) == pytest.approx(0.6)


def test_aiq_stays_level_right_of_the_dearest_point() -> None:
    assert aiq(array(1, 2), array(0.5, 1.0), 1, 3) == pytest.approx((0.75 + 1.0) / 2)


def test_aiq_falls_to_nothing_left_of_the_cheapest_point() -> None:
    assert aiq(array(2), array(0.8), 0, 2) == pytest.approx(0.4)


@pytest.mark.parametrize("cost", [0.0, 0.25])
def test_aiq_over_no_width_is_the_score_reached_at_that_cost(cost: float) -> None:
    assert aiq(array(cost, cost), array(0.3, 0.6), cost, cost) == pytest.approx(0.6)


def test_aiq_without_a_point_is_nan() -> None:
    assert math.isnan(aiq(array(), array(), 0, 1))
    assert math.isnan(aiq(array(NAN), array(NAN), 0, 1))


def test_single_backends_prefers_the_better_of_the_cheapest_and_the_cheaper_of_the_best() -> None:
    quality = np.array([[0.2, 0.4, 0.9, 0.9]])
    cost = np.array([[1.0, 1.0, 9.0, 5.0]])
    single = single_backends(quality, cost)
    assert (single.cheapest, single.best) == (1, 3)


def test_single_backends_refuses_data_without_an_observation() -> None:
    with pytest.raises(ValueError, match="no backend has both"):
        single_backends(np.full((2, 2), NAN), np.full((2, 2), NAN))


def test_means_leave_out_what_was_not_observed() -> None:
    assert mean_score(array(1, NAN, 0)) == 0.5
    assert math.isnan(mean_cost_usd(array(NAN)))


def test_oracle_takes_the_upgrade_worth_most_for_its_price_first() -> None:
    quality = np.array([[0.0, 1.0], [0.0, 1.0], [1.0, 1.0]])
    cost = np.array([[1.0, 2.0], [1.0, 5.0], [1.0, 2.0]])
    expected = np.array([[3, 1], [4, 2], [8, 3]]) / 3
    assert oracle_points(quality, cost) == pytest.approx(expected)


def test_oracle_picks_among_observed_answers_only() -> None:
    quality = np.array([[0.0, NAN], [NAN, 1.0], [NAN, NAN]])
    cost = np.array([[1.0, NAN], [NAN, 3.0], [NAN, NAN]])
    assert oracle_points(quality, cost).tolist() == [[2.0, 0.5]]


def test_gap_closed_is_zero_for_mixing_and_one_for_hindsight() -> None:
    assert gap_closed(0.5, 0.5, 0.9) == 0
    assert gap_closed(0.9, 0.5, 0.9) == 1


def test_gap_closed_is_nan_where_hindsight_is_no_better_than_mixing() -> None:
    assert math.isnan(gap_closed(0.5, 0.5, 0.5))


def test_saving_at_best_is_read_off_the_hull() -> None:
    assert saving_at_best(array(1, 3), array(0.5, 1.0), 0.75, 4) == pytest.approx(0.5)


def test_saving_at_best_is_nan_when_the_score_is_never_reached() -> None:
    assert math.isnan(saving_at_best(array(1), array(0.5), 0.6, 1))


def test_saving_at_best_is_zero_when_the_best_backend_is_free() -> None:
    assert saving_at_best(array(0), array(0.5), 0.5, 0) == 0


def test_apgr_of_a_ranking_that_knows_nothing_is_one_half() -> None:
    weak, strong = array(0, 1, 0, 1, 0), array(1, 1, 1, 0, 1)
    assert apgr(np.zeros(5), weak, strong) == pytest.approx(0.5, abs=1e-15)


def test_apgr_and_cpt_of_a_ranking_that_knows_all() -> None:
    weak, strong = array(0, 1, 0, 1), array(1, 1, 1, 1)
    knowing = array(2, 0, 1, 0)
    assert apgr(knowing, weak, strong) == pytest.approx((0.25 + 0.75 + 1 + 1) / 4)
    assert cpt(knowing, weak, strong, 50) == 25
    assert cpt(knowing, weak, strong, 80) == 50


def test_cpt_counts_whole_queries_within_a_tie() -> None:
    assert cpt(np.zeros(3), array(0, 0, 0), array(1, 1, 1), 50) == pytest.approx(200 / 3)


def test_apgr_is_nan_where_the_strong_backend_is_no_better() -> None:
    assert math.isnan(apgr(array(1, 2), array(1, 1), array(1, 1)))
    assert math.isnan(cpt(array(1, 2), array(1, 1), array(0, 1), 50))
    assert math.isnan(apgr(array(1), array(NAN), array(1)))


def test_brier_and_ece_of_a_probability_that_is_always_one_half() -> None:
    probability, score = np.full(4, 0.5), array(0, 1, 1, 1)
    assert brier(probability, score) == pytest.approx(0.25)
    assert ece(probability, score) == pytest.approx(0.25)
    assert ece_equal_mass(probability, score) == pytest.approx(0.25)


def test_ece_does_not_cancel_between_bins() -> None:
    assert ece(array(0.1, 0.9), array(1, 0)) == pytest.approx(0.9)


def test_ece_takes_a_probability_of_one() -> None:
    assert ece(array(1, 1), array(1, 1)) == 0


def test_equal_mass_bins_hold_equal_numbers() -> None:
    bins = equal_mass_bins(np.linspace(0.9, 1.0, 30))
    assert np.bincount(bins).tolist() == [2] * 15


def test_auroc_counts_a_tie_as_half() -> None:
    assert auroc(array(0.2, 0.5, 0.5, 0.9), array(0, 0, 1, 1)) == pytest.approx(3.5 / 4)


def test_auroc_takes_a_soft_score_of_one_half_as_right() -> None:
    assert auroc(array(0.1, 0.9), array(0.4, 0.5)) == 1


def test_auroc_is_nan_with_one_class_or_no_row() -> None:
    assert math.isnan(auroc(array(0.1, 0.9), array(1, 1)))
    assert math.isnan(auroc(array(), array()))


def test_probability_figures_leave_out_missing_cells() -> None:
    probability, score = np.array([[0.1, 0.8], [0.9, 0.3]]), np.array([[0, NAN], [1, 1]])
    assert brier(probability, score) == pytest.approx((0.01 + 0.01 + 0.49) / 3)
    assert auroc(probability, score) == 1


def test_aurc_is_the_mean_risk_over_every_number_kept() -> None:
    assert aurc(array(0.9, 0.8, 0.7), array(1, 0, 1)) == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


def test_aurc_of_a_confidence_that_knows_nothing_is_the_error_rate() -> None:
    assert aurc(np.full(5, 0.3), array(1, 0, 0, 1, 1)) == pytest.approx(0.4)


def test_risk_coverage_keeps_ties_together() -> None:
    coverage, risk = risk_coverage(array(0.9, 0.5, 0.5, 0.1), array(1, 0, 1, 0))
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 3, 1 / 2])


@given(matrices())
def test_figures_of_any_matrices_are_finite_and_in_range(data: tuple[FloatArray, FloatArray]) -> None:
    quality, cost = data
    for figure in (hull_aiq(quality, cost), oracle_aiq(quality, cost)):
        assert 0 <= figure <= 1


@given(matrices())
def test_oracle_is_never_below_mixing_where_all_is_observed(data: tuple[FloatArray, FloatArray]) -> None:
    quality, cost = (np.nan_to_num(matrix) for matrix in data)
    assert oracle_aiq(quality, cost) >= hull_aiq(quality, cost) - 1e-9


@given(matrices(), st.sampled_from([0.5, 3.0, 1000.0]))
def test_aiq_does_not_depend_on_the_currency(data: tuple[FloatArray, FloatArray], factor: float) -> None:
    quality, cost = data
    assert hull_aiq(quality, cost * factor) == pytest.approx(hull_aiq(quality, cost))
    assert oracle_aiq(quality, cost * factor) == pytest.approx(oracle_aiq(quality, cost))
