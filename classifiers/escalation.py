"""What is known about asking again: how much confidence tells, and whom a wrong answer leaves to ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .ridge import FloatArray

_PRIOR_WEIGHT = 10.0  # queries' worth of belief that another backend is not affected by the first one's failure

_FLOOR = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Learned from the training traces, out of fold.

    `rescue[a, b]` is P(b right | a wrong) relative to what was estimated of b before: below 1 where the errors of the
    two are correlated. `power[a]` in [0, 1] is the share of the variance of a's correctness that confidence in its
    answer explains: 0 where looking at the answer tells nothing.
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
