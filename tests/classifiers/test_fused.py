"""What readers are given out of one product is what each would work out by itself."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from penstock.classifiers import QueryModel, create_head
from penstock.classifiers.features import QueryFeatures
from penstock.classifiers.fused import fuse
from penstock.classifiers.knn import choose_references
from penstock.classifiers.mlp import Mlp
from penstock.classifiers.ridge import LinearMap

from .planted import Planted, plant, query_of


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Queries to read."""
    return plant(80)


def linear_map(n_dense: int, *, n_terms: int = 0, seed: int = 0) -> LinearMap:
    """Returns a map to two outputs."""
    rng = np.random.default_rng(seed)
    return LinearMap(
        dense_weights=rng.normal(size=(n_dense, 2)).astype(np.float32),
        term_weights=rng.normal(size=(n_terms, 2)).astype(np.float32),
        intercept=rng.normal(size=2).astype(np.float32),
    )


def read_for(value: Any, planted: Planted, row: int = 3) -> tuple[Any, QueryFeatures]:
    """Returns a value once it is fused, and a query with what it will ask for."""
    features = planted.features
    fused, (left,) = fuse(value, n_dense=features.dense.shape[1], n_terms=features.terms.n_columns)
    query = query_of(features, row)
    fused.read(query)
    return left, query


@pytest.mark.parametrize("with_terms", [False, True])
def test_a_linear_map_says_the_same_of_what_was_worked_out_for_it(planted: Planted, with_terms: bool) -> None:
    n_dense, n_terms = planted.features.dense.shape[1], planted.features.terms.n_columns
    mapped = linear_map(n_dense, n_terms=n_terms if with_terms else 0)
    left, query = read_for(mapped, planted)
    assert left.predict_one(query) == pytest.approx(mapped.predict_one(query.but()), abs=1e-5)
    assert left.predict_one(query.but()) == pytest.approx(mapped.predict_one(query.but()), abs=1e-5)
    query.products[id(left)] += 1
    assert left.predict_one(query) == pytest.approx(mapped.predict_one(query.but()) + 1, abs=1e-5)


@pytest.mark.parametrize("n_sketch", [0, 64])
def test_a_query_is_placed_alike_by_what_was_worked_out(planted: Planted, n_sketch: int) -> None:
    references = choose_references(planted.features, seed=0, n_sketch=n_sketch)
    left, query = read_for(references, planted)
    assert id(left) in query.products
    assert left.place_one(query) == pytest.approx(references.place_one(query.but()), abs=1e-5)


def test_readers_are_found_in_the_parts_of_heads(planted: Planted) -> None:
    head = create_head("blend").fit(planted.features, planted.quality, planted.folds).predictor_
    left, query = read_for((head, linear_map(planted.features.dense.shape[1])), planted)
    assert len(query.products) > 2
    assert left[0].predict_one(query) == pytest.approx(head.predict_one(query.but()), abs=1e-5)
    assert left[0].predict(planted.features) == pytest.approx(head.predict(planted.features), abs=1e-6)


def test_readers_that_are_the_same_stand_once(planted: Planted) -> None:
    references = choose_references(planted.features, seed=0)
    n_dense = planted.features.dense.shape[1]
    once, _ = fuse(references, n_dense=n_dense, n_terms=0)
    twice, _ = fuse(references, replace(references), n_dense=n_dense, n_terms=0)
    assert (len(once.places), len(twice.places)) == (1, 2)
    assert twice.dense_weights.shape == once.dense_weights.shape


def test_readers_with_other_offsets_stand_apart() -> None:
    mapped = linear_map(5)
    shifted = replace(mapped, intercept=mapped.intercept + 1)
    fused, _ = fuse(mapped, shifted, n_dense=5, n_terms=0)
    assert fused.dense_weights.shape == (5, 4)


def test_term_weights_are_kept_once() -> None:
    maps = (linear_map(5, n_terms=7), linear_map(5, n_terms=7, seed=1))
    fused, left = fuse(*maps, n_dense=5, n_terms=7)
    for mapped, one in zip(maps, left, strict=True):
        assert np.shares_memory(one.term_weights, fused.term_weights)
        assert (one.term_weights == mapped.term_weights).all()


def test_what_reads_something_else_is_left_as_it_is() -> None:
    other = linear_map(9, n_terms=3)
    fused, (left,) = fuse(other, n_dense=5, n_terms=7)
    assert left is other
    assert fused.places == ()


def test_a_head_that_is_not_linear_is_asked_as_it_is(planted: Planted) -> None:
    rng = np.random.default_rng(0)
    head = Mlp(
        hidden=rng.normal(size=(planted.features.dense.shape[1], 4)).astype(np.float32),
        hidden_bias=np.zeros(4, dtype=np.float32),
        out=rng.normal(size=(4, 2)).astype(np.float32),
        out_bias=np.zeros(2, dtype=np.float32),
    )
    left, query = read_for(head, planted, row=0)
    assert left is head
    assert query.products == {}
    assert head.predict_one(query) == pytest.approx(head.predict(planted.features)[0], abs=1e-5)


def test_a_query_without_some_feature_is_read_anew(planted: Planted) -> None:
    left, query = read_for(linear_map(planted.features.dense.shape[1]), planted)
    bare = query.but(dense=np.zeros_like(query.dense))
    assert left.predict_one(bare) == pytest.approx(left.intercept.astype(float))


def test_estimates_one_by_one_are_those_of_many(model: QueryModel, planted: Planted) -> None:
    for text, many in zip(planted.texts[:10], model.estimate_all(planted.texts[:10]), strict=True):
        one = model.estimate(text)
        assert one.quality == pytest.approx(many.quality, abs=1e-5)
        assert one.cost_usd == pytest.approx(many.cost_usd, rel=1e-4, nan_ok=True)
        assert one.difficulty == pytest.approx(many.difficulty, abs=1e-5)
        assert one.familiarity == pytest.approx(many.familiarity, abs=0.02)
