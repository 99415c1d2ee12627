"""Everything the report computes once and shows in several places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bootstrap import (
    CurveFigures,
    Interval,
    ProbabilityFigures,
    curve_figures,
    mean_interval,
    probability_intervals,
    reference_figures,
)
from .curves import ALWAYS_BEST, ALWAYS_CHEAPEST, ORACLE, RANDOM_MIX
from .evaluation import Curve, Evaluation, FloatArray, IntArray
from .metrics import SingleBackends, hull_indices, mean_cost_usd, oracle_points, single_backends
from .weighted import TOLERANCE, weighted_mean

RECOMPUTED = (ALWAYS_CHEAPEST, ALWAYS_BEST, RANDOM_MIX, ORACLE)  # the report draws these from the matrices itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """One row of the comparison: the best it scores for at most what the best single backend costs, and its figures."""

    name: str
    score: Interval
    cost_usd: float
    aiq: Interval | None = None  # None where a single point makes no curve
    gap_closed: Interval | None = None
    saving_at_best: Interval | None = None
    is_router: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the numbers of an evaluation say."""

    single: SingleBackends
    hull_aiq: Interval
    oracle_aiq: Interval
    hull: FloatArray  # (n, 2) cost and score of mixing single backends
    oracle: FloatArray  # (n, 2) cost and score of hindsight
    swept: tuple[Curve, ...]  # the curves to show; the first is the router
    figures: tuple[CurveFigures, ...]  # of each
    strategies: tuple[Strategy, ...]
    estimates: ProbabilityFigures | None  # None: nothing observed to hold them against
    confidences: ProbabilityFigures | None


def findings(evaluation: Evaluation) -> Findings:
    """Returns the figures of an evaluation.

    Raises:
        ValueError: no backend has an observed score and cost.
    """
    quality, cost_usd = evaluation.quality, evaluation.cost_usd
    single = single_backends(quality, cost_usd)
    swept = tuple(curve for curve in evaluation.curves if curve.name not in RECOMPUTED and len(curve.labels))
    families = evaluation.families
    figures = curve_figures(swept, quality, cost_usd, families=families)
    hull_aiq, oracle_aiq = reference_figures(quality, cost_usd, families=families)
    mixed = hull_indices(single.mean_cost_usd, single.mean_score)
    oracle = oracle_points(quality, cost_usd)
    rows = [
        _swept_strategy(curve, figure, single, families, is_router=number == 0)
        for number, (curve, figure) in enumerate(zip(swept, figures, strict=True))
    ]
    rows += _reference_strategies(evaluation, single, hull_aiq, oracle_aiq, oracle)
    return Findings(
        single=single,
        hull_aiq=hull_aiq,
        oracle_aiq=oracle_aiq,
        hull=np.column_stack([single.mean_cost_usd[mixed], single.mean_score[mixed]]),
        oracle=oracle,
        swept=swept,
        figures=figures,
        strategies=tuple(rows),
        estimates=_estimate_figures(evaluation),
        confidences=_confidence_figures(evaluation),
    )


def curve_means(curve: Curve) -> tuple[FloatArray, FloatArray]:
    """Returns mean cost and mean score of every point of a curve."""
    ones = np.ones((1, curve.score.shape[1]))
    return weighted_mean(curve.cost_usd, ones)[0], weighted_mean(curve.score, ones)[0]


def _swept_strategy(
    curve: Curve, figures: CurveFigures, single: SingleBackends, families: IntArray | None, *, is_router: bool
) -> Strategy:
    """Returns the row of a swept strategy; where none of its points is affordable, its cheapest point stands."""
    costs, scores = curve_means(curve)
    affordable = np.flatnonzero(costs <= single.high_usd * (1 + TOLERANCE))
    known = affordable[~np.isnan(scores[affordable])]
    best = (
        known[np.lexsort((costs[known], -scores[known]))[0]] if len(known) else np.nan_to_num(costs, nan=1e9).argmin()
    )
    return Strategy(
        name=curve.name,
        score=mean_interval(curve.score[best], families=families),
        cost_usd=float(costs[best]),
        aiq=figures.aiq,
        gap_closed=figures.gap_closed,
        saving_at_best=figures.saving_at_best,
        is_router=is_router,
    )


