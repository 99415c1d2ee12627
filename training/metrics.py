"""Figures of merit of a router: what it costs, how well it answers.

Pure numpy. `quality` and `cost_usd` are (n_queries, n_backends) with NaN where a backend was not asked: means of a
backend are over what was observed, the oracle picks among what was observed.

Convention for every area: the curve is the upper non-decreasing convex hull of the points, since a random mix of
two points is a router too. To the right of its last point it stays level. To the left of its first point it falls
in a straight line to (0, 0), a mix with giving no answer: a strategy gets no credit for costs it cannot go down to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .evaluation import FloatArray, IntArray
from .weighted import TOLERANCE, ratio, weighted_apgr, weighted_cpt, weighted_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleBackends:
    """Which backend is the cheapest and which the best, over the data evaluated: the range that AIQ is taken over."""

    cheapest: int
    best: int
    mean_score: FloatArray  # (n_backends,)
    mean_cost_usd: FloatArray  # (n_backends,)

    @property
    def low_usd(self) -> float:
        """Mean cost of the cheapest backend."""
        return float(self.mean_cost_usd[self.cheapest])

    @property
    def high_usd(self) -> float:
        """Mean cost of the best backend."""
        return float(self.mean_cost_usd[self.best])

    @property
    def best_score(self) -> float:
        """Mean score of the best backend."""
        return float(self.mean_score[self.best])


def mean_score(score: FloatArray) -> float:
    """Returns the mean of the observed scores, NaN when there is none."""
    return float(weighted_mean(score, np.ones((1, len(score))))[0])


def mean_cost_usd(cost_usd: FloatArray) -> float:
    """Returns the mean of the observed costs, NaN when there is none."""
    return mean_score(cost_usd)


def single_backends(quality: FloatArray, cost_usd: FloatArray) -> SingleBackends:
    """Returns the cheapest and the best backend: of several cheapest the better one, of several best the cheaper one.

    Raises:
        ValueError: no backend has a single observed score and cost.
    """
    ones = np.ones((1, len(quality)))
    scores, costs = weighted_mean(quality.T, ones)[0], weighted_mean(cost_usd.T, ones)[0]
    known = np.flatnonzero(~np.isnan(scores) & ~np.isnan(costs))
    if not len(known):
        raise ValueError("quality, cost_usd: no backend has both an observed score and an observed cost")
    least, most = costs[known].min(), scores[known].max()
    as_cheap = known[costs[known] <= least + TOLERANCE * abs(least)]
    as_good = known[scores[known] >= most - TOLERANCE]
    return SingleBackends(
        cheapest=int(as_cheap[scores[as_cheap].argmax()]),
        best=int(as_good[costs[as_good].argmin()]),
        mean_score=scores,
        mean_cost_usd=costs,
    )


def hull_indices(cost: FloatArray, score: FloatArray) -> IntArray:
    """Returns which points lie on the upper non-decreasing convex hull, from cheap to dear.

    It begins at the cheapest point (of several, the best) and ends at the best point (of several, the cheapest).
    Points with a NaN are passed over.

    >>> hull_indices(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.2, 0.3, 0.8, 0.7])).tolist()
    [0, 2]
    """
    known = np.flatnonzero(~(np.isnan(cost) | np.isnan(score)))
    order = known[np.lexsort((-score[known], cost[known]))]
    kept: list[tuple[float, float, int]] = []
    for x, y, index in zip(cost[order].tolist(), score[order].tolist(), order.tolist(), strict=True):
        if kept and y <= kept[-1][1]:
            continue
        if kept and x - kept[-1][0] <= TOLERANCE * abs(x):  # the same cost, but for rounding
            kept.pop()
        while len(kept) > 1:
            (x0, y0, _), (x1, y1, _) = kept[-2], kept[-1]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            kept.pop()
        kept.append((x, y, index))
    return np.array([index for _, _, index in kept], dtype=np.int64)


def hull_points(cost: FloatArray, score: FloatArray) -> FloatArray:
    """Returns (cost, score) of the points on the upper non-decreasing convex hull, (n, 2), from cheap to dear."""
    chosen = hull_indices(cost, score)
    return np.column_stack([cost[chosen], score[chosen]])


def score_at(hull: FloatArray, cost: FloatArray) -> FloatArray:
    """Returns the score that `hull`, as `hull_points` gives it, reaches at each cost."""
    first_cost, first_score = hull[0]
    level = np.interp(cost, hull[:, 0], hull[:, 1])
    if first_cost <= 0:
        return np.asarray(level)
    return np.asarray(np.where(cost < first_cost, first_score * cost / first_cost, level))


def aiq(cost: FloatArray, score: FloatArray, low: float, high: float) -> float:
    """Returns the area under the hull of the points over [low, high], divided by its width.

    Where `low` and `high` are the same cost, the score reached at that cost. NaN without points.

    Reference: Hu et al. 2024 (RouterBench), arXiv:2403.12031, "average improvement in quality".
    """
    hull = hull_points(cost, score)
    return hull_area(hull, low, high) if len(hull) else float("nan")


def hull_area(hull: FloatArray, low: float, high: float) -> float:
    """Returns the mean score of `hull` over [low, high]; see `aiq`."""
    if high - low <= TOLERANCE * abs(high):
        return float(score_at(hull, np.array([high]))[0])
    inside = hull[(hull[:, 0] > low) & (hull[:, 0] < high), 0]
    grid = np.concatenate([[low], inside, [high]])
    return float(np.trapezoid(score_at(hull, grid), grid) / (high - low))


def hull_aiq(quality: FloatArray, cost_usd: FloatArray) -> float:
    """Returns the AIQ of mixing single backends at random, with no look at the query."""
    single = single_backends(quality, cost_usd)
    return aiq(single.mean_cost_usd, single.mean_score, single.low_usd, single.high_usd)


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleSteps:
    """The oracle's choices as each query's own hull: where it starts, and the upgrades worth paying for.

    Taking the upgrades of all queries from the steepest on is the choice of hindsight at every lam, exactly.
    """

    is_observed: FloatArray  # (n_queries,) 1 where any backend was observed, else 0
    start_cost: FloatArray  # (n_queries,) of the cheapest observed backend
    start_score: FloatArray  # (n_queries,)
    query: IntArray  # (n_steps,) whose upgrade it is, steepest first
    slope: FloatArray  # (n_steps,) score per US dollar: the lam at which it stops being worth it
    added_cost: FloatArray  # (n_steps,)
    added_score: FloatArray  # (n_steps,)

    def points(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Returns mean cost and mean score after each upgrade, both (n_weightings, n_steps + 1)."""
        total = (weights @ self.is_observed)[:, np.newaxis]
        counts = weights[:, self.query]
        costs = np.hstack([(weights @ self.start_cost)[:, np.newaxis], counts * self.added_cost])
        scores = np.hstack([(weights @ self.start_score)[:, np.newaxis], counts * self.added_score])
        return ratio(np.cumsum(costs, axis=1), total), ratio(np.cumsum(scores, axis=1), total)


