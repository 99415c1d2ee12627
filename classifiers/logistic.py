"""The logistic head: one penalised logistic regression a backend, on the embedding and the surface features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .constant import constant
from .features import Features, QueryFeatures
from .heads import check_quality
from .ridge import FloatArray, LinearMap
from .sparse import IntArray

_HALF, _ONE = constant(0.5, np.float64), constant(1, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticMap:
    """The logistic function of a linear map."""

    linear: LinearMap

    def predict(self, features: Features) -> FloatArray:
        """Returns probabilities, (n_queries, k)."""
        return sigmoid(self.linear.predict(features))

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the probabilities for one query, (k,)."""
        return sigmoid(self.linear.predict_one(query))


class LogisticHead:
    """Logistic regression by Newton's method; soft scores count as shares of a success, missing cells not at all."""

    predictor_: LogisticMap

    def __init__(self, *, penalty: float = 1.0) -> None:
        self.penalty = penalty
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns each backend from the queries it was asked."""
        check_quality(features, quality)
        n_dense = features.dense.shape[1]
        weights = np.empty((n_dense + 1, quality.shape[1]))
        design = np.concatenate([features.dense, np.ones((features.n_queries, 1))], axis=1).astype(np.float64)
        penalties = np.append(np.full(n_dense, self.penalty), 1e-3)
        for backend in range(quality.shape[1]):
            seen = np.isfinite(quality[:, backend])
            weights[:, backend] = fit_logistic(design[seen], quality[seen, backend], penalties)
        self.predictor_ = LogisticMap(
            linear=LinearMap(
                dense_weights=weights[:-1].astype(np.float32),
                term_weights=np.empty((0, quality.shape[1]), dtype=np.float32),
                intercept=weights[-1].astype(np.float32),
            )
        )
        return self


def fit_logistic(
    design: FloatArray,
    labels: FloatArray,
    penalties: FloatArray,
    *,
    offset: FloatArray | float = 0.0,
    max_iterations: int = 50,
) -> FloatArray:
    """Returns the weights, (n_columns,), that maximise the penalised likelihood of soft labels in [0, 1].

    Newton's method with halved steps; `penalties` (n_columns,) are ridge penalties and must be positive. `offset`
    (n_rows,) is added to the logits as it is.
    """
    weights = np.zeros(design.shape[1])

    def loss(candidate: FloatArray) -> float:
        logits = design @ candidate + offset
        return float(np.sum(np.logaddexp(0, logits) - labels * logits) + 0.5 * np.sum(penalties * candidate**2))

    current = loss(weights)
    for _ in range(max_iterations):
        probability = sigmoid(design @ weights + offset)
        gradient = design.T @ (probability - labels) + penalties * weights
        curvature = np.maximum(probability * (1 - probability), 1e-6)
        hessian = (design * curvature[:, None]).T @ design + np.diag(penalties)
        step = np.linalg.solve(hessian, gradient)
        scale = 1.0
        while (candidate_loss := loss(weights - scale * step)) > current and scale > 1e-4:
            scale /= 2
        if candidate_loss > current:
            break
        weights = weights - scale * step
        improved, current = current - candidate_loss, candidate_loss
        if improved < 1e-8 * max(1.0, abs(current)):
            break
    return weights


def sigmoid(logits: FloatArray) -> FloatArray:
    """Returns 1 / (1 + exp(-logits)), without overflow."""
    probabilities: FloatArray = np.tanh(_HALF * logits)
    probabilities += _ONE
    probabilities *= _HALF
    return probabilities
