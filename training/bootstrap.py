"""Intervals by resampling queries, the same resamples for everything compared, so that differences are paired.

Reference: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", percentile intervals. Twins are no independent
evidence: `families`, (n_queries,) numbers, equal ones for twins, are resampled as a whole (the cluster bootstrap: Field
and Welsh 2007, "Bootstrapping clustered data", JRSS B 69). None: no query is a twin of another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .evaluation import Curve, FloatArray, IntArray
from .metrics import (
    OracleSteps,
    SingleBackends,
    gap_closed,
    hull_area,
    hull_points,
    oracle_steps,
    saving_at_best,
    single_backends,
)
from .probability_metrics import equal_width_bins
from .weighted import weighted_aurc, weighted_auroc, weighted_brier, weighted_ece, weighted_mean

Statistic = Callable[[FloatArray], FloatArray]  # weights (n_weightings, n_queries) -> (n_weightings,)
N_RESAMPLES = 1000
CELLS_PER_BLOCK = 2_000_000  # bounds the memory of a block of weights and of what is computed from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure with the bounds of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float
    share_defined: float = 1.0  # of the resamples; the bounds are over those alone

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"

    def as_dict(self) -> dict[str, float | None]:
        """Returns the figure and its bounds as JSON values, None where there is no finite one."""
        values = {"value": self.value, "low": self.low, "high": self.high}
        return {name: float(value) if np.isfinite(value) else None for name, value in values.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CurveFigures:
    """What one swept strategy is worth next to mixing single backends and to hindsight."""

    name: str
    aiq: Interval
    gain_over_hull: Interval  # AIQ - hull AIQ, paired
    gap_closed: Interval
    saving_at_best: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbabilityFigures:
    """How true some probabilities are."""

    brier: Interval
    ece: Interval
    auroc: Interval
    aurc: Interval


def paired_bootstrap(
    statistic: Statistic,
    n_queries: int,
    *,
    families: IntArray | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
    width: int = 0,
) -> Interval:
    """Returns the value of `statistic` with its interval over resampled queries.

    The same `n_queries`, `n_resamples` and `seed` draw the same resamples, so a statistic that subtracts one
    strategy from another gives a paired interval. A resample in which it is NaN is left out of the bounds.
    `width` is how wide an array the statistic computes from one row of weights, where wider than `n_queries`.

    >>> scores = np.array([0.0, 1.0, 1.0, 1.0])
    >>> paired_bootstrap(lambda weights: weighted_mean(scores, weights), 4).value
    0.75
    """
    value = float(statistic(np.ones((1, n_queries)))[0])
    blocks = resampled_weights(n_queries, n_resamples=n_resamples, seed=seed, families=families, width=width)
    return interval(value, np.concatenate([statistic(weights) for weights in blocks]))


def resampled_weights(
    n_queries: int, *, n_resamples: int, seed: int, families: IntArray | None = None, width: int = 0
) -> Iterator[FloatArray]:
    """Yields blocks of resampling counts, (block, n_queries); `width` is the widest array computed from a row."""
    rng = np.random.default_rng(seed)
    members = np.arange(n_queries) if families is None else np.unique(families, return_inverse=True)[1]
    n_drawn = int(members.max(initial=-1)) + 1
    block = max(1, CELLS_PER_BLOCK // max(n_queries, width, 1))
    for start in range(0, n_resamples, block):
        size = min(block, n_resamples - start)
        drawn = rng.integers(n_drawn, size=(size, n_drawn))
        flat = drawn + n_drawn * np.arange(size)[:, np.newaxis]
        counts = np.bincount(flat.ravel(), minlength=size * n_drawn).reshape(size, n_drawn).astype(np.float64)
        yield counts if n_drawn == n_queries else counts[:, members]


def interval(value: float, draws: FloatArray) -> Interval:
    """Returns the value with the 2.5 % and 97.5 % quantiles of the draws that are defined."""
    defined = draws[~np.isnan(draws)]
    if np.isnan(value) or not len(defined):
        return Interval(value=value, low=float("nan"), high=float("nan"), share_defined=len(defined) / len(draws))
    low, high = np.quantile(defined, [0.025, 0.975])
    return Interval(value=value, low=float(low), high=float(high), share_defined=len(defined) / len(draws))


def probability_intervals(
    probability: FloatArray,
    score: FloatArray,
    query: IntArray,
    n_queries: int,
    *,
    families: IntArray | None = None,
    n_resamples: int = 400,
    seed: int = 0,
) -> ProbabilityFigures:
    """Returns Brier, ECE, AUROC and AURC of probabilities with intervals that keep the rows of a query together.

    Args:
        probability, score: (n_rows,), no NaN.
        query: (n_rows,) which query, below `n_queries`, each row belongs to.
    """
    bins = equal_width_bins(probability)

    def figures(rows: FloatArray) -> FloatArray:
        return np.column_stack(
            [
                weighted_brier(probability, score, rows),
                weighted_ece(probability, score, rows, bins),
                weighted_auroc(probability, score, rows),
                weighted_aurc(probability, score, rows),
            ]
        )

    values = figures(np.ones((1, len(probability))))[0]
    blocks = resampled_weights(n_queries, n_resamples=n_resamples, seed=seed, families=families, width=len(probability))
    draws = np.vstack([figures(weights[:, query]) for weights in blocks])
    intervals = [interval(float(value), draws[:, column]) for column, value in enumerate(values)]
    return ProbabilityFigures(brier=intervals[0], ece=intervals[1], auroc=intervals[2], aurc=intervals[3])


def mean_interval(
    values: FloatArray, *, families: IntArray | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> Interval:
    """Returns the mean of the observed values, (n_queries,), with its interval; also of paired differences."""
    return paired_bootstrap(
        lambda weights: weighted_mean(values, weights),
        len(values),
        families=families,
        n_resamples=n_resamples,
        seed=seed,
    )


def point_bounds(
    values: FloatArray, *, families: IntArray | None = None, n_resamples: int = N_RESAMPLES, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Returns lower and upper bounds of the mean of each row of `values`, (n_points, n_queries), NaN = not observed."""
    blocks = resampled_weights(values.shape[1], n_resamples=n_resamples, seed=seed, families=families)
    means = np.vstack([weighted_mean(values, weights) for weights in blocks])
    bounds = np.full((2, len(values)), np.nan)
    known = ~np.isnan(means).all(axis=0)
    bounds[:, known] = np.nanquantile(means[:, known], [0.025, 0.975], axis=0)
    return bounds[0], bounds[1]


