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
    neighbours = keep_neighbours(references_of(3), ["one", "two", "three"], quality, references_of(3).points)
    found = neighbours.nearest(np.array([0.1, 1.0], dtype=np.float32), n=2)
    assert [item.query for item in found] == ["three", "two"]
    assert found[0].similarity > found[1].similarity > 0
    np.testing.assert_array_equal(found[1].quality, [0.25, np.nan])


def test_asking_for_more_than_there_are_gives_all() -> None:
    neighbours = keep_neighbours(references_of(3), ["one", "two", "three"], np.ones((3, 1)), references_of(3).points)
    assert len(neighbours.nearest(np.ones(2, dtype=np.float32), n=50)) == 3


def test_only_the_reference_queries_are_kept() -> None:
    planted = plant(60)
    references = choose_references(planted.features, seed=0, max_references=10)
    neighbours = keep_neighbours(references, planted.texts, planted.quality, planted.features.embedding)
    assert neighbours.quality.shape == (10, 2)
    row = references.rows[4]
    found = neighbours.nearest(query_of(planted.features, row).dense[: planted.features.embedding_dim], n=1)
    assert found[0].query == planted.texts[row]
    assert found[0].similarity == pytest.approx(1.0, abs=1e-4)


@settings(deadline=None)
@given(st.lists(st.text(st.characters(), max_size=300), min_size=1, max_size=5))
def test_any_text_is_cut_between_characters(texts: list[str]) -> None:
    references = references_of(len(texts))
    neighbours = keep_neighbours(references, texts, np.ones((len(texts), 1)), references.points)
    found = {item.query for item in neighbours.nearest(np.ones(2, dtype=np.float32), n=len(texts))}
    for text in texts:
        whole = text.encode("utf-8", "replace").decode()
        assert any(
            whole.startswith(query) and len(query.encode()) > min(len(whole.encode()), 240) - 4 for query in found
        )


@pytest.mark.parametrize("character", ["é", "漢", "🙂"])
def test_a_long_text_is_kept_to_its_first_bytes(character: str) -> None:
    text = "x" + character * 5_000_000
    neighbours = keep_neighbours(references_of(1), [text], np.ones((1, 1)), references_of(1).points)
    [found] = neighbours.nearest(np.ones(2, dtype=np.float32), n=1)
    assert 237 <= len(found.query.encode()) <= 240
    assert set(found.query) == {"x", character}


def test_a_model_finds_a_training_query_again(model: QueryModel) -> None:
    text = plant(120, n_backends=3).texts[7]
    nearest = model.nearest(text, n=3)
    assert nearest[0].query == text
    assert nearest[0].quality.shape == (3,)


# How familiar a query is


def test_a_query_among_the_training_queries_is_familiar_and_one_apart_is_not() -> None:
    neighbours = keep_neighbours(references_of(99), range_of(99), np.ones((99, 1)), references_of(99).points)
    near, far = neighbours.familiarity(np.array([[0.6, 0.8], [-1.0, 0.0]], dtype=np.float32))
    assert near > 0.5
    assert far == pytest.approx(1 / 100)


def test_what_the_axes_leave_out_counts_as_distance() -> None:
    references = References(
        mean=np.zeros(3, dtype=np.float32),
        axes=np.eye(3, 2, dtype=np.float32),
        points=references_of(99).points,
        rows=np.arange(99),
    )
    inside = np.concatenate([references.points, np.zeros((99, 1), dtype=np.float32)], axis=1)
    neighbours = keep_neighbours(references, range_of(99), np.ones((99, 1)), inside)
    found = neighbours.familiarity(np.array([[0.6, 0.8, 0.0], [0.6, 0.8, 5.0]], dtype=np.float32))
    assert found[0] > 0.5
    assert found[1] == pytest.approx(1 / 100)


def test_twins_do_not_vouch_for_each_other() -> None:
    planted = plant(60)
    references = choose_references(planted.features, seed=0)
    every = [planted.texts, planted.quality, planted.features.embedding]
    apart = keep_neighbours(references, *every)
    paired = keep_neighbours(references, *every, [row // 30 for row in range(60)])
    assert (paired.closeness <= apart.closeness + 1e-6).all()
    assert paired.closeness.mean() < apart.closeness.mean()


def test_queries_like_the_training_queries_are_called_unfamiliar_as_seldom_as_is_said() -> None:
    planted = plant(1200)
    learned, other = planted.part(np.arange(600)), planted.part(np.arange(600, 1200))
    references = choose_references(learned.features, seed=0)
    neighbours = keep_neighbours(references, learned.texts, learned.quality, learned.features.embedding)
    familiarity = neighbours.familiarity(other.features.embedding)
    assert (familiarity < 0.1).mean() == pytest.approx(0.1, abs=0.05)


def test_queries_that_are_all_twins_leave_every_query_familiar() -> None:
    neighbours = keep_neighbours(
        references_of(3), ["a", "b", "c"], np.ones((3, 1)), references_of(3).points, families=["same"] * 3
    )
    assert neighbours.familiarity(references_of(3).points).tolist() == [1, 1, 1]


def range_of(n: int) -> list[str]:
    """Returns so many different texts."""
    return [str(number) for number in range(n)]
