"""Trees see what a linear head cannot, and stop growing where there is nothing to see."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers import FitError, fit_with_out_of_fold
from penstock.classifiers.trees import TreeHead

from .planted import features_of, scatter


def test_an_interaction_of_two_features_is_learned() -> None:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(400, 8))
    quality = ((dense[:, 6] > 0) ^ (dense[:, 7] > 0)).astype(float)[:, None]
    features = features_of(dense, embedding_dim=4)
    folds = np.arange(400) % 4
    errors = {
        name: np.mean((fit_with_out_of_fold(name, features, quality, folds)[1] - quality) ** 2)
        for name in ("linear", "trees")
    }
    assert errors["linear"] > 0.23
    assert errors["trees"] < 0.2


def test_growing_stops_where_there_is_nothing_to_learn() -> None:
    noise = scatter(200)
    head = TreeHead().fit(noise.features, noise.quality, noise.folds)
    assert head.n_trees_ < 30


@pytest.mark.parametrize("depth", [0, 9])
def test_trees_of_no_levels_or_more_than_a_byte_tells_are_refused(depth: int) -> None:
    with pytest.raises(FitError, match="expected 1 to 8"):
        TreeHead(depth=depth)