def oracle_steps(quality: FloatArray, cost_usd: FloatArray) -> OracleSteps:
    """Returns what the oracle starts from and every upgrade it would buy, steepest first."""
    n_queries = len(quality)
    start_cost, start_score, is_observed = np.zeros(n_queries), np.zeros(n_queries), np.zeros(n_queries)
    steps: list[tuple[int, float, float]] = []
    for query in range(n_queries):
        hull = hull_points(cost_usd[query], quality[query])
        if not len(hull):
            continue
        is_observed[query] = 1.0
        start_cost[query], start_score[query] = hull[0]
        steps.extend((query, float(cost), float(score)) for cost, score in np.diff(hull, axis=0))
    whose = np.array([query for query, _, _ in steps], dtype=np.int64)
    added_cost = np.array([cost for _, cost, _ in steps], dtype=np.float64)
    added_score = np.array([score for _, _, score in steps], dtype=np.float64)
    slope = added_score / np.maximum(added_cost, np.finfo(np.float64).tiny)
    order = np.argsort(-slope, kind="stable")
    return OracleSteps(
        is_observed=is_observed,
        start_cost=start_cost,
        start_score=start_score,
        query=whose[order],
        slope=slope[order],
        added_cost=added_cost[order],
        added_score=added_score[order],
    )


