"""A trained router on labelled traces: every figure that the report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..router import Policy, Pool
from .curves import baseline_curves, sweep_lams
from .dataset import Dataset
from .evaluation import Curve, EffortCurve, Evaluation, SignalWorth, Trial
from .progress import Progress, Silent
from .replay import Replayer, estimate_matrices
from .split import numbered_families

N_POINTS = 40
_UNASKED = (
    "Some backends were not asked some queries. Each one's mean is over those it was asked, while the router and"
    " hindsight choose among the answers that each query has: mixing and they are not about the same queries."
)
ROUTER, CASCADE = "router", "cascade"


def evaluate(
    pool: Pool,
    dataset: Dataset,
    *,
    policies: Mapping[str, Policy],
    default_policy: str,
    split: str,
    title: str,
    train: Dataset | None = None,
    trials: Sequence[Trial] = (),
    signals: Sequence[SignalWorth] = (),
    efforts: Sequence[EffortCurve] = (),
    notes: Sequence[str] = (),
    n_points: int = N_POINTS,
    progress: Progress | None = None,
) -> Evaluation:
    """Returns the evaluation on the queries of `dataset`; `train` is what the mean-score baseline learns from.

    Where answers were recorded, the cascade is the first curve, since that is what runs; plain routing is the second.
    """
    progress = progress or Silent()
    progress.stage(f"estimating {dataset.n_queries} queries")
    replayer = Replayer(pool, dataset)
    dataset = replayer.dataset  # of several draws the one replayed: one world for all, hindsight and baselines as well
    quality, cost = estimate_matrices(replayer.estimates, dataset.backends)
    lams = sweep_lams(quality, cost, n_points)
    base = replace(policies[default_policy], objective="utility")
    curves: list[Curve] = []
    if dataset.has_answers:
        progress.stage(f"replaying the cascade at {len(lams)} trade-offs")
        curves.append(replayer.curve(CASCADE, base, lams, progress=progress))
    progress.stage(f"replaying plain routing at {len(lams)} trade-offs")
    curves.append(replayer.curve(ROUTER, replace(base, max_calls=1), lams, progress=progress))
    if train is not None:
        curves.extend(baseline_curves(train.quality, train.cost_usd, dataset.quality, dataset.cost_usd))
    progress.stage("replaying policies")
    ordered = [policies[default_policy], *(policy for name, policy in policies.items() if name != default_policy)]
    broken = pool.unkept(ordered)  # a router is evaluated before it can be certified
    return Evaluation(
        title=title,
        split=split,
        query_ids=dataset.query_ids,
        queries=dataset.texts,
        tasks=dataset.tasks,
        backends=dataset.backends,
        quality=dataset.quality,
        cost_usd=dataset.cost_usd,
        estimated_quality=quality,
        estimated_cost_usd=cost,
        difficulty=np.array([estimates.difficulty for estimates in replayer.estimates]),
        curves=tuple(curves),
        policies=tuple(replayer.outcome(policy) for policy in ordered if policy.name not in broken),
        confidences=replayer.confidences(),
        trials=tuple(trials),
        signals=tuple(signals),
        efforts=tuple(efforts),
        families=numbered_families(dataset),
        notes=(*notes, *((_UNASKED,) if np.isnan(dataset.quality).any() else ()), *broken.values()),
    )
