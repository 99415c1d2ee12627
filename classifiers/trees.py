"""The tree head: boosted trees on the surface features, the main axes of the rest, and what others say where given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import Self

import numpy as np

from .boosting import Growth, TreeSum, grow, tree_sum
from .features import Features, QueryFeatures
from .heads import check_folds, check_quality, fill_missing
from .knn import N_SKETCH, References, choose_references
from .ridge import FloatArray
from .sparse import Float32Array, IntArray
from .telling import counting, tell

_N_AXES = 16
_PATIENCE = 20  # trees without progress out of fold, until growing stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Trees over what is told of a query; `told` is what they were given beside the features when they grew."""

    references: References  # of which only the axes are used
    trees: TreeSum  # an output a backend

    def predict(self, features: Features, told: FloatArray | None = None) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return self.trees.predict(tree_inputs(self.references, features, told))

    def predict_one(self, query: QueryFeatures, told: FloatArray | None = None) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        surface, point = query.dense[query.embedding_dim :], self.references.place_one(query)
        n_surface, n_known = len(surface), len(surface) + len(point)
        inputs = np.empty(n_known if told is None else n_known + len(told), dtype=np.float32)
        inputs[:n_surface] = surface
        inputs[n_surface:n_known] = point
        if told is not None:
            inputs[n_known:] = told
        return self.trees.predict_one(inputs)


def tree_inputs(references: References, features: Features, told: FloatArray | None) -> Float32Array:
    """Returns what trees ask about, (n_queries, n_inputs): surface features, the main axes of everything, `told`."""
    seen = [features.dense[:, features.embedding_dim :], references.place(references.inputs(features))]
    if told is not None:
        seen.append(told.astype(np.float32))
    return np.concatenate(seen, axis=1)


class TreeHead:
    """Gradient boosting, all backends in one tree.

    `told`, (n_queries, n_told), are numbers to ask about beside the features: what other heads say out of fold.
    """

    predictor_: Forest

    def __init__(
        self,
        *,
        n_trees: int = 200,
        depth: int = 4,
        rate: float = 0.05,
        input_share: float = 0.2,
        seed: int = 0,
        told: FloatArray | None = None,
    ) -> None:
        self.n_trees = n_trees
        self.told = told
        self.growth = Growth(depth=depth, rate=rate, input_share=input_share, seed=seed)
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Grows trees, as many as give the least error out of fold, all folds in step."""
        check_quality(features, quality)
        check_folds(features, folds)
        scores = np.empty_like(quality)
        growing = []
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            part = features.take(inside)
            references, filled = self._axes(part), fill_missing(quality[inside])
            scores[outside] = filled.mean(0)
            trees = grow(tree_inputs(references, part, self._told(inside)), filled, self.growth)
            growing.append((trees, tree_inputs(references, features.take(outside), self._told(outside)), outside))
        self.out_of_fold_ = scores.copy()
        self.n_trees_, least = 0, np.nanmean((scores - quality) ** 2)
        for n_trees in counting(range(1, self.n_trees + 1), "tree"):
            for trees, inputs, outside in growing:
                scores[outside] += next(trees).predict(inputs)
            error = np.nanmean((scores - quality) ** 2)
            if error < least:
                self.n_trees_, least, self.out_of_fold_ = n_trees, error, scores.copy()
            elif n_trees > self.n_trees_ + _PATIENCE:
                break
        tell("all folds together")
        references, filled = self._axes(features), fill_missing(quality)
        inputs = tree_inputs(references, features, self.told)
        grown = list(islice(grow(inputs, filled, self.growth), self.n_trees_))
        self.predictor_ = Forest(references=references, trees=tree_sum(grown, filled.mean(0), depth=self.growth.depth))
        return self

    def _told(self, rows: IntArray) -> FloatArray | None:
        return None if self.told is None else self.told[rows]

    def _axes(self, features: Features) -> References:
        references = choose_references(features, seed=self.growth.seed, n_sketch=N_SKETCH, max_references=1)
        return replace(references, axes=references.axes[:, :_N_AXES], points=references.points[:, :_N_AXES])