def curve_figures(
    curves: Sequence[Curve],
    quality: FloatArray,
    cost_usd: FloatArray,
    *,
    families: IntArray | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[CurveFigures, ...]:
    """Returns AIQ, its gain over mixing, gap closed and saving at best of every curve, all over the same resamples.

    In each resample the mean costs and scores of all backends, the mix and the oracle are taken anew; which backend
    is the cheapest and which the best stays as it is over all queries, so that the range of the area is one thing.
    """
    n_queries = len(quality)
    single = single_backends(quality, cost_usd)
    steps = oracle_steps(quality, cost_usd)
    values = _figures(np.ones((1, n_queries)), curves, quality, cost_usd, single, steps)[0]
    blocks = resampled_weights(n_queries, n_resamples=n_resamples, seed=seed, families=families, width=len(steps.query))
    draws = np.vstack([_figures(weights, curves, quality, cost_usd, single, steps) for weights in blocks])
    return tuple(
        CurveFigures(
            name=curve.name,
            aiq=interval(float(values[row, 0]), draws[:, row, 0]),
            gain_over_hull=interval(float(values[row, 1]), draws[:, row, 1]),
            gap_closed=interval(float(values[row, 2]), draws[:, row, 2]),
            saving_at_best=interval(float(values[row, 3]), draws[:, row, 3]),
        )
        for row, curve in enumerate(curves)
    )


def reference_figures(
    quality: FloatArray,
    cost_usd: FloatArray,
    *,
    families: IntArray | None = None,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> tuple[Interval, Interval]:
    """Returns the AIQ of mixing single backends and of the oracle, each with its interval."""
    single = single_backends(quality, cost_usd)
    steps = oracle_steps(quality, cost_usd)
    ones = np.ones((1, len(quality)))
    values = _references(ones, quality, cost_usd, single, steps)[0]
    blocks = resampled_weights(
        len(quality), n_resamples=n_resamples, seed=seed, families=families, width=len(steps.query)
    )
    draws = np.vstack([_references(weights, quality, cost_usd, single, steps) for weights in blocks])
    return interval(float(values[0]), draws[:, 0]), interval(float(values[1]), draws[:, 1])


def _figures(
    weights: FloatArray,
    curves: Sequence[Curve],
    quality: FloatArray,
    cost_usd: FloatArray,
    single: SingleBackends,
    steps: OracleSteps,
) -> FloatArray:
    """Returns aiq, gain over hull, gap closed and saving at best, (n_weightings, n_curves, 4)."""
    references = _references(weights, quality, cost_usd, single, steps)
    result = np.full((len(weights), len(curves), 4), np.nan)
    for column, curve in enumerate(curves):
        costs, scores = weighted_mean(curve.cost_usd, weights), weighted_mean(curve.score, weights)
        for row, (mixed, oracle, low, high, best_score) in enumerate(references.tolist()):
            hull = hull_points(costs[row], scores[row])
            if not len(hull):
                continue
            area = hull_area(hull, low, high)
            saving = saving_at_best(hull[:, 0], hull[:, 1], best_score, high)
            result[row, column] = area, area - mixed, gap_closed(area, mixed, oracle), saving
    return result


def _references(
    weights: FloatArray, quality: FloatArray, cost_usd: FloatArray, single: SingleBackends, steps: OracleSteps
) -> FloatArray:
    """Returns hull AIQ, oracle AIQ, low, high and the best backend's score, (n_weightings, 5)."""
    scores, costs = weighted_mean(quality.T, weights), weighted_mean(cost_usd.T, weights)
    oracle_costs, oracle_scores = steps.points(weights)
    result = np.full((len(weights), 5), np.nan)
    for row in range(len(weights)):
        low, high = costs[row, single.cheapest], costs[row, single.best]
        mixed = hull_area(hull_points(costs[row], scores[row]), low, high)
        oracle = hull_area(np.column_stack([oracle_costs[row], oracle_scores[row]]), low, high)
        result[row] = mixed, oracle, low, high, scores[row, single.best]
    return result
