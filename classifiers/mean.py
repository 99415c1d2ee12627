"""The mean-score router: every query looks the same to it."""

from __future__ import annotations

from typing import Self

import numpy as np

from .features import Features
from .heads import check_quality
from .ridge import FloatArray, LinearMap
from .sparse import IntArray


class MeanHead:
    """Predicts each backend's mean quality, whatever the query."""

    predictor_: LinearMap

    def __init__(self) -> None:
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the means of the observed cells."""
        check_quality(features, quality)
        self.predictor_ = constant_map(features, np.nanmean(quality, axis=0))
        return self


def constant_map(features: Features, values: FloatArray) -> LinearMap:
    """Returns the map that gives the same values, (k,), for every query."""
    return LinearMap(
        dense_weights=np.zeros((features.dense.shape[1], len(values)), dtype=np.float32),
        term_weights=np.empty((0, len(values)), dtype=np.float32),
        intercept=values.astype(np.float32),
    )
