from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.classifiers.knn import MAX_DIMENSIONS, KnnTable, References, _largest, choose_references

from .planted import features_of, plant, query_of

SKETCHES = pytest.mark.parametrize("n_sketch", [0, 64])


def test_the_axes_are_the_principal_ones() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 100)) * np.linspace(10, 0.1, 100) ** 2 + 3
    references = choose_references(features_of(points, embedding_dim=100), seed=0)
    centred = points - points.mean(0)
    variance = np.linalg.eigvalsh(centred.T @ centred)[::-1][:MAX_DIMENSIONS].sum()
    kept = references.axes.astype(float)
    assert kept.T @ kept == pytest.approx(np.eye(MAX_DIMENSIONS), abs=1e-4)
    assert ((centred @ kept) ** 2).sum() == pytest.approx(variance, rel=1e-3)


@SKETCHES
def test_points_have_unit_length(n_sketch: int) -> None:
    references = choose_references(plant(50).features, seed=0, n_sketch=n_sketch)
    assert np.linalg.norm(references.points, axis=1) == pytest.approx(np.ones(50), abs=1e-4)


@SKETCHES
def test_one_query_is_placed_as_in_a_batch(n_sketch: int) -> None:
    features = plant(50).features
    references = choose_references(features, seed=0, n_sketch=n_sketch)
    batch = references.place(references.inputs(features))
    for row in range(50):
        one = references.place_one(query_of(features, row))
        assert one == pytest.approx(batch[row], abs=1e-4)


def test_words_move_queries_apart_that_the_embedding_holds_together() -> None:
    planted = plant(50)
    plain = choose_references(planted.features, seed=0)
    with_words = choose_references(planted.features, seed=0, n_sketch=1024)
    assert np.abs(plain.points @ plain.points.T - with_words.points @ with_words.points.T).max() > 0.1


def test_a_choice_of_references_is_random_and_repeatable() -> None:
    features = plant(100).features
    chosen = [choose_references(features, seed=seed, max_references=20) for seed in (0, 0, 1)]
    assert chosen[0].rows.tolist() == chosen[1].rows.tolist() != chosen[2].rows.tolist()
    assert len(set(chosen[0].rows)) == len(chosen[0].points) == 20
    assert (chosen[0].points == chosen[1].points).all()


@pytest.mark.parametrize("points", [np.zeros((5, 8)), np.ones((5, 8)), np.eye(8)[:1]])
def test_queries_that_are_all_alike_have_finite_places(points: np.ndarray) -> None:
    references = choose_references(features_of(points, embedding_dim=8), seed=0)
    assert np.isfinite(references.points).all()


def table_of(angles: list[float], values: list[float], *, n_neighbours: int, temperature: float = 0.1) -> KnnTable:
    """Returns a table of references on a circle."""
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    references = References(
        mean=np.zeros(2, dtype=np.float32), axes=np.eye(2, dtype=np.float32), points=points, rows=np.arange(len(angles))
    )
    return KnnTable(
        references=references,
        values=np.array(values, dtype=np.float32)[:, None],
        n_neighbours=n_neighbours,
        temperature=temperature,
    )


def look_up(table: KnnTable, angle: float) -> float:
    return float(table.predict(features_of(np.array([[np.cos(angle), np.sin(angle)]]), embedding_dim=2))[0, 0])


def test_only_the_nearest_count() -> None:
    assert look_up(table_of([0.0, 0.1, 3.0], [1.0, 1.0, 0.0], n_neighbours=2, temperature=100), 0.0) == pytest.approx(1)


def test_nearer_ones_weigh_more() -> None:
    table = table_of([0.0, 1.0], [1.0, 0.0], n_neighbours=2)
    assert 0.5 < look_up(table, 0.4) < look_up(table, 0.1)


def test_all_that_are_as_near_as_the_last_count() -> None:
    table = table_of([0.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], n_neighbours=2, temperature=100)
    assert look_up(table, 0.0) == pytest.approx(1.5 / 4, abs=0.01)


def test_more_neighbours_than_references_are_all_of_them() -> None:
    assert look_up(table_of([0.0, 0.1], [1.0, 0.0], n_neighbours=50, temperature=1000), 0.0) == pytest.approx(
        0.5, abs=0.01
    )


def test_many_queries_are_looked_up_in_parts() -> None:
    table = table_of([0.0, 1.5], [1.0, 0.0], n_neighbours=1)
    angles = np.where(np.arange(2500) % 2 == 0, 0.0, 1.5)
    features = features_of(np.stack([np.cos(angles), np.sin(angles)], axis=1), embedding_dim=2)
    assert table.predict(features)[:, 0].tolist() == [1.0, 0.0] * 1250


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([2, 50, 10**6]), st.integers(0, 2**32))
def test_the_k_largest_and_their_equals_are_found(n: int, k: int, n_distinct: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, n_distinct, n).astype(np.float32)
    values[::8] -= seed % 3 * np.float32(n_distinct)  # what is looked at first may mislead
    k = min(k, n)
    places, found, least = _largest(values, k)
    assert found.tolist() == values[places].tolist()
    assert places[found >= least].tolist() == np.flatnonzero(values >= np.sort(values)[-k]).tolist()
