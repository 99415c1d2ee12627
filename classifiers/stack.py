"""The stack: linear heads of several kinds and strengths, and nearest neighbours, weighed by what each is worth.

Quality is first rotated to its principal components over the backends. The first of them is how hard a query is for
the whole pool, the others are who differs from whom; each is learned as far as the data supports it and no further,
so that a set of queries that teaches nothing ends as the mean-score router.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .features import Features, QueryFeatures
from .heads import check_folds, check_quality, fill_missing
from .knn import MAX_REFERENCES, N_SKETCH, KnnTable, choose_references
from .ridge import FloatArray, LinearMap, dense_ridge_path, term_ridge_path
from .sparse import IntArray
from .telling import counting, tell

_WEIGHT_PENALTY = 0.1  # of the stacking weights, relative to the mean power of the stacked predictions
_PLAIN, _WORDS = 0, 1  # the two neighbourhoods: by the embedding, or by words as well


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearPlusKnn:
    """The sum of a linear map and a local average: what a stack of both comes to once it is fitted."""

    linear: LinearMap
    knn: KnnTable | None

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        scores = self.linear.predict(features)
        return scores if self.knn is None else scores + self.knn.predict(features)

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        scores = self.linear.predict_one(query)
        return scores if self.knn is None else scores + self.knn.predict_one(query)


class StackHead:
    """Combines heads by non-negative least squares on out-of-fold predictions, component by component.

    Reference: Breiman 1996, "Stacked regressions", Machine Learning 24.
    """

    predictor_: LinearPlusKnn
    out_of_fold_: FloatArray | None

    def __init__(
        self,
        *,
        dense_penalties: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0),
        term_penalties: tuple[float, ...] = (3.0, 10.0, 30.0),
        frame_penalties: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0),
        n_neighbours: int = 100,
        temperature: float = 0.07,
        word_temperature: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.dense_penalties = dense_penalties
        self.term_penalties = term_penalties
        self.frame_penalties = frame_penalties
        self.n_neighbours = n_neighbours
        self.temperature = temperature
        self.word_temperature = word_temperature
        self.seed = seed

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the heads, their weights, and keeps the out-of-fold scores of the whole stack."""
        check_quality(features, quality)
        check_folds(features, folds)
        filled = fill_missing(quality)
        means = filled.mean(0)
        _, _, axes = np.linalg.svd(filled - means, full_matrices=False)  # (n_components, n_backends)

        n_linear = len(self.dense_penalties) + 2 * len(self.term_penalties) + len(self.frame_penalties)
        targets = np.empty((len(filled), len(axes)))
        linear = np.empty((n_linear, *targets.shape))
        local = np.empty((2, 1, *targets.shape))
        bases = np.empty_like(filled)  # what is known of a query's quality without it: the means of the other folds
        for fold in counting(np.unique(folds), "fold"):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            part, held_out = features.take(inside), features.take(outside)
            known = fill_missing(quality[inside])
            bases[outside] = known.mean(0)
            components = (known - known.mean(0)) @ axes.T
            targets[outside] = (filled[outside] - known.mean(0)) @ axes.T
            for place, fitted in enumerate(self._fit_linear(part, components)):
                linear[place, outside] = fitted.predict(held_out)
            for kind in (_PLAIN, _WORDS):
                local[kind, 0, outside] = self._fit_knn(part, components, kind).predict(held_out)

        stacks = [np.concatenate([linear, local[kind]]) for kind in (_PLAIN, _WORDS)]
        crossed = [self._cross_fit(stacked, targets, folds) for stacked in stacks]
        self.neighbourhood_ = _choose_neighbourhood(crossed, targets)
        stacked = stacks[self.neighbourhood_]
        self.weights_ = np.stack([stacking_weights(stacked[:, :, k], t) for k, t in enumerate(targets.T)])
        self.out_of_fold_ = bases + crossed[self.neighbourhood_] @ axes
        tell("all folds together")
        components = (filled - means) @ axes.T
        knn = self._fit_knn(features, components, self.neighbourhood_)
        self.predictor_ = self._collapse(self._fit_linear(features, components), knn, means, axes)
        return self

    def _fit_linear(self, features: Features, components: FloatArray) -> list[LinearMap]:
        maps = dense_ridge_path(features, components, self.dense_penalties)
        words = features.frameless()  # one penalty for both kinds of terms would suit neither
        for with_dense in (False, True):
            maps += term_ridge_path(words, components, self.term_penalties, with_dense=with_dense)
        maps += term_ridge_path(features.wordless(), components, self.frame_penalties, with_dense=False)
        return maps

    def _fit_knn(self, features: Features, components: FloatArray, kind: int) -> KnnTable:
        temperature, n_sketch, n_references = self.temperature, 0, MAX_REFERENCES
        if kind == _WORDS:
            temperature, n_sketch, n_references = self.word_temperature, N_SKETCH, 2 * MAX_REFERENCES
        references = choose_references(features, seed=self.seed, n_sketch=n_sketch, max_references=n_references)
        return KnnTable(
            references=references,
            values=components[references.rows].astype(np.float32),
            n_neighbours=self.n_neighbours,
            temperature=temperature,
        )

    @staticmethod
    def _cross_fit(stacked: FloatArray, components: FloatArray, folds: IntArray) -> FloatArray:
        """Returns the stack's predictions of each component, with weights that did not see the query either."""
        combined = np.empty_like(components)
        for fold in np.unique(folds):
            inside, outside = folds != fold, folds == fold
            for k in range(components.shape[1]):
                weights = stacking_weights(stacked[:, inside, k], components[inside, k])
                combined[outside, k] = weights @ stacked[:, outside, k]
        return combined

    def _collapse(self, maps: list[LinearMap], knn: KnnTable, means: FloatArray, axes: FloatArray) -> LinearPlusKnn:
        """Returns the whole stack as one linear map and one table: a sum of linear maps is a linear map."""
        n_backends = axes.shape[1]
        n_dense = maps[0].dense_weights.shape[0]
        n_terms = max(len(fitted.term_weights) for fitted in maps)
        dense = np.zeros((n_dense, n_backends))
        terms = np.zeros((n_terms, n_backends))
        intercept = means.copy()
        for place, fitted in enumerate(maps):
            mixing = self.weights_[:, place, None] * axes  # (n_components, n_backends)
            dense += fitted.dense_weights @ mixing
            if len(fitted.term_weights):
                terms += fitted.term_weights @ mixing
            intercept += fitted.intercept @ mixing
        linear = LinearMap(
            dense_weights=dense.astype(np.float32),
            term_weights=terms.astype(np.float32),
            intercept=intercept.astype(np.float32),
        )
        knn_weights = self.weights_[:, -1]
        if not knn_weights.any():
            return LinearPlusKnn(linear=linear, knn=None)
        values = (knn.values * knn_weights) @ axes
        table = KnnTable(
            references=knn.references,
            values=values.astype(np.float32),
            n_neighbours=knn.n_neighbours,
            temperature=knn.temperature,
        )
        return LinearPlusKnn(linear=linear, knn=table)


