"""How good a candidate is: the cost-quality curve of plain routing by its estimates, and the area under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ..classifiers import no_escalation
from ..classifiers.paired import paired_gap
from ..router import Outlook, Policy
from ..router.objectives import create_objective
from .bootstrap import paired_bootstrap
from .curves import sweep_lams
from .evaluation import Curve, FloatArray, IntArray
from .metrics import hull_area, hull_points, single_backends
from .weighted import weighted_mean

Area = Callable[[FloatArray], FloatArray]  # weights (n_weightings, n_queries) -> AIQ (n_weightings,)

_N_LAMS = 40


def trial_curve(
    name: str, estimated_quality: FloatArray, estimated_cost: FloatArray, quality: FloatArray, cost_usd: FloatArray
) -> Curve:
    """Returns the curve of routing each query by its estimates, one call each, over a sweep of lam.

    A backend that was not asked a query cannot be chosen for it. All arrays are (n_queries, n_backends).
    """
    lams = sweep_lams(estimated_quality, estimated_cost, _N_LAMS)
    policies = [Policy(name=f"lam={lam:.4g}", lam=float(lam), max_calls=1) for lam in lams]
    backends = tuple(str(place) for place in range(quality.shape[1]))
    chosen = first_choices(policies, backends, estimated_quality, estimated_cost, np.isfinite(quality))
    rows = np.arange(len(quality))
    return Curve(
        name=name,
        labels=tuple(policy.name for policy in policies),
        cost_usd=cost_usd[rows, chosen],
        score=quality[rows, chosen],
    )


def first_choices(
    policies: Sequence[Policy],
    backends: Sequence[str],
    estimated_quality: FloatArray,
    estimated_cost: FloatArray,
    may_ask: NDArray[np.bool_],
) -> IntArray:
    """Returns the column of the backend that each policy asks first for each query, (n_policies, n_queries).

    The other arrays are (n_queries, n_backends); a query is sent only where `may_ask` is true.
    """
    objectives = [create_objective(policy.objective) for policy in policies]
    chosen = np.empty((len(policies), len(may_ask)), dtype=np.int64)
    escalation = no_escalation(len(backends))
    for row, allowed in enumerate(may_ask):
        seen = np.flatnonzero(allowed)
        outlook = Outlook(
            backends=tuple(backends[int(place)] for place in seen),
            quality=estimated_quality[row, seen],
            cost_usd=estimated_cost[row, seen],
            escalation=escalation.take(seen),
            max_calls=1,
            budget_usd=np.inf,
        )
        for point, (objective, policy) in enumerate(zip(objectives, policies, strict=True)):
            chosen[point, row] = seen[objective.start(outlook, policy)]
    return chosen


def area_statistic(curve: Curve, quality: FloatArray, cost_usd: FloatArray) -> Area:
    """Returns the AIQ of a curve as a function of the weights of queries.

    Where the cheapest backend is the best one too, the range of the AIQ has no width; it then ends at the dearest.
    """
    single = single_backends(quality, cost_usd)
    top = single.best if single.best != single.cheapest else int(np.nanargmax(single.mean_cost_usd))

    def area(weights: FloatArray) -> FloatArray:
        means = weighted_mean(cost_usd.T, weights)
        low, high = means[:, single.cheapest], means[:, top]
        costs, scores = weighted_mean(curve.cost_usd, weights), weighted_mean(curve.score, weights)
        return np.array(
            [
                hull_area(hull_points(costs[row], scores[row]), float(low[row]), float(high[row]))
                for row in range(len(weights))
            ]
        )

    return area


def paired_errors(better: Area, worse: Area, families: IntArray, seed: int) -> float:
    """Returns by how many paired standard errors one area exceeds another; `families` as `bootstrap` takes them."""
    figure = paired_bootstrap(
        lambda weights: better(weights) - worse(weights), len(families), families=families, n_resamples=200, seed=seed
    )
    standard_error = (figure.high - figure.low) / (2 * 1.96)
    return figure.value / standard_error if standard_error > 0 else 0.0


def squared_errors(estimates: FloatArray, quality: FloatArray) -> FloatArray:
    """Returns the mean squared error of each query's estimates, (n_queries,), NaN where nothing was observed."""
    seen = np.isfinite(quality)
    total = np.where(seen, (estimates - np.where(seen, quality, 0)) ** 2, 0).sum(axis=1)
    errors: FloatArray = np.divide(total, seen.sum(axis=1), out=np.full(len(quality), np.nan), where=seen.any(axis=1))
    return errors


def lag_of_best(curve: Curve, quality: FloatArray, cost_usd: FloatArray, families: IntArray | None = None) -> float:
    """Returns by how many paired standard errors the curve's end of greatest quality lies below the best backend."""
    return paired_gap(quality[:, single_backends(quality, cost_usd).best], curve.score[0], families)
