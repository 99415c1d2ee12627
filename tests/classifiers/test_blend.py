"""The blend leans on the parts that tell something, and on the mean where none does."""

from __future__ import annotations

import numpy as np

from penstock.classifiers import fit_with_out_of_fold
from penstock.classifiers.blend import Blend, BlendHead

from .planted import plant, scatter


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
