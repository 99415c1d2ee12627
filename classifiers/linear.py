"""The linear head: ridge regression on the embedding, the surface features and the terms together."""

from __future__ import annotations

from typing import Self

import numpy as np

from .features import Features
from .heads import check_folds, check_quality, fill_missing
from .ridge import FloatArray, LinearMap, term_ridge_path
from .sparse import IntArray
from .telling import counting, tell


class LinearHead:
    """Ridge regression of quality, all backends at once; soft scores and missing cells are welcome.

    The penalty is the one of `penalties` with the least squared error out of fold.
    """

    predictor_: LinearMap

    def __init__(self, *, penalties: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0)) -> None:
        self.penalties = penalties
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns one linear map from the queries to all backends."""
        check_quality(features, quality)
        check_folds(features, folds)
        features = features.frameless()  # one penalty for both kinds of terms would suit neither
        targets = fill_missing(quality)
        path = np.empty((len(self.penalties), *targets.shape))
        for fold in counting(np.unique(folds), "fold"):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            maps = term_ridge_path(features.take(inside), targets[inside], self.penalties, with_dense=True)
            held_out = features.take(outside)
            for place, fitted in enumerate(maps):
                path[place, outside] = fitted.predict(held_out)
        errors = np.nanmean((path - quality) ** 2, axis=(1, 2))
        best = int(np.argmin(errors))
        self.out_of_fold_ = path[best]
        self.penalty_ = self.penalties[best]
        tell("all folds together")
        self.predictor_ = term_ridge_path(features, targets, [self.penalty_], with_dense=True)[0]
        return self
