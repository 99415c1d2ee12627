"""What is known about asking again: how much confidence tells, and whom a wrong answer leaves to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .ridge import FloatArray

_PRIOR_WEIGHT = 10.0  # queries worth of belief that nobody is affected by the failure of another
_PAIR_WEIGHT = 50.0  # queries' worth of belief that a pair of backends is like all pairs
_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Learned from the training traces, out of fold.

    `rescue[a, b]` is what asking b after a wrong answer of a brings, relative to what was estimated of b before: P(b
    right | a wrong), below 1 where the errors of the two are correlated, times the share of that gain which is left
    when confidence picks between the two answers. `power[a]` in [0, 1] is the share of the variance of a's correctness
    that confidence in its answer explains: 0 where looking at the answer tells nothing.
    """

    rescue: FloatArray  # (n_backends, n_backends)
    power: FloatArray  # (n_backends,)


def fit_escalation(quality: FloatArray, estimates: FloatArray, confidences: FloatArray) -> Escalation:
    """Returns both from matrices (n_queries, n_backends): observed scores, estimates and confidences, NaN = unknown."""
    n_backends = quality.shape[1]
    is_estimated = np.isfinite(estimates)
    n_estimated = np.maximum(is_estimated.sum(0), 1)
    # Where nothing was estimated of a backend, nothing is known against it.
    prior = _PRIOR_WEIGHT * np.maximum(np.where(is_estimated, estimates, 0).sum(0) / n_estimated, _FLOOR)
    rescue = np.ones((n_backends, n_backends))
    for a in range(n_backends):
        wrong = 1 - quality[:, a]
        both = np.isfinite(wrong)[:, None] & np.isfinite(quality) & is_estimated
        happened = np.where(both, wrong[:, None] * quality, 0).sum(0)
        expected = np.where(both, wrong[:, None] * estimates, 0).sum(0)
        rescue[a] = np.clip((happened + prior) / (expected + prior), 0.0, 1.5)
    rescue *= _share_realised(quality, rescue, estimates, confidences)
    power = np.zeros(n_backends)
    for a in range(n_backends):
        seen = np.isfinite(confidences[:, a]) & np.isfinite(quality[:, a])
        if seen.sum() < 20:
            continue
        labels, confidence = quality[seen, a], confidences[seen, a]
        rate = labels.mean()
        spread = float(np.mean((labels - rate) ** 2))
        if spread > 1e-9:
            power[a] = np.clip(1 - float(np.mean((labels - confidence) ** 2)) / spread, 0.0, 1.0)
    return Escalation(rescue=rescue, power=power)


def _share_realised(
    quality: FloatArray, rescue: FloatArray, estimates: FloatArray, confidences: FloatArray
) -> FloatArray:
    """Returns which share of the gain promised by asking b after a is realised, (n_backends, n_backends).

    Promised is (1 - confidence in a) * P(b right | a wrong); realised is the score of the more confident of the two
    answers less that of a. The share is the slope of one on the other through the origin, each pair's drawn towards
    that of all pairs. It is 1 where no answers were judged.
    """
    n_backends = quality.shape[1]
    products, squares = np.zeros((2, n_backends, n_backends))
    counts = np.zeros((n_backends, n_backends))
    for a in range(n_backends):
        score, confidence = quality[:, a, None], confidences[:, a, None]
        promised = (1 - confidence) * rescue[a] * estimates
        realised = np.where(confidences > confidence, quality, score) - score
        judged = np.isfinite(confidence) & np.isfinite(confidences) & np.isfinite(promised) & np.isfinite(realised)
        judged[:, a] = False
        promised, realised = np.where(judged, promised, 0), np.where(judged, realised, 0)
        products[a], squares[a], counts[a] = (promised * realised).sum(0), (promised**2).sum(0), judged.sum(0)
    if squares.sum() <= 0:
        return np.ones((n_backends, n_backends))
    pooled = products.sum() / squares.sum()
    prior = _PAIR_WEIGHT * squares.sum() / counts.sum()
    share: FloatArray = np.clip((products + prior * pooled) / (squares + prior), 0.0, 1.0)
    return share
