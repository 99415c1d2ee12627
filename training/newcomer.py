"""What is believed of a backend that joins: a draw from those that are known, corrected by the labels it has so far.

The estimates of the known backends, in logits, are turned to their principal axes over the queries: the first is about
how hard a query is, the others are who differs from whom. The newcomer has an ability and a loading on each axis, each
a priori as they are spread among the known ones (empirical Bayes), so an axis that tells known backends little apart
tells little of a new one. That is multidimensional item response theory with the items known (Reckase 2009); a new
model is placed among known ones by its answers to a few queries as in arXiv:2502.08773.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from ..classifiers.logistic import sigmoid
from .evaluation import FloatArray

_LEAST_SHARE = 1e-3  # of the spread along the first axis, below which an axis is no more than rounding
_UNSURE = (1.0, 0.1)  # variance of ability and of a loading that counts as one known backend's worth of evidence
_N_STEPS = 25  # of Newton's method


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """A normal posterior over ability and loadings of one backend, (1 + n_axes,) numbers."""

    centre: FloatArray  # (n_known,) mean logits of the known backends
    axes: FloatArray  # (n_known, n_axes) from centred logits to coordinates of unit variance
    prior_mean: FloatArray  # (1 + n_axes,)
    prior_variance: FloatArray  # (1 + n_axes,)
    mean: FloatArray  # (1 + n_axes,)
    covariance: FloatArray  # (1 + n_axes, 1 + n_axes)

    @classmethod
    def expect(cls, known: FloatArray) -> Self:
        """Returns what is believed before any label; `known` holds logits of estimates, (n_queries, n_known)."""
        n_queries, n_known = known.shape
        centre = known.mean(axis=0)
        _, spreads, directions = np.linalg.svd((known - centre) / np.sqrt(n_queries), full_matrices=False)
        kept = spreads > _LEAST_SHARE * max(spreads[0], 1e-12)
        spreads, directions = spreads[kept], directions[kept]
        signs = np.where(directions.sum(axis=1) < 0, -1.0, 1.0)  # towards where most are right
        placed = np.column_stack([centre, directions.T * signs * spreads])  # (n_known, 1 + n_axes)
        unsure = np.full(placed.shape[1], _UNSURE[1])
        unsure[0] = _UNSURE[0]
        mean = placed.mean(axis=0)
        variance = (((placed - mean) ** 2).sum(axis=0) + unsure) / n_known
        return cls(
            centre=centre,
            axes=directions.T * signs / spreads,
            prior_mean=mean,
            prior_variance=variance,
            mean=mean,
            covariance=np.diag(variance),
        )

    def design(self, known: FloatArray) -> FloatArray:
        """Returns what ability and loadings are multiplied by, (n_queries, 1 + n_axes)."""
        return np.column_stack([np.ones(len(known)), (known - self.centre) @ self.axes])

    def learn(self, known: FloatArray, scores: FloatArray) -> Self:
        """Returns what is believed once these scores, (n_queries,) in [0, 1], are seen, and no others.

        The most likely values by Newton's method, and the curvature there (Laplace's approximation).
        """
        design = self.design(known)
        mean = self.prior_mean
        precision = np.diag(1 / self.prior_variance)
        for _ in range(_N_STEPS):
            chance = sigmoid(design @ mean)
            gradient = design.T @ (scores - chance) - (mean - self.prior_mean) / self.prior_variance
            precision = (design.T * (chance * (1 - chance))) @ design + np.diag(1 / self.prior_variance)
            step = np.linalg.solve(precision, gradient)
            mean = mean + step / max(1.0, float(np.abs(step).max()))  # no further than one logit at a time
            if np.abs(step).max() < 1e-6:
                break
        covariance: FloatArray = np.linalg.inv(precision).astype(np.float64)
        return replace(self, mean=mean, covariance=covariance)

    def as_map(self) -> tuple[FloatArray, float]:
        """Returns weights, (n_known,), and intercept: the newcomer's logit as a sum of those of the known backends.

        Averaged over what is still open, as in MacKay 1992 ("The evidence framework applied to classification
        networks", eq. 11), at the query in the middle.
        """
        shrunk = self.mean / np.sqrt(1 + np.pi / 8 * self.covariance[0, 0])
        weights: FloatArray = self.axes @ shrunk[1:]
        return weights, float(shrunk[0] - self.centre @ weights)


def choose_queries(newcomer: Newcomer, known: FloatArray, n: int, *, without: Sequence[int] = ()) -> list[int]:
    """Returns the rows of at most `n` queries whose labels would tell most, those `without` left out.

    One after the other, the query that is expected to bring the variance of the newcomer's estimates, summed over all
    queries, down the furthest (A-optimal design; for adaptive tests van der Linden 1999, "Multidimensional adaptive
    testing with a minimum error-variance criterion"). A label of query q has the information p (1 - p), and the
    estimates of queries like those that were asked already are sure, so the choice spreads by itself.
    """
    design = newcomer.design(known)
    chance = sigmoid(design @ newcomer.mean)
    information = chance * (1 - chance)  # of a label, and the slope of an estimate in its logit
    wanted = (design.T * information**2) @ design
    covariance = newcomer.covariance
    is_open = np.ones(len(known), dtype=bool)
    is_open[list(without)] = False
    chosen: list[int] = []
    for _ in range(min(n, int(is_open.sum()))):
        reached = design @ covariance
        power = np.einsum("qi,ij,qj->q", reached, wanted, reached)
        gain = information * power / (1 + information * np.einsum("qi,qi->q", reached, design))
        best = int(np.where(is_open, gain, -1.0).argmax())
        chosen.append(best)
        is_open[best] = False
        along = reached[best]
        covariance = covariance - np.outer(along, along) * information[best] / (
            1 + information[best] * float(along @ design[best])
        )
    return chosen
