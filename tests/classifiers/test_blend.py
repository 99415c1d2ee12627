"""The blend leans on the parts that tell something, and on the mean where none does."""

from __future__ import annotations

import numpy as np

from penstock.classifiers import fit_with_out_of_fold
from penstock.classifiers.blend import Blend, BlendHead
from penstock.classifiers.features import Features
from penstock.classifiers.persist import Arrays, dump, load
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import IntArray

from .planted import features_of, plant, query_of, scatter


def test_given_parts_are_not_fitted_again() -> None:
    planted = plant(80)
    fit = fit_with_out_of_fold("linear", planted.features, planted.quality, planted.folds)
    head = BlendHead(fitted={"linear": fit}).fit(planted.features, planted.quality, planted.folds)
    assert isinstance(head.predictor_, Blend)
    assert head.predictor_.parts == (fit[0].predictor_,)


def test_a_part_that_tells_nothing_weighs_little_beside_one_that_does() -> None:
    planted = plant(200)
    telling = fit_with_out_of_fold("linear", planted.features, planted.quality, planted.folds)
    noise = np.random.default_rng(0).random(planted.quality.shape)
    head = BlendHead(fitted={"linear": telling, "noise": (telling[0], noise)})
    head.fit(planted.features, planted.quality, planted.folds)
    assert head.weights_["linear"] > 0.5
    assert head.weights_["noise"] < 0.1


def test_where_nothing_tells_the_mean_scores_are_left() -> None:
    noise = scatter(200)
    parts = {name: fit_with_out_of_fold(name, noise.features, noise.quality, noise.folds) for name in ("linear", "irt")}
    head = BlendHead(fitted=parts).fit(noise.features, noise.quality, noise.folds)
    scores = head.predictor_.predict(noise.features)
    assert np.abs(scores - noise.quality.mean(0)).mean() < 0.1
    assert isinstance(head.predictor_, Blend)
    assert head.predictor_.forest is None


def _either_or(n: int) -> tuple[Features, FloatArray, IntArray]:
    """Returns queries that are right where one of two numbers is high and not the other, and for a third one."""
    dense = np.random.default_rng(0).normal(size=(n, 8))
    chance = 0.5 * ((dense[:, 5] > 0) ^ (dense[:, 6] > 0)) + 0.5 * (dense[:, 7] > 0)
    return features_of(dense, embedding_dim=4), chance[:, None], np.arange(n) % 4


def test_trees_grow_on_what_the_parts_say_where_lines_do_not_tell_all() -> None:
    features, quality, folds = _either_or(400)
    fit = fit_with_out_of_fold("linear", features, quality, folds)
    flat = BlendHead(fitted={"linear": fit}, grows=False).fit(features, quality, folds)
    grown = BlendHead(fitted={"linear": fit}).fit(features, quality, folds)
    assert flat.out_of_fold_ is not None
    assert grown.out_of_fold_ is not None
    assert np.mean((grown.out_of_fold_ - quality) ** 2) < 0.8 * np.mean((flat.out_of_fold_ - quality) ** 2)
    assert isinstance(grown.predictor_, Blend)
    forest = grown.predictor_.forest
    assert forest is not None
    n_seen = features.dense.shape[1] - features.embedding_dim + forest.references.axes.shape[1]
    assert (forest.trees.columns >= n_seen).any()  # some ask what the part says


def test_with_trees_one_query_is_predicted_as_in_a_batch_and_as_before_it_was_saved() -> None:
    features, quality, folds = _either_or(400)
    fit = fit_with_out_of_fold("linear", features, quality, folds)
    predictor = BlendHead(fitted={"linear": fit}).fit(features, quality, folds).predictor_
    batch = predictor.predict(features)
    for row in range(20):
        assert np.allclose(predictor.predict_one(query_of(features, row)), batch[row], atol=1e-5)
    arrays: Arrays = {}
    saved = load(dump(predictor, "blend", arrays), arrays)
    assert saved.forest is not None
    assert (saved.predict(features) == batch).all()
