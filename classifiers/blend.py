"""The blend: what dissimilar heads say, each weighed by what it is worth out of fold, the rest being the mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from .features import Features, QueryFeatures
from .heads import Head, Predictor, check_folds, check_quality, fit_with_out_of_fold
from .ridge import FloatArray
from .sparse import IntArray
from .stack import stacking_weights

PARTS = ("stack", "trees", "irt")
_LEAST_WEIGHT = 0.03  # below which a part is not worth the time it takes to ask it

Fit = tuple[Head, FloatArray]  # a head fitted on everything, and its out-of-fold scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Deviates from the mean scores by a weighted sum of the deviations of the parts."""

    base: FloatArray  # (n_backends,) mean scores
    weights: FloatArray  # (n_parts,)
    parts: tuple[Predictor, ...]

    _rest: FloatArray = field(init=False, repr=False, compare=False)  # (n_backends,) what the parts leave to the base

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rest", self.base * (1 - self.weights.sum()))

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        out = np.tile(self._rest, (features.n_queries, 1))
        for weight, part in zip(self.weights, self.parts, strict=True):
            out += weight * part.predict(features)
        return out

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        out = self._rest.copy()
        for weight, part in zip(self.weights, self.parts, strict=True):
            out += weight * part.predict_one(query)
        return out


class BlendHead:
    """Weighs heads by non-negative least squares on their out-of-fold deviations from the mean score.

    Where no part tells anything, all weights shrink towards 0 and the mean-score router is left. `fitted` are parts
    that were fitted on the same data already; with it they are the parts, otherwise `PARTS` are fitted.
    """

    predictor_: Predictor
    out_of_fold_: FloatArray | None

    def __init__(self, *, fitted: Mapping[str, Fit] | None = None) -> None:
        self.fitted = fitted

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the weights, and the parts where they are not given."""
        check_quality(features, quality)
        check_folds(features, folds)
        fitted = self.fitted or {name: fit_with_out_of_fold(name, features, quality, folds) for name in PARTS}
        _, means = fit_with_out_of_fold("mean", features, quality, folds)
        deviations = np.stack([scores - means for _, scores in fitted.values()])  # (n_parts, n_queries, n_backends)
        seen = np.isfinite(quality)

        def weigh(rows: IntArray) -> FloatArray:
            """Returns weights that sum to 1 at most: the blend deviates no further than its parts."""
            known = seen[rows]
            weights = stacking_weights(deviations[:, rows][:, known], (quality - means)[rows][known])
            return weights / max(float(weights.sum()), 1.0)

        self.out_of_fold_ = means.copy()
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            self.out_of_fold_[outside] += np.tensordot(weigh(inside), deviations[:, outside], axes=1)
        weights = weigh(np.arange(features.n_queries))
        kept = np.flatnonzero(weights >= _LEAST_WEIGHT)
        self.weights_ = dict(zip(fitted, weights.tolist(), strict=True))
        heads = [head for head, _ in fitted.values()]
        self.predictor_ = Blend(
            base=np.nanmean(quality, axis=0),
            weights=weights[kept],
            parts=tuple(heads[place].predictor_ for place in kept),
        )
        return self
