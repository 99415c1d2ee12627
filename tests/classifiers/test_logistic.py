from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers.logistic import fit_logistic, sigmoid
from penstock.classifiers.ridge import FloatArray


def gradient(design: FloatArray, labels: FloatArray, penalties: FloatArray, weights: FloatArray) -> FloatArray:
    slope: FloatArray = design.T @ (1 / (1 + np.exp(-design @ weights)) - labels) + penalties * weights
    return slope


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 5))
def test_the_gradient_vanishes_at_the_weights(seed: int, n: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    design, labels, penalties = rng.normal(size=(n, d)), rng.random(n), rng.random(d) + 0.01
    weights = fit_logistic(design, labels, penalties)
    assert gradient(design, labels, penalties, weights) == pytest.approx(np.zeros(d), abs=1e-2)


def test_planted_weights_are_found() -> None:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(5000, 2))
    labels = (rng.random(5000) < sigmoid(design @ [1.0, -2.0])).astype(float)
    assert fit_logistic(design, labels, np.full(2, 1e-3)) == pytest.approx([1.0, -2.0], abs=0.15)


def test_separable_labels_give_finite_weights() -> None:
    design = np.array([[-1.0, 1.0], [1.0, 1.0]] * 20)
    weights = fit_logistic(design, np.array([0.0, 1.0] * 20), np.array([1.0, 1e-3]))
    assert np.isfinite(weights).all()
    assert weights[0] > 1


def test_an_offset_is_left_as_it_is() -> None:
    rng = np.random.default_rng(0)
    design = rng.normal(size=(200, 3))
    labels = (rng.random(200) < 0.5).astype(float)
    penalties = np.full(3, 0.5)
    whole = fit_logistic(design, labels, penalties)
    zeroed = fit_logistic(design, labels, np.full(3, 1e9), offset=design @ whole)
    assert zeroed == pytest.approx(np.zeros(3), abs=1e-4)


def test_a_hopelessly_wrong_offset_is_corrected() -> None:
    design = np.ones((300, 1))
    weights = fit_logistic(design, np.zeros(300), np.array([3.0]), offset=np.full(300, 12.0))
    assert sigmoid(12.0 + weights).item() < 0.2


@given(st.floats(-1e6, 1e6))
def test_the_logistic_function_never_overflows(logit: float) -> None:
    assert 0 <= sigmoid(np.array([logit]))[0] <= 1
