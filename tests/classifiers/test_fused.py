"""What readers are given out of one product is what each would work out by itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from penstock.classifiers import QueryModel, create_head
from penstock.classifiers.features import QueryFeatures
from penstock.classifiers.fused import DenseReader, Fused
from penstock.classifiers.knn import References, choose_references
from penstock.classifiers.mlp import Mlp
from penstock.classifiers.ridge import LinearMap

from .planted import Planted, plant, query_of


@pytest.fixture(scope="module")
def planted() -> Planted:
    """Queries to read."""
    return plant(80)


def linear_map(n_dense: int, *, seed: int = 0) -> LinearMap:
    """Returns a map that reads no terms."""
    rng = np.random.default_rng(seed)
    return LinearMap(
        dense_weights=rng.normal(size=(n_dense, 2)).astype(np.float32),
        term_weights=np.empty((0, 2), dtype=np.float32),
        intercept=rng.normal(size=2).astype(np.float32),
    )


def alone_and_fused(reader: DenseReader, query: QueryFeatures) -> tuple[Fused, QueryFeatures]:
    """Returns the fused weights of one reader, and the query with what it will ask for."""
    fused, read = Fused.of(reader, n_dense=len(query.dense)), query.but()
    fused.read(read)
    return fused, read


def test_a_linear_map_says_the_same_of_what_was_worked_out_for_it(planted: Planted) -> None:
    query = query_of(planted.features, 3)
    mapped = linear_map(len(query.dense))
    _, read = alone_and_fused(mapped, query)
    assert mapped.predict_one(read) == pytest.approx(mapped.predict_one(query), abs=1e-6)


@pytest.mark.parametrize("n_sketch", [0, 64])
def test_a_query_is_placed_alike_by_what_was_worked_out(planted: Planted, n_sketch: int) -> None:
    references = choose_references(planted.features, seed=0, n_sketch=n_sketch)
    query = query_of(planted.features, 3)
    _, read = alone_and_fused(references, query)
    assert references.place_one(read) == pytest.approx(references.place_one(query), abs=1e-5)


def test_what_was_worked_out_is_what_a_reader_looks_at(planted: Planted) -> None:
    query = query_of(planted.features, 3)
    mapped = linear_map(len(query.dense))
    _, read = alone_and_fused(mapped, query)
    read.products[id(mapped)] += 1
    assert mapped.predict_one(read) == pytest.approx(mapped.predict_one(query) + 1, abs=1e-6)


def test_readers_are_found_in_the_parts_of_heads_and_those_alike_stand_once(planted: Planted) -> None:
    head = create_head("stack").fit(planted.features, planted.quality, planted.folds).predictor_
    n_dense = planted.features.dense.shape[1]
    references = choose_references(planted.features, seed=0)
    once = Fused.of(head, references, n_dense=n_dense)
    twice = Fused.of(head, references, (replace(references),), n_dense=n_dense)
    assert len(twice.places) == len(once.places) + 1
    assert twice.weights.shape == once.weights.shape
    assert once.weights.shape[1] >= planted.quality.shape[1] + references.axes.shape[1]


def test_readers_with_other_offsets_stand_apart() -> None:
    mapped = linear_map(5)
    shifted = replace(mapped, intercept=mapped.intercept + 1)
    assert Fused.of(mapped, shifted, n_dense=5).weights.shape == (5, 4)


def test_a_head_that_is_not_linear_is_asked_as_it_is(planted: Planted) -> None:
    rng = np.random.default_rng(0)
    query = query_of(planted.features, 0)
    head = Mlp(
        hidden=rng.normal(size=(len(query.dense), 4)).astype(np.float32),
        hidden_bias=np.zeros(4, dtype=np.float32),
        out=rng.normal(size=(4, 2)).astype(np.float32),
        out_bias=np.zeros(2, dtype=np.float32),
    )
    fused = Fused.of(head, n_dense=len(query.dense))
    fused.read(query)
    assert (fused.places, query.products) == ((), {})
    assert head.predict_one(query) == pytest.approx(head.predict(planted.features)[0], abs=1e-5)


def test_a_query_without_some_feature_is_read_anew(planted: Planted) -> None:
    query = query_of(planted.features, 3)
    mapped = linear_map(len(query.dense))
    _, read = alone_and_fused(mapped, query)
    assert read.but(dense=np.zeros_like(query.dense)).products == {}


def test_estimates_one_by_one_are_those_of_many(model: QueryModel, planted: Planted) -> None:
    for text, many in zip(planted.texts[:10], model.estimate_all(planted.texts[:10]), strict=True):
        one = model.estimate(text)
        assert one.quality == pytest.approx(many.quality, abs=1e-5)
        assert one.cost_usd == pytest.approx(many.cost_usd, rel=1e-4, nan_ok=True)
        assert one.familiarity == pytest.approx(many.familiarity, abs=0.02)


def test_references_read_the_embedding_alone_or_everything(planted: Planted) -> None:
    plain = choose_references(planted.features, seed=0)
    words = choose_references(planted.features, seed=0, n_sketch=64)
    assert isinstance(plain, References)
    assert len(plain.on_dense()[0]) == planted.features.embedding_dim
    assert len(words.on_dense()[0]) == planted.features.dense.shape[1]
