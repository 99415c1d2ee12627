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
_MAX_WITNESSES = 1000  # queries that stand for all where there are more


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

    They are to stand for all queries, each counting as much as a label of it is expected to tell, p (1 - p): kernel
    herding (Chen, Welling and Smola 2010, arXiv:1203.3472), one after the other, those asked before counting along.
    The kernel is over the coordinates, each as wide as what it may do to the newcomer's logit. The queries of greatest
    Fisher information for the loadings lie at the ends of the axes, where a newcomer is least like the sum of the
    known backends; placed by these, it was routed worse than by random ones.
    """
    design = newcomer.design(known)
    chance = sigmoid(design @ newcomer.mean)
    points = design[:, 1:] * np.sqrt(newcomer.prior_mean[1:] ** 2 + newcomer.prior_variance[1:])
    width = max(float(points.var(axis=0).sum()), 1e-12)
    step = -(-len(points) // _MAX_WITNESSES)
    witnesses, weights = points[::step], (chance * (1 - chance))[::step]
    wanted = _kernel(points, witnesses, width) @ (weights / weights.sum())
    chosen = list(without)
    covered = _kernel(points, points[chosen], width).sum(axis=1)
    is_open = np.ones(len(points), dtype=bool)
    is_open[chosen] = False
    for _ in range(min(n, int(is_open.sum()))):
        best = int(np.where(is_open, wanted - covered / (len(chosen) + 1), -np.inf).argmax())
        chosen.append(best)
        is_open[best] = False
        covered = covered + _kernel(points, points[best : best + 1], width)[:, 0]
    return chosen[len(without) :]


def _kernel(points: FloatArray, others: FloatArray, width: float) -> FloatArray:
    """Returns how alike points are, (n_points, n_others), by a Gaussian kernel."""
    distance = (points**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * points @ others.T
    kernel: FloatArray = np.exp(-distance / width)
    return kernel
