from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers import QueryModel
from penstock.classifiers.knn import References, choose_references
from penstock.classifiers.neighbours import keep_neighbours

from .planted import plant, query_of

SIDE = np.float32(0.5)


def references_of(n: int) -> References:
    """Returns so many references along a quarter circle."""
    angles = np.linspace(0, np.pi / 2, n)
    return References(
        mean=np.zeros(2, dtype=np.float32),
        axes=np.eye(2, dtype=np.float32),
        points=np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32),
        rows=np.arange(n),
    )


def test_the_nearest_come_first_with_what_happened_to_them() -> None:
    quality = np.array([[0.0, 1.0], [0.25, np.nan], [0.5, 0.5]])
    neighbours = keep_neighbours(references_of(3), ["one", "two", "three"], quality)
    found = neighbours.nearest(np.array([0.1, 1.0], dtype=np.float32), n=2)
    assert [item.query for item in found] == ["three", "two"]
    assert found[0].similarity > found[1].similarity > 0
    np.testing.assert_array_equal(found[1].quality, [0.25, np.nan])


def test_asking_for_more_than_there_are_gives_all() -> None:
    neighbours = keep_neighbours(references_of(3), ["one", "two", "three"], np.ones((3, 1)))
    assert len(neighbours.nearest(np.ones(2, dtype=np.float32), n=50)) == 3


def test_only_the_reference_queries_are_kept() -> None:
    planted = plant(60)
    references = choose_references(planted.features, seed=0, max_references=10)
    neighbours = keep_neighbours(references, planted.texts, planted.quality)
    assert neighbours.quality.shape == (10, 2)
    row = references.rows[4]
    found = neighbours.nearest(query_of(planted.features, row).dense[: planted.features.embedding_dim], n=1)
    assert found[0].query == planted.texts[row]
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(), max_size=300), min_size=1, max_size=5))
def test_any_text_is_cut_between_characters(texts: list[str]) -> None:
    neighbours = keep_neighbours(references_of(len(texts)), texts, np.ones((len(texts), 1)))
    found = {item.query for item in neighbours.nearest(np.ones(2, dtype=np.float32), n=len(texts))}
    for text in texts:
        whole = text.encode("utf-8", "replace").decode()
        assert any(
            whole.startswith(query) and len(query.encode()) > min(len(whole.encode()), 240) - 4 for query in found
        )


@pytest.mark.parametrize("character", ["é", "漢", "🙂"])
def test_a_long_text_is_kept_to_its_first_bytes(character: str) -> None:
    neighbours = keep_neighbours(references_of(1), ["x" + character * 5_000_000], np.ones((1, 1)))
    [found] = neighbours.nearest(np.ones(2, dtype=np.float32), n=1)
    assert 237 <= len(found.query.encode()) <= 240
    assert set(found.query) == {"x", character}


def test_a_model_finds_a_training_query_again(model: QueryModel) -> None:
    text = plant(120, n_backends=3).texts[7]
    nearest = model.nearest(text, n=3)
    assert nearest[0].query == text
    assert nearest[0].quality.shape == (3,)