def oracle_points(quality: FloatArray, cost_usd: FloatArray) -> FloatArray:
    """Returns (mean cost, mean score) of the oracle at every lam where it changes its mind, (n, 2), cheap to dear."""
    costs, scores = oracle_steps(quality, cost_usd).points(np.ones((1, len(quality))))
    return hull_points(costs[0], scores[0])


def oracle_aiq(quality: FloatArray, cost_usd: FloatArray) -> float:
    """Returns the AIQ of choosing every query's backend with hindsight, swept exactly over all lam."""
    single = single_backends(quality, cost_usd)
    return hull_area(oracle_points(quality, cost_usd), single.low_usd, single.high_usd)


def gap_closed(aiq: float, hull: float, oracle: float) -> float:
    """Returns (aiq - hull) / (oracle - hull): 0 is no better than mixing, 1 is hindsight.

    NaN where the oracle is no better than mixing, as there is then no gap to close.
    """
    gap = oracle - hull
    return _without_rounding((aiq - hull) / gap) if gap > TOLERANCE else float("nan")


def saving_at_best(cost: FloatArray, score: FloatArray, best_score: float, best_cost: float) -> float:
    """Returns 1 - least cost on the hull of the points that reaches `best_score` / `best_cost`.

    NaN when the hull never reaches it; 0 when the best backend costs nothing, as there is nothing to save.
    """
    hull = hull_points(cost, score)
    if not len(hull) or hull[-1, 1] < best_score - TOLERANCE:
        return float("nan")
    if best_cost <= 0:
        return 0.0
    needed = float(np.interp(best_score, hull[:, 1], hull[:, 0]))
    return _without_rounding(1 - needed / best_cost)


def apgr(win_score: FloatArray, weak: FloatArray, strong: FloatArray) -> float:
    """Returns the area under performance gap recovered (0 = all weak, 1 = all strong) against share of strong calls.

    Queries go to the strong backend from the highest `win_score` down, at every possible number of calls. Tied
    queries count in expectation, so a router that gives all of them one score has exactly .5; breaking ties by
    the order of the rows instead would give any value, .4904 for gsm8k sorted by id. NaN where the strong
    backend is not the better one. All arrays are (n_queries,).

    Reference: Ong et al. 2024 (RouteLLM), arXiv:2406.18665.
    """
    known = ~(np.isnan(weak) | np.isnan(strong) | np.isnan(win_score))
    if not known.any():
        return float("nan")
    return float(weighted_apgr(win_score[known], weak[known], strong[known], np.ones((1, int(known.sum()))))[0])


def cpt(win_score: FloatArray, weak: FloatArray, strong: FloatArray, percent: float) -> float:
    """Returns the least per cent of strong calls, in whole queries, that recovers `percent` of the gap; see `apgr`."""
    known = ~(np.isnan(weak) | np.isnan(strong) | np.isnan(win_score))
    if not known.any():
        return float("nan")
    ones = np.ones((1, int(known.sum())))
    return float(weighted_cpt(win_score[known], weak[known], strong[known], percent, ones)[0])


def _without_rounding(share: float) -> float:
    """Returns the share, zero where it differs from that by rounding alone."""
    return 0.0 if abs(share) < TOLERANCE else share
