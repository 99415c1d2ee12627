"""The blend: what dissimilar heads say, each weighed by what it is worth out of fold, and trees that ask about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from .constant import constant
from .features import Features, QueryFeatures
from .heads import Head, Predictor, check_folds, check_quality, fit_with_out_of_fold
from .paired import paired_gap
from .ridge import FloatArray
from .sparse import IntArray
from .stack import stacking_weights
from .trees import Forest, TreeHead

PARTS = ("stack", "irt", "linear")
_LEAST_WEIGHT = 0.03  # below which a part is not worth the time it takes to ask it
_EVIDENCE = 2.0  # paired standard errors by which trees must help
_INPUT_SHARE = 0.3  # of the inputs that each tree sees: more than without other heads, whose word tells most

Fit = tuple[Head, FloatArray]  # a head fitted on everything, and its out-of-fold scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Blend:
    """Deviates from the mean scores by a weighted sum of what the parts do, and of what trees do that ask about it."""

    base: FloatArray  # (n_backends,) mean scores
    weights: FloatArray  # (n_parts,)
    parts: tuple[Predictor, ...]
    forest: Forest | None = None  # told by how much the sum of the parts deviates from the base
    shares: FloatArray  # (2,) of that sum and of the forest; (1, 0) without one

    _rest: FloatArray = field(init=False, repr=False, compare=False)  # (n_backends,) what the parts leave to the base
    _last: FloatArray = field(init=False, repr=False, compare=False)  # (n_backends,) what sum and forest leave to it
    _weighed: tuple[tuple[FloatArray, Predictor], ...] = field(init=False, repr=False, compare=False)
    _shares: tuple[FloatArray, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rest", self.base * (1 - self.weights.sum()))
        object.__setattr__(self, "_last", self.base * (1 - self.shares.sum()))
        weights, shares = ([constant(one, np.float64) for one in ones] for ones in (self.weights, self.shares))
        object.__setattr__(self, "_weighed", tuple(zip(weights, self.parts, strict=True)))
        object.__setattr__(self, "_shares", tuple(shares))

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        out = np.tile(self._rest, (features.n_queries, 1))
        for weight, part in self._weighed:
            out += weight * part.predict(features)
        return out if self.forest is None else self._mixed(out, self.forest.predict(features, out - self.base))

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        out = self._rest
        for weight, part in self._weighed:
            out = out + weight * part.predict_one(query)
        return out if self.forest is None else self._mixed(out, self.forest.predict_one(query, out - self.base))

    def _mixed(self, said: FloatArray, grown: FloatArray) -> FloatArray:
        share, share_grown = self._shares
        mixed: FloatArray = self._last + share * said + share_grown * grown
        return mixed


class BlendHead:
    """Weighs heads by non-negative least squares on their out-of-fold deviations from the mean score.

    Where no part tells anything, all weights shrink towards 0 and the mean-score router is left. `fitted` are parts
    that were fitted on the same data already; with it they are the parts, otherwise `PARTS` are fitted. With `grows`,
    trees are grown that ask about the weighted sum beside the features, and see where it is wrong; they are weighed
    against it in the same way, and kept where they bring the squared error down by two paired standard errors.
    """

    predictor_: Predictor
    out_of_fold_: FloatArray | None

    def __init__(self, *, fitted: Mapping[str, Fit] | None = None, grows: bool = True) -> None:
        self.fitted = fitted
        self.grows = grows

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the weights, the trees, and the parts where they are not given."""
        check_quality(features, quality)
        check_folds(features, folds)
        fitted = self.fitted or {name: fit_with_out_of_fold(name, features, quality, folds) for name in PARTS}
        _, means = fit_with_out_of_fold("mean", features, quality, folds)
        deviations = np.stack([scores - means for _, scores in fitted.values()])  # (n_parts, n_queries, n_backends)
        weights, said = _weigh(deviations, quality - means, folds)
        kept = np.flatnonzero(weights >= _LEAST_WEIGHT)
        self.weights_ = dict(zip(fitted, weights.tolist(), strict=True))
        heads = [head for head, _ in fitted.values()]
        forest, shares = None, np.array([1.0, 0.0])
        if self.grows:
            # Told in deviations: the means of the other folds would tell which fold a query is in.
            trees = TreeHead(input_share=_INPUT_SHARE, told=said).fit(features, quality, folds)
            assert trees.out_of_fold_ is not None
            both, mixed = _weigh(np.stack([said, trees.out_of_fold_ - means]), quality - means, folds)
            if _is_better(mixed, said, quality - means):
                forest, shares, said = trees.predictor_, both, mixed
        self.out_of_fold_ = means + said
        self.predictor_ = Blend(
            base=np.nanmean(quality, axis=0),
            weights=weights[kept],
            parts=tuple(heads[place].predictor_ for place in kept),
            forest=forest,
            shares=shares,
        )
        return self


def _weigh(deviations: FloatArray, wanted: FloatArray, folds: IntArray) -> tuple[FloatArray, FloatArray]:
    """Returns the weights of what is added up, (n_added,), and the sum with weights that did not see the query either.

    `deviations` is (n_added, n_queries, n_backends), `wanted` (n_queries, n_backends), NaN = not observed. The weights
    sum to 1 at most: the sum deviates no further than its parts.
    """
    seen = np.isfinite(wanted)

    def weigh(rows: IntArray) -> FloatArray:
        weights = stacking_weights(deviations[:, rows][:, seen[rows]], wanted[rows][seen[rows]])
        return weights / max(float(weights.sum()), 1.0)

    crossed = np.empty_like(wanted)
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        crossed[outside] = np.tensordot(weigh(inside), deviations[:, outside], axes=1)
    return weigh(np.arange(len(wanted))), crossed


def _is_better(one: FloatArray, other: FloatArray, wanted: FloatArray) -> bool:
    """Returns whether one is nearer to what is wanted than the other, by two paired standard errors over queries."""
    errors, others = (np.nansum((each - wanted) ** 2, axis=1) for each in (one, other))
    return paired_gap(others, errors) > _EVIDENCE