def _choose_neighbourhood(crossed: list[FloatArray], components: FloatArray) -> int:
    """Returns the plain neighbourhood, unless words as well bring the squared error down by two paired errors."""
    plain, words = (((scores - components) ** 2).sum(1) for scores in crossed)
    gain = plain - words
    return _WORDS if gain.mean() > 2 * gain.std() / np.sqrt(len(gain)) else _PLAIN


def stacking_weights(predictions: FloatArray, target: FloatArray, *, n_sweeps: int = 200) -> FloatArray:
    """Returns non-negative weights, (n_heads,), by coordinate descent on the penalised least squares.

    `predictions` is (n_heads, n_queries). Weights of zero, where no head predicts the target, leave the mean.
    """
    gram = predictions @ predictions.T
    gram[np.diag_indices_from(gram)] += _WEIGHT_PENALTY * np.trace(gram) / len(gram) + 1e-12
    goal = predictions @ target
    weights = np.zeros(len(gram))
    for _ in range(n_sweeps):
        before = weights.copy()
        for head in range(len(gram)):
            rest = goal[head] - gram[head] @ weights + gram[head, head] * weights[head]
            weights[head] = max(rest / gram[head, head], 0.0)
        if np.abs(weights - before).max() < 1e-7:
            break
    return weights