def _reference_strategies(
    evaluation: Evaluation, single: SingleBackends, hull_aiq: Interval, oracle_aiq: Interval, oracle: FloatArray
) -> list[Strategy]:
    """Returns the rows that need no router: random mix, always-cheapest, always-best, oracle."""
    families = evaluation.families
    best = mean_interval(evaluation.quality[:, single.best], families=families)
    zero, one = (Interval(value=value, low=float("nan"), high=float("nan")) for value in (0.0, 1.0))  # by definition
    has_gap = oracle_aiq.value - hull_aiq.value > TOLERANCE
    highest = np.where(np.isnan(evaluation.quality), -np.inf, evaluation.quality).max(axis=1)
    reached = oracle[np.searchsorted(oracle[:, 0], single.high_usd * (1 + TOLERANCE), side="right") - 1]
    oracle_score = mean_interval(np.where(np.isinf(highest), np.nan, highest), families=families)
    if reached[1] < oracle_score.value - TOLERANCE:  # hindsight too has a budget
        oracle_score = Interval(value=float(reached[1]), low=float("nan"), high=float("nan"))
    saved = 1 - float(np.interp(single.best_score, oracle[:, 1], oracle[:, 0])) / (single.high_usd or 1.0)
    return [
        Strategy(
            name=RANDOM_MIX,
            score=best,
            cost_usd=single.high_usd,
            aiq=hull_aiq,
            gap_closed=zero if has_gap else None,
            saving_at_best=zero,
        ),
        Strategy(
            name=f"{ALWAYS_CHEAPEST} ({evaluation.backends[single.cheapest]})",
            score=mean_interval(evaluation.quality[:, single.cheapest], families=families),
            cost_usd=single.low_usd,
        ),
        Strategy(
            name=f"{ALWAYS_BEST} ({evaluation.backends[single.best]})",
            score=best,
            cost_usd=single.high_usd,
            saving_at_best=zero,
        ),
        Strategy(
            name=ORACLE,
            score=oracle_score,
            cost_usd=float(reached[0]),
            aiq=oracle_aiq,
            gap_closed=one if has_gap else None,
            saving_at_best=Interval(value=saved, low=float("nan"), high=float("nan")) if single.high_usd > 0 else zero,
        ),
    ]


def _estimate_figures(evaluation: Evaluation) -> ProbabilityFigures | None:
    """Returns how true the estimates of quality are, all backends pooled."""
    known = ~(np.isnan(evaluation.estimated_quality) | np.isnan(evaluation.quality))
    if not known.any():
        return None
    query = np.broadcast_to(np.arange(len(known))[:, np.newaxis], known.shape)[known]
    probability, score = evaluation.estimated_quality[known], evaluation.quality[known]
    return probability_intervals(probability, score, query, len(known), families=evaluation.families)


def _confidence_figures(evaluation: Evaluation) -> ProbabilityFigures | None:
    """Returns how true the confidences after a call are."""
    confidences = evaluation.confidences
    if confidences is None:
        return None
    known = ~(np.isnan(confidences.confidence) | np.isnan(confidences.score))
    if not known.any():
        return None
    probability, score = confidences.confidence[known], confidences.score[known]
    if confidences.query is None:
        return probability_intervals(probability, score, np.arange(len(score)), len(score))
    query, n_queries = confidences.query[known], len(evaluation.quality)
    return probability_intervals(probability, score, query, n_queries, families=evaluation.families)


def relative_cost(cost_usd: FloatArray, single: SingleBackends) -> float:
    """Returns the mean cost as a share of the best backend's, NaN where that is free."""
    return mean_cost_usd(cost_usd) / single.high_usd if single.high_usd > 0 else float("nan")
