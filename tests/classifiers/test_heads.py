"""What every head promises, over everything in the table."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from penstock.backends import ConfigError
from penstock.classifiers import HEADS, Features, FitError, Predictor, create_head, fit_with_out_of_fold
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import IntArray
from penstock.classifiers.surface import SURFACE_NAMES

from .planted import Planted, features_of, plant, query_of, scatter

BUILT_IN = sorted(set(HEADS) - {"finetune"})  # which reads texts, by an encoder to be given: test_finetune.py
LEARNING = sorted(set(BUILT_IN) - {"mean", "prior"})  # from the words, of which the prior reads none


@pytest.fixture(params=BUILT_IN)
def name(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture(autouse=True)
def quick_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blends two quick heads: what a blend promises does not hang on which they are."""
    monkeypatch.setattr("penstock.classifiers.blend.PARTS", ("linear", "irt"))


def scores_of(name: str, planted: Planted, quality: FloatArray | None = None) -> FloatArray:
    """Returns what a head fitted on queries predicts of the same queries."""
    head = create_head(name).fit(planted.features, planted.quality if quality is None else quality, planted.folds)
    return head.predictor_.predict(planted.features)


def halves(planted: Planted) -> tuple[Planted, Planted]:
    n = len(planted.texts)
    return planted.part(np.arange(n // 2)), planted.part(np.arange(n // 2, n))


def error_on_new(name: str, planted: Planted) -> float:
    """Returns the squared error on the second half of a head fitted on the first, per cell, missing ones aside."""
    seen, new = halves(planted)
    head = create_head(name).fit(seen.features, seen.quality, seen.folds)
    return float(np.nanmean((head.predictor_.predict(new.features) - new.quality) ** 2))


@cache
def predictor_of(name: str) -> Predictor:
    """Returns what a head learns from 60 planted queries, fitted once for all tests that only look at it."""
    planted = plant(60)
    return create_head(name).fit(planted.features, planted.quality, planted.folds).predictor_


def test_fit_returns_the_head_itself_and_learns_a_predictor(name: str) -> None:
    planted = plant(40)
    head = create_head(name)
    assert not hasattr(head, "predictor_")
    assert head.fit(planted.features, planted.quality, planted.folds) is head
    assert hasattr(head.predictor_, "predict")


@pytest.mark.parametrize("n_backends", [1, 2, 3])
def test_scores_have_a_row_a_query_and_a_column_a_backend(name: str, n_backends: int) -> None:
    planted = plant(40, n_backends=n_backends)
    head = create_head(name).fit(planted.features, planted.quality, planted.folds)
    assert head.predictor_.predict(planted.features).shape == (40, n_backends)
    assert head.predictor_.predict_one(query_of(planted.features, 0)).shape == (n_backends,)
    assert head.out_of_fold_ is None or head.out_of_fold_.shape == (40, n_backends)


def test_one_query_is_predicted_as_in_a_batch(name: str) -> None:
    planted, predictor = plant(60), predictor_of(name)
    batch = predictor.predict(planted.features)
    for row in range(60):
        one = predictor.predict_one(query_of(planted.features, row))
        assert one.dtype == np.float64
        assert one == pytest.approx(batch[row], abs=1e-4)


def test_no_queries_have_no_scores(name: str) -> None:
    planted, predictor = plant(60), predictor_of(name)
    assert predictor.predict(planted.features.take(np.empty(0, dtype=np.int64))).shape == (0, 2)


def test_fitting_leaves_the_data_as_they_were(name: str) -> None:
    planted = plant(40)
    quality = planted.quality.copy()
    quality[::3, 1] = np.nan
    before, dense = quality.copy(), planted.features.dense.copy()
    create_head(name).fit(planted.features, quality, planted.folds)
    np.testing.assert_array_equal(quality, before)
    np.testing.assert_array_equal(planted.features.dense, dense)


def test_the_same_seed_gives_the_same_bytes(name: str) -> None:
    planted = plant(80)
    dumped: list[Arrays] = []
    for _ in range(2):
        arrays: Arrays = {}
        dump(create_head(name).fit(planted.features, planted.quality, planted.folds).predictor_, "head", arrays)
        dumped.append(arrays)
    one, other = dumped
    assert {key: array.tobytes() for key, array in one.items()} == {
        key: array.tobytes() for key, array in other.items()
    }


def test_a_predictor_survives_the_artefact(name: str) -> None:
    planted, predictor = plant(60), predictor_of(name)
    arrays: Arrays = {}
    again = load(dump(predictor, "head", arrays), arrays)
    assert (again.predict(planted.features) == predictor.predict(planted.features)).all()


@pytest.mark.parametrize("name", LEARNING)
def test_beats_the_mean_where_the_words_tell(name: str) -> None:
    planted = plant(400)
    assert error_on_new(name, planted) < 0.8 * error_on_new("mean", planted)


def test_is_no_worse_than_the_mean_where_nothing_tells(name: str) -> None:
    noise = scatter(400)
    assert error_on_new(name, noise) < 1.15 * error_on_new("mean", noise)


@pytest.mark.parametrize("name", LEARNING)
def test_beats_the_mean_where_half_the_cells_are_missing(name: str) -> None:
    planted = plant(600)
    holes = np.random.default_rng(9).random(planted.quality.shape) < 0.5
    holed = Planted(
        texts=planted.texts,
        is_hard=planted.is_hard,
        quality=np.where(holes, np.nan, planted.quality),
        features=planted.features,
        folds=planted.folds,
    )
    assert error_on_new(name, holed) < 0.85 * error_on_new("mean", holed)


def test_a_query_that_nobody_was_asked_does_no_harm(name: str) -> None:
    planted = plant(80)
    quality = planted.quality.copy()
    quality[5] = np.nan
    assert np.isfinite(scores_of(name, planted, quality)).all()


def softly_graded(name: str) -> tuple[FloatArray, FloatArray]:
    """Returns scores that are never 0 nor 1, the second backend's always the same, and what is predicted of them."""
    planted = plant(80)
    soft = np.where(planted.is_hard[:, None] == 1, [0.25, 0.5], [0.75, 0.5])
    return soft, scores_of(name, planted, soft)


def test_soft_scores_are_predicted_at_their_level(name: str) -> None:
    soft, scores = softly_graded(name)
    assert scores.mean(0) == pytest.approx(soft.mean(0), abs=0.05)


@pytest.mark.parametrize("name", sorted(set(BUILT_IN) - {"prior"}))  # which believes of all that they mind difficulty
def test_a_backend_whose_scores_are_all_the_same_is_predicted_the_same(name: str) -> None:
    _, scores = softly_graded(name)
    assert scores[:, 1] == pytest.approx(np.full(80, 0.5), abs=0.02)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_only_is_predicted_everywhere(name: str, value: float) -> None:
    planted = plant(60)
    assert scores_of(name, planted, np.full((60, 2), value)) == pytest.approx(np.full((60, 2), value), abs=0.05)


def test_constant_features_give_the_means(name: str) -> None:
    quality = plant(200).quality
    features = features_of(np.ones((200, 6 + len(SURFACE_NAMES))), embedding_dim=6)
    scores = create_head(name).fit(features, quality, np.arange(200) % 4).predictor_.predict(features)
    assert scores == pytest.approx(np.tile(quality.mean(0), (200, 1)), abs=0.02)


def test_fewer_queries_than_features_are_enough(name: str) -> None:
    planted = plant(6)
    assert planted.features.dense.shape[1] > 6
    assert np.isfinite(scores_of(name, planted)).all()


def test_many_backends_and_few_queries_are_fine(name: str) -> None:
    planted = plant(6)
    quality = np.random.default_rng(0).random((6, 12))
    assert scores_of(name, planted, quality).shape == (6, 12)


@pytest.mark.parametrize(
    ("quality", "message"),
    [
        (np.full((10, 2), 0.5), r"expected shape \(20, n_backends\), got \(10, 2\)"),
        (np.full(20, 0.5), r"expected shape \(20, n_backends\), got \(20,\)"),
        (np.empty((20, 0)), r"expected shape \(20, n_backends\), got \(20, 0\)"),
        (np.full((20, 2), 1.5), r"expected scores in \[0, 1\]"),
        (np.full((20, 2), -0.1), r"expected scores in \[0, 1\]"),
        (np.full((20, 2), np.inf), r"expected scores in \[0, 1\]"),
        (np.full((20, 2), [0.5, np.nan]), r"no score at all for backend column\(s\) \[1\]"),
    ],
)
def test_refuses_what_it_cannot_learn_from(name: str, quality: FloatArray, message: str) -> None:
    planted = plant(20)
    with pytest.raises(FitError, match=message):
        create_head(name).fit(planted.features, quality, planted.folds)


@pytest.mark.parametrize("folds", [np.zeros(20, dtype=np.int64), np.arange(10)])
def test_out_of_fold_scores_need_two_folds_over_all_queries(name: str, folds: IntArray) -> None:
    planted = plant(20)
    with pytest.raises(FitError, match="at least two different folds"):
        fit_with_out_of_fold(name, planted.features, planted.quality, folds)


def test_out_of_fold_scores_never_see_their_own_query(name: str) -> None:
    planted = plant(160)  # so many that one label hardly moves what is chosen by all queries
    _, before = fit_with_out_of_fold(name, planted.features, planted.quality, planted.folds)
    changed = planted.quality.copy()
    changed[0] = 1 - changed[0]
    _, after = fit_with_out_of_fold(name, planted.features, changed, planted.folds)
    assert before.shape == (160, 2)
    # What is chosen by all queries (a penalty, weights) may follow; the label itself must not.
    moved = np.abs(after[0] - before[0]).max()
    assert moved < 0.05


def test_a_backend_whose_scores_are_all_in_one_fold_can_be_learned(name: str) -> None:
    planted = plant(80)
    quality = planted.quality.copy()
    quality[planted.folds != 0, 1] = np.nan
    _, scores = fit_with_out_of_fold(name, planted.features, quality, planted.folds)
    assert np.isfinite(scores).all()


def test_an_unknown_head_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="expected one of mean, linear, logistic, knn, cluster"):
        create_head("forest")


def test_an_argument_that_a_head_does_not_take_is_refused() -> None:
    with pytest.raises(ConfigError, match="'linear' takes no argument, got 'large'"):
        create_head("linear:large")


def test_features_are_taken_row_by_row() -> None:
    features: Features = plant(20).features
    taken = features.take(np.array([3, 1]))
    assert taken.n_queries == 2
    assert (taken.dense == features.dense[[3, 1]]).all()
    assert (taken.embedding == features.embedding[[3, 1]]).all()
    assert taken.texts == (features.texts[3], features.texts[1])
