from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers import FitError
from penstock.classifiers.calibration import (
    CLIP,
    ISOTONIC,
    PLATT,
    Calibration,
    fit_calibration,
    fit_isotonic,
    fit_platt,
)
from penstock.classifiers.logistic import sigmoid
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import IntArray

DISTORTIONS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "overconfident": lambda p: sigmoid(4 * np.log(p / (1 - p))),
    "far too high": lambda p: sigmoid(np.log(p / (1 - p)) + 2),
    "stepped": lambda p: np.where(p < 0.5, 0.8 + 0.1 * p, 0.9 + 0.1 * p),
}


def forecasts(n: int = 3000, n_columns: int = 2, seed: int = 0) -> tuple[FloatArray, FloatArray, IntArray]:
    """Returns true probabilities, outcomes and folds."""
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(0.05, 0.95, size=(n, n_columns))
    labels = (rng.random((n, n_columns)) < probabilities).astype(float)
    return probabilities, labels, np.arange(n) % 4


def brier(probabilities: FloatArray, labels: FloatArray) -> float:
    return float(np.nanmean((probabilities - labels) ** 2))


@pytest.mark.parametrize("name", sorted(DISTORTIONS))
def test_planted_miscalibration_is_mended(name: str) -> None:
    distort = DISTORTIONS[name]
    probabilities, labels, folds = forecasts()
    calibration, crossed = fit_calibration(distort(probabilities), labels, folds)
    new, outcomes, _ = forecasts(seed=1)
    assert brier(calibration.apply(distort(new)), outcomes) < brier(distort(new), outcomes) - 0.01
    assert brier(crossed, labels) < brier(distort(probabilities), labels) - 0.01
    assert calibration.apply(distort(new)).mean() == pytest.approx(outcomes.mean(), abs=0.02)


def test_scores_that_are_calibrated_stay_as_they_are() -> None:
    probabilities, labels, folds = forecasts()
    calibration, _ = fit_calibration(probabilities, labels, folds)
    assert calibration.kind == CLIP
    assert (calibration.apply(probabilities) == probabilities).all()


def test_a_logistic_distortion_is_mended_by_the_plainer_kind() -> None:
    probabilities, labels, folds = forecasts()
    distorted = 6 * np.log(probabilities / (1 - probabilities)) + 1
    calibration, _ = fit_calibration(distorted, labels, folds)
    assert calibration.kind == PLATT
    assert calibration.slopes == pytest.approx(np.full(2, 1 / 6), rel=0.1)


def test_a_stepped_distortion_is_mended_by_the_isotonic_kind() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random((4000, 1))
    truth = np.where(scores < 0.3, 0.1, np.where(scores < 0.9, 0.5, 0.55))
    labels = (rng.random(truth.shape) < truth).astype(float)
    calibration, _ = fit_calibration(scores, labels, np.arange(4000) % 4)
    assert calibration.kind == ISOTONIC
    assert calibration.apply(np.array([0.15]))[0] == pytest.approx(0.1, abs=0.05)
    assert calibration.apply(np.array([0.6]))[0] == pytest.approx(0.5, abs=0.07)


@pytest.mark.parametrize("kind", [CLIP, PLATT, ISOTONIC])
def test_one_query_is_calibrated_as_in_a_batch(kind: int) -> None:
    knots = np.array([[0.1, 0.5, 0.9], [0.2, 0.6, np.nan]])
    calibration = Calibration(
        kind=kind, slopes=np.array([2.0, 3.0]), intercepts=np.array([-1.0, 0.5]), knots=knots, levels=knots / 2
    )
    scores = np.random.default_rng(0).normal(size=(50, 2))
    batch = calibration.apply(scores)
    assert batch.shape == (50, 2)
    assert ((batch > 0) & (batch < 1)).all()
    for row, one in zip(batch, scores, strict=True):
        assert calibration.apply(one) == pytest.approx(row, abs=1e-12)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0, 1)), min_size=1, max_size=200))
def test_isotonic_levels_never_fall(pairs: list[tuple[float, float]]) -> None:
    scores, labels = np.array(pairs).T
    knots, levels = fit_isotonic(scores, labels)
    assert len(knots) == len(levels) <= 64
    assert (np.diff(knots) > 0).all()
    assert (np.diff(levels) >= 0).all()
    assert levels.min() >= labels.min() - 1e-9
    assert levels.max() <= labels.max() + 1e-9


def test_isotonic_of_ordered_labels_is_exact() -> None:
    knots, levels = fit_isotonic(np.array([3.0, 1.0, 2.0]), np.array([0.9, 0.1, 0.5]))
    assert knots.tolist() == [1.0, 2.0, 3.0]
    assert levels.tolist() == [0.1, 0.5, 0.9]


def test_isotonic_pools_what_falls() -> None:
    knots, levels = fit_isotonic(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0]))
    assert knots.tolist() == [1.0, 2.5, 4.0]
    assert levels.tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    ("scores", "labels"),
    [
        (np.linspace(0, 1, 50), np.linspace(1, 0, 50)),  # the wrong way round
        (np.full(50, 0.3), np.linspace(0, 1, 50)),  # nothing to go by
    ],
)
def test_platt_never_turns_scores_round(scores: FloatArray, labels: FloatArray) -> None:
    slope, intercept = fit_platt(scores, labels)
    assert slope == 0.0
    assert sigmoid(np.array(intercept)) == pytest.approx(labels.mean(), abs=1e-6)


def test_platt_recovers_slope_and_intercept() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=20_000)
    slope, intercept = fit_platt(scores, sigmoid(1.5 * scores - 0.5))
    assert (slope, intercept) == pytest.approx((1.5, -0.5), abs=0.01)


def test_missing_labels_and_empty_rows_do_no_harm() -> None:
    probabilities, labels, folds = forecasts()
    distorted = sigmoid(4 * np.log(probabilities / (1 - probabilities)))
    labels[::3] = np.nan
    labels[1::4, 0] = np.nan
    calibration, crossed = fit_calibration(distorted, labels, folds)
    assert calibration.kind != CLIP
    assert np.isfinite(crossed).all()


def test_few_labels_leave_the_scores_alone() -> None:
    probabilities, labels, folds = forecasts(12)
    calibration, _ = fit_calibration(probabilities, labels, folds)
    assert calibration.kind == CLIP


def test_no_estimate_is_ever_quite_certain() -> None:
    calibration, _ = fit_calibration(
        np.tile([[0.0], [1.0]], (50, 1)), np.tile([[0.0], [1.0]], (50, 1)), np.arange(100) % 4
    )
    assert calibration.apply(np.array([-3.0]))[0] > 0
    assert calibration.apply(np.array([4.0]))[0] < 1


@pytest.mark.parametrize(
    ("scores", "labels"),
    [(np.ones((4, 2)), np.ones((4, 1))), (np.ones((4, 2)), np.full((4, 2), [1.0, np.nan])), (np.ones((3, 1)),) * 2],
)
def test_labels_that_do_not_fit_are_refused(scores: FloatArray, labels: FloatArray) -> None:
    with pytest.raises(FitError, match="calibration: expected scores and labels of one shape"):
        fit_calibration(scores, labels, np.arange(4))


def test_every_kind_survives_the_artefact() -> None:
    probabilities, labels, folds = forecasts(500)
    for distort in DISTORTIONS.values():
        calibration, _ = fit_calibration(distort(probabilities), labels, folds)
        arrays: Arrays = {}
        again = load(dump(calibration, "calibration", arrays), arrays)
        assert (again.apply(distort(probabilities)) == calibration.apply(distort(probabilities))).all()
