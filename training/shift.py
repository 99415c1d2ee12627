"""What routing is worth on queries unlike those learned from: each task left out in turn, and the longest queries.

Both times a quick router is learned, with the slice and without, and both are judged on the same test queries of the
slice, so that the difference is that of having seen its like. Leaving a task out is the usual test of what carries
over to new domains (Gulrajani and Lopez-Paz 2021, arXiv:2007.01434, "leave-one-domain-out").
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..classifiers import Featurizer, assign_folds, fit_cost, fit_with_out_of_fold
from ..classifiers.calibration import fit_calibration
from .bootstrap import Interval, curve_figures, paired_bootstrap
from .candidates import Timer
from .dataset import Dataset
from .evaluation import FloatArray, IntArray
from .fit import N_FOLDS
from .progress import Progress, Silent
from .split import Split, families_of, numbered_families
from .trials import area_statistic, trial_curve

CLASSIFIER = "linear"  # quick, and on what was seen little worse than the blend
MAX_TASKS = 8
MIN_TESTED, MIN_LEARNED = 10, 20  # queries; intervals tell the rest
BUDGET_S = 120.0
_RESAMPLES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class ShiftedSlice:
    """Test queries of one kind, routed by what was learned with their like and without it."""

    name: str
    n_queries: int
    n_learned: int | None  # from so many without their like; None: from a different number each
    aiq: Interval
    aiq_unseen: Interval
    aiq_difference: Interval  # unseen - seen, paired
    gap_closed: Interval
    gap_closed_unseen: Interval
    gain_over_hull_unseen: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    name: str
    tested: NDArray[np.bool_]  # of the test queries
    unseen: NDArray[np.bool_]  # of the queries to learn from: left out


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimated:
    """What was estimated of some queries, and what they turned out to be, each (n_queries, n_backends)."""

    quality: FloatArray
    cost_usd: FloatArray
    observed_quality: FloatArray
    observed_cost_usd: FloatArray
    families: IntArray  # (n_queries,) equal numbers for twins, see `bootstrap`


def measure_shift(
    dataset: Dataset,
    split: Split,
    *,
    encoder: str = "static",
    classifier: str = CLASSIFIER,
    seed: int = 0,
    budget_s: float | None = BUDGET_S,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> tuple[tuple[ShiftedSlice, ...], tuple[str, ...]]:
    """Returns the slices, of the tasks the most frequent ones, and notes on what was left out and why.

    Where several tasks were left out, the first slice is of all of them: each query is estimated by the router that did
    not see its task.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

    progress, timer = progress or Silent(), Timer(budget_s, clock)
    learned, test = dataset.take(split.learned), dataset.take(split.test)
    tasks, notes = _task_slices(learned, test)
    skipped: list[str] = []
    found: list[ShiftedSlice] = []
    parts: list[tuple[_Estimated, _Estimated]] = []
    with threadpool_limits(limits=1, user_api="blas"):
        progress.stage("learning from all queries, to compare with")
        seen = _estimate(learned, test, encoder, classifier, seed)
        for part in (*_length_slice(learned, test), *tasks):
            n_learned = int((~part.unseen).sum())
            if timer.is_up():
                skipped.append(part.name)
                continue
            progress.stage(f"learning without {part.name}")
            rows = np.flatnonzero(part.tested)
            new = _estimate(learned.take(~part.unseen), test.take(rows), encoder, classifier, seed)
            both = _take(seen, rows), new
            found.append(_judge(part.name, n_learned, *both))
            if part in tasks:
                parts.append(both)
    if len(parts) > 1:
        pooled = (_stack([part[side] for part in parts]) for side in (0, 1))
        found.insert(0, _judge(f"{len(parts)} tasks, each left out", None, *pooled))
    if skipped:
        notes.append(f"The budget of {budget_s:g} s left no time to leave out {', '.join(skipped)}.")
    return tuple(found), tuple(notes)


