"""Curves that every router is set beside, and the values of lam worth sweeping."""

from __future__ import annotations

import numpy as np

from ..router.lookahead import MIN_GAIN
from .evaluation import Curve, FloatArray, IntArray
from .metrics import hull_indices, oracle_steps, single_backends
from .weighted import TOLERANCE, weighted_mean

ALWAYS_CHEAPEST = "always-cheapest"
ALWAYS_BEST = "always-best"
RANDOM_MIX = "random mix"
MEAN_SCORE = "mean-score"
ORACLE = "oracle"
MAX_ORACLE_POINTS = 101
MAX_SWEPT_QUERIES = 4000  # the quantiles of more would look the same


def baseline_curves(
    train_quality: FloatArray, train_cost_usd: FloatArray, quality: FloatArray, cost_usd: FloatArray
) -> tuple[Curve, ...]:
    """Returns always-cheapest, always-best, random mix, mean-score and oracle over the data evaluated.

    Only mean-score learns from the training data: at each lam it sends every query to the backend whose mean score
    and mean cost in training are the best trade-off. Cheapest, best and the backends mixed are picked on the data
    evaluated, which flatters the baselines and not the router. The points of the random mix are the single
    backends between which it mixes; those of the oracle are thinned to about a hundred.
    """
    single = single_backends(quality, cost_usd)
    mixed = hull_indices(single.mean_cost_usd, single.mean_score)
    ones = np.ones((1, len(train_quality)))
    learned = hull_indices(weighted_mean(train_cost_usd.T, ones)[0], weighted_mean(train_quality.T, ones)[0])
    return (
        _constant_curve(ALWAYS_CHEAPEST, np.array([single.cheapest]), quality, cost_usd),
        _constant_curve(ALWAYS_BEST, np.array([single.best]), quality, cost_usd),
        _constant_curve(RANDOM_MIX, mixed, quality, cost_usd),
        _constant_curve(MEAN_SCORE, learned, quality, cost_usd),
        oracle_curve(quality, cost_usd),
    )


def oracle_curve(quality: FloatArray, cost_usd: FloatArray, *, max_points: int = MAX_ORACLE_POINTS) -> Curve:
    """Returns the choices of hindsight at lams spread evenly over the upgrades, dear lams first."""
    steps = oracle_steps(quality, cost_usd)
    n_points = min(max_points, len(steps.query) + 1)
    taken = np.unique(np.linspace(0, len(steps.query), n_points).round().astype(np.int64))
    start_cost = np.where(steps.is_observed > 0, steps.start_cost, np.nan)
    start_score = np.where(steps.is_observed > 0, steps.start_score, np.nan)
    costs, scores, labels = [], [], []
    for count in taken:
        costs.append(start_cost.copy())
        scores.append(start_score.copy())
        np.add.at(costs[-1], steps.query[:count], steps.added_cost[:count])
        np.add.at(scores[-1], steps.query[:count], steps.added_score[:count])
        labels.append(f"lam={steps.slope[count]:.4g}" if count < len(steps.slope) else "lam=0")
    return Curve(name=ORACLE, labels=tuple(labels), cost_usd=np.array(costs), score=np.array(scores))


def sweep_lams(quality_estimates: FloatArray, cost_estimates: FloatArray, n: int) -> FloatArray:
    """Returns at most `n` ascending lams, from 0 (quality alone) to one at which the cheapest is chosen everywhere.

    A first call changes only where lam passes a slope of a query's hull of (cost, quality). Half of the lams between
    the ends part these slopes into equal shares, so that each step moves about as many queries. Further calls change at
    other lams, smaller ones most of all, since they add less: the other half is spread evenly in log lam from the
    greatest slope down to where the dearest call costs no more than the least gain that a call must promise.
    The last lam is also past 1 / cheapest cost, beyond which no second call of a cascade can pay for itself.

    Raises:
        ValueError: `n` is below 2.
    """
    if n < 2:
        raise ValueError(f"n: expected at least 2, got {n}")
    stride = -(-len(quality_estimates) // MAX_SWEPT_QUERIES) or 1
    steps = oracle_steps(quality_estimates[::stride], cost_estimates[::stride])
    scale = np.nanmax(cost_estimates, initial=0.0)
    slopes = np.sort(steps.slope[steps.added_cost > TOLERANCE * scale])
    positive = cost_estimates[cost_estimates > TOLERANCE * scale]
    top = max(1.0, *(2 * slopes[-1:]), *(2 / positive.min(initial=np.inf),))
    if not len(slopes) or n == 2:
        return np.array([0.0, top])
    n_even = (n - 2) // 2
    n_moving = n - 2 - n_even
    moving = np.exp(np.quantile(np.log(slopes), (np.arange(n_moving) + 0.5) / n_moving))
    even = np.geomspace(min(MIN_GAIN / scale, slopes[0]), slopes[-1], n_even)
    return np.unique(np.concatenate([[0.0], moving, even, [top]]))


def _constant_curve(name: str, backends: IntArray, quality: FloatArray, cost_usd: FloatArray) -> Curve:
    """Returns the curve whose every point sends all queries to one backend."""
    return Curve(
        name=name,
        labels=tuple(f"backend {index}" for index in backends),
        cost_usd=cost_usd[:, backends].T.copy(),
        score=quality[:, backends].T.copy(),
    )
