"""Where the dearer backend is right and the cheaper one is not, read off the text.

Difficulty is how rarely backends are right; what routing lives on is by how much they differ, query by query
(arXiv:2602.03478 learns such differences instead of scores). Both are linear in what the text shows here, but which
queries part the backends carries over to sets that were left out better than how many get them right.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...backends import BackendSpec
from ...classifiers.prior import OUTPUT_TOKENS
from ...classifiers.public_prior import LEAST_PRICE
from ..evaluation import FloatArray

_DEARER = 1.5  # times the cost: what counts as a dearer backend
_PENALTY = 1e5  # so great that the weights are hardly more than covariances, which carry over best


def mean_gain(quality: FloatArray, specs: Sequence[BackendSpec]) -> FloatArray:
    """Returns by how much dearer backends did better than cheaper ones, (n_queries,), NaN where no two were asked."""
    costs = [_usual_cost(spec) for spec in specs]
    total, count = np.zeros(len(quality)), np.zeros(len(quality))
    for cheap, cheap_cost in enumerate(costs):
        for dear, dear_cost in enumerate(costs):
            if dear_cost > _DEARER * cheap_cost:
                gain = quality[:, dear] - quality[:, cheap]
                total += np.nan_to_num(gain)
                count += np.isfinite(gain)
    mean: FloatArray = np.divide(total, count, out=np.full(len(quality), np.nan), where=count > 0)
    return mean


def gain_weights(inputs: Sequence[FloatArray], gains: Sequence[FloatArray]) -> FloatArray:
    """Returns weights, (n_inputs,), of a sum of inputs that grows with the gain; its mean deviation in a set is 1.

    `inputs` are (n_queries, n_inputs) and `gains` (n_queries,), one of each a set. Ridge regression within sets: the
    mean of a set says nothing, and a set weighs with the root of its size.
    """
    n_inputs = inputs[0].shape[1]
    hessian, gradient = _PENALTY * np.eye(n_inputs), np.zeros(n_inputs)
    seen = [np.isfinite(gain) for gain in gains]
    for rows, x, gain in zip(seen, inputs, gains, strict=True):
        spread = float(gain[rows].std()) if rows.any() else 0.0
        if spread == 0:
            continue  # backends that are alike part no queries
        centred = x[rows] - x[rows].mean(axis=0)
        weight = 30 / np.sqrt(rows.sum())
        hessian += weight * centred.T @ centred
        gradient += weight * centred.T @ ((gain[rows] - gain[rows].mean()) / spread)
    weights: FloatArray = np.linalg.solve(hessian, gradient).astype(np.float64)
    deviation = float(np.mean([(x @ weights).std() for x in inputs]))
    return weights / deviation if deviation > 0 else weights


def _usual_cost(spec: BackendSpec) -> float:
    assert spec.price is not None  # the table of models has one for each
    return max(spec.price.usd_per_1m_output, LEAST_PRICE) * OUTPUT_TOKENS[spec.tier]