def _task_slices(learned: Dataset, test: Dataset) -> tuple[list[_Slice], list[str]]:
    """Returns the most frequent tasks, or data sets where these tell more apart than tasks do."""
    column = "tasks" if len(set(learned.tasks)) > 1 else "datasets"
    names, tested = (np.array(getattr(part, column), dtype=np.str_) for part in (learned, test))
    counts = Counter(name for name in tested.tolist() if name)
    if len(set(names.tolist())) < 2:
        return [], ["No task can be left out: the traces tell fewer than two apart (columns `task`, `dataset`)."]
    slices = []
    for name, n_tested in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        unseen = names == name
        if n_tested >= MIN_TESTED and unseen.any() and int((~unseen).sum()) >= MIN_LEARNED:
            slices.append(_Slice(name=name, tested=tested == name, unseen=unseen))
    notes = (
        []
        if slices
        else [f"No task can be left out: none has {MIN_TESTED} test queries and {MIN_LEARNED} of others to learn from."]
    )
    if len(slices) > MAX_TASKS:
        notes.append(f"Of {len(slices)} tasks that could be left out, the {MAX_TASKS} most frequent were.")
    return slices[:MAX_TASKS], notes


def _length_slice(learned: Dataset, test: Dataset) -> Iterator[_Slice]:
    """Yields the longest quarter of queries, by the bounds of those to learn from, where it is large enough."""
    lengths, tested = (np.array([len(text) for text in part.texts]) for part in (learned, test))
    bound = np.quantile(lengths, 0.75)
    found = _Slice(name="the longest quarter", tested=tested > bound, unseen=lengths > bound)
    if found.tested.sum() >= MIN_TESTED and (~found.unseen).sum() >= MIN_LEARNED:
        yield found


def _estimate(learned: Dataset, test: Dataset, encoder: str, classifier: str, seed: int) -> _Estimated:
    folds = assign_folds(families_of(learned), n_folds=N_FOLDS, seed=seed)
    featurizer, features = Featurizer(encoder=encoder).fit_transform(learned.texts)
    quantities = np.stack([learned.cost_usd, learned.output_tokens, learned.latency_s], axis=1)
    cost, _ = fit_cost(features, quantities, folds)
    head, scores = fit_with_out_of_fold(classifier, features, learned.quality, folds)
    calibration, _ = fit_calibration(scores, learned.quality, folds)
    new = featurizer.transform(test.texts)
    return _Estimated(
        quality=calibration.apply(head.predictor_.predict(new)),
        cost_usd=cost.predict(new)[:, 0],
        observed_quality=test.quality,
        observed_cost_usd=test.cost_usd,
        families=numbered_families(test),
    )


def _judge(name: str, n_learned: int | None, seen: _Estimated, unseen: _Estimated) -> ShiftedSlice:
    quality, cost = seen.observed_quality, seen.observed_cost_usd
    curves = [trial_curve(name, part.quality, part.cost_usd, quality, cost) for part in (seen, unseen)]
    within, out = curve_figures(curves, quality, cost, families=seen.families, n_resamples=_RESAMPLES)
    first, second = (area_statistic(curve, quality, cost) for curve in curves)
    lost = paired_bootstrap(
        lambda weights: second(weights) - first(weights),
        len(quality),
        families=seen.families,
        n_resamples=_RESAMPLES,
    )
    return ShiftedSlice(
        name=name,
        n_queries=len(quality),
        n_learned=n_learned,
        aiq=within.aiq,
        aiq_unseen=out.aiq,
        aiq_difference=lost,
        gap_closed=within.gap_closed,
        gap_closed_unseen=out.gap_closed,
        gain_over_hull_unseen=out.gain_over_hull,
    )


def _take(estimated: _Estimated, rows: NDArray[np.int64]) -> _Estimated:
    return replace(
        estimated,
        quality=estimated.quality[rows],
        cost_usd=estimated.cost_usd[rows],
        observed_quality=estimated.observed_quality[rows],
        observed_cost_usd=estimated.observed_cost_usd[rows],
        families=estimated.families[rows],
    )


def _stack(parts: list[_Estimated]) -> _Estimated:
    return _Estimated(
        quality=np.vstack([part.quality for part in parts]),
        cost_usd=np.vstack([part.cost_usd for part in parts]),
        observed_quality=np.vstack([part.observed_quality for part in parts]),
        observed_cost_usd=np.vstack([part.observed_cost_usd for part in parts]),
        families=np.concatenate([part.families for part in parts]),
    )
