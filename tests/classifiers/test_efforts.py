"""Estimates of a model's efforts, drawn towards a curve that never falls with the budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers import create_head
from penstock.classifiers.calibration import no_calibration
from penstock.classifiers.efforts import EffortCurves, model_of, models_of, never_falling
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.ridge import FloatArray

from .planted import plant, query_of


@st.composite
def rows(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Draws estimates of two queries at several efforts, and the labels of each effort."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_efforts = draw(st.integers(2, 7))
    return rng.random((2, n_efforts)), rng.integers(1, 50, n_efforts).astype(float)


@settings(deadline=None, max_examples=60)
@given(rows())
def test_a_curve_never_falls_keeps_the_weighted_mean_and_is_nearest(drawn: tuple[FloatArray, FloatArray]) -> None:
    values, weights = drawn
    curve = never_falling(values, weights)
    assert (np.diff(curve, axis=1) >= -1e-12).all()
    assert curve @ weights == pytest.approx(values @ weights)
    # The projection on a convex cone leaves a rest that is at right angles to it, and obtuse to all else in the cone.
    assert ((values - curve) * weights * curve).sum(axis=1) == pytest.approx(np.zeros(2), abs=1e-9)
    steps = np.tri(values.shape[1]).T  # rows that rise once span the cone, up to a constant
    assert (((values - curve) * weights) @ steps.T <= 1e-9).all()


def test_estimates_that_rise_already_are_left_alone() -> None:
    values = np.array([[0.1, 0.5, 0.5], [0.2, 0.3, 0.9]])
    assert (never_falling(values, np.ones(3)) == values).all()


def test_an_effort_with_few_labels_yields_to_one_with_many() -> None:
    drawn = never_falling(np.array([0.8, 0.6]), np.array([90.0, 10.0]))
    assert drawn == pytest.approx([0.78, 0.78])


def test_efforts_of_one_model_and_style_belong_together() -> None:
    names = ("lrm@high", "small", "lrm@low", "lrm~draft@low", "lrm@low#2", "lrm~draft@high")
    assert [model_of(name) for name in names] == ["lrm", "small", "lrm", "lrm~draft", "lrm#2", "lrm~draft"]
    assert models_of(names) == {"lrm": [0, 2], "small": [1], "lrm~draft": [3, 5], "lrm#2": [4]}


def curves(weight: float, columns: tuple[int, ...] = (1, 0)) -> EffortCurves:
    planted = plant(60, n_backends=3)
    return EffortCurves(
        others=create_head("linear").fit(planted.features, planted.quality, planted.folds).predictor_,
        calibration=no_calibration(3),
        columns=(np.array(columns),),
        n_labels=(np.array([30.0, 60.0]),),
        weights=np.array([weight]),
    )


def test_only_efforts_are_drawn_and_only_as_far_as_the_weight_says() -> None:
    features = plant(60, n_backends=3).features
    own, half, whole = (curves(weight).predict(features) for weight in (0.0, 0.5, 1.0))
    assert (own[:, 1] > own[:, 0]).any()
    assert (whole[:, 1] <= whole[:, 0] + 1e-12).all()
    assert half == pytest.approx((own + whole) / 2)
    assert (own[:, 2] == whole[:, 2]).all()


def test_one_query_is_predicted_as_among_many_and_after_the_artefact_too() -> None:
    features, predictor = plant(60, n_backends=3).features, curves(0.7)
    arrays: Arrays = {}
    again = load(dump(predictor, "quality", arrays), arrays)
    many = predictor.predict(features)
    for row in range(10):
        assert again.predict_one(query_of(features, row)) == pytest.approx(many[row], abs=1e-6)
