from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers import Features
from penstock.classifiers.ridge import FloatArray, LinearMap, dense_ridge_path, term_ridge_path

from .matrices import dense_of, sparse_of
from .planted import features_of, plant, query_of

PENALTIES = (0.5, 3.0, 30.0)


def solved(design: FloatArray, targets: FloatArray, penalty: float) -> FloatArray:
    """Returns the fitted values of ridge regression with a free intercept, by a dense solve."""
    centred = design - design.mean(0)
    gram = centred.T @ centred + penalty * np.eye(design.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (targets - targets.mean(0)))
    fitted: FloatArray = targets.mean(0) + centred @ weights
    return fitted


@st.composite
def problems(draw: st.DrawFn) -> tuple[Features, FloatArray]:
    """Draws features with terms, and targets of which one column may be constant."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, n_dense, n_terms = draw(st.integers(3, 40)), draw(st.integers(1, 6)), draw(st.integers(1, 30))
    terms = np.where(rng.random((n, n_terms)) < 0.3, rng.random((n, n_terms)), 0).astype(np.float32)
    dense = rng.normal(size=(n, n_dense)).astype(np.float32)
    targets = rng.normal(size=(n, 3))
    if draw(st.booleans()):
        targets[:, 1] = 0.25
    return Features(
        dense=dense,
        terms=sparse_of(terms),
        n_words=n_terms,
        embedding_dim=n_dense,
        surface_scale=np.empty(0, np.float32),
        texts=("",) * n,
    ), targets


@settings(deadline=None, max_examples=40)
@given(problems(), st.booleans())
def test_the_term_path_equals_a_dense_solve(problem: tuple[Features, FloatArray], with_dense: bool) -> None:
    features, targets = problem
    maps = term_ridge_path(features, targets, PENALTIES, with_dense=with_dense, max_iterations=200, tolerance=1e-5)
    design = dense_of(features.terms).astype(float)
    if with_dense:
        design = np.concatenate([features.dense, design], axis=1)
    for penalty, fitted in zip(PENALTIES, maps, strict=True):
        assert fitted.predict(features) == pytest.approx(solved(design, targets, penalty), abs=5e-3)


@settings(deadline=None, max_examples=40)
@given(problems())
def test_the_dense_path_equals_a_dense_solve(problem: tuple[Features, FloatArray]) -> None:
    features, targets = problem
    maps = dense_ridge_path(features, targets, PENALTIES)
    for penalty, fitted in zip(PENALTIES, maps, strict=True):
        expected = solved(features.dense.astype(float), targets, penalty)
        assert fitted.predict(features) == pytest.approx(expected, abs=1e-3)


def test_few_iterations_are_enough_for_real_terms() -> None:
    planted = plant(300)
    quick = term_ridge_path(planted.features, planted.quality, [10.0], with_dense=True)[0]
    design = np.concatenate([planted.features.dense, dense_of(planted.features.terms)], axis=1).astype(float)
    assert quick.predict(planted.features) == pytest.approx(solved(design, planted.quality, 10.0), abs=0.02)


def test_the_order_of_penalties_does_not_matter() -> None:
    planted = plant(100)
    forth = term_ridge_path(planted.features, planted.quality, PENALTIES, with_dense=True)
    back = term_ridge_path(planted.features, planted.quality, PENALTIES[::-1], with_dense=True)
    for one, other in zip(forth, back[::-1], strict=True):
        assert (one.term_weights == other.term_weights).all()


def test_constant_targets_are_predicted_exactly() -> None:
    planted = plant(50)
    fitted = term_ridge_path(planted.features, np.full((50, 2), 0.75), [3.0], with_dense=True)[0]
    assert fitted.predict(planted.features) == pytest.approx(np.full((50, 2), 0.75), abs=1e-6)


def test_features_without_terms_are_learned_from_the_dense_ones() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(50, 3))
    features = features_of(dense, embedding_dim=3)
    fitted = term_ridge_path(features, dense[:, :1], [0.01], with_dense=True, tolerance=1e-5)[0]
    assert fitted.predict(features) == pytest.approx(dense[:, :1], abs=0.01)


@pytest.mark.parametrize("n_terms", [0, 5])
def test_one_query_is_predicted_as_in_a_batch(n_terms: int) -> None:
    planted = plant(20)
    rng = np.random.default_rng(0)
    features = planted.features
    fitted = LinearMap(
        dense_weights=rng.normal(size=(features.dense.shape[1], 2)).astype(np.float32),
        term_weights=rng.normal(size=(features.terms.n_columns if n_terms else 0, 2)).astype(np.float32),
        intercept=np.ones(2, dtype=np.float32),
    )
    batch = fitted.predict(features)
    for row in range(features.n_queries):
        assert fitted.predict_one(query_of(features, row)) == pytest.approx(batch[row], abs=1e-4)
