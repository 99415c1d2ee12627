"""Dataset in, trained router out: features, heads, calibration, cost, confidence; chosen out of fold."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..classifiers import (
    ConfidenceModel,
    Featurizer,
    FitError,
    QueryModel,
    Trained,
    assign_folds,
    fit_confidence,
    fit_cost,
    fit_escalation,
    fit_with_out_of_fold,
    read_signals,
)
from ..classifiers.calibration import Calibration, fit_calibration
from ..classifiers.features import Features
from ..classifiers.heads import Predictor
from ..classifiers.knn import choose_references
from ..classifiers.neighbours import keep_neighbours
from ..classifiers.sparse import IntArray
from .bootstrap import paired_bootstrap
from .dataset import Dataset
from .evaluation import FloatArray, Trial
from .metrics import auroc, brier, ece
from .progress import Progress, Silent
from .split import Split, find_families
from .trials import Area, area_statistic, trial_curve

AUTO = ("mean", "stack", "linear", "knn")  # what `auto` tries, in turn
N_FOLDS = 5
_MIN_ANSWERS = 40  # graded answers below which no confidence is learned
_METRIC = "AIQ out of fold"
_EVIDENCE = 2.0  # paired standard errors by which a candidate must win


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What training gives: the router, what was tried on the way, and figures for the manifest."""

    trained: Trained
    trials: tuple[Trial, ...]
    metrics: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    name: str
    predictor: Predictor
    calibration: Calibration
    quality: FloatArray  # (n_queries, n_backends) calibrated, out of fold
    fit_s: float


def fit(
    dataset: Dataset,
    split: Split,
    *,
    encoder: str = "static",
    classifier: str = "auto",
    seed: int = 0,
    progress: Progress | None = None,
) -> Fitted:
    """Returns the router learned from the train and validation queries; the test queries are not touched.

    Everything is chosen on out-of-fold predictions over train and validation together, which is validation that wastes
    no label: each query is judged by fits that saw neither it nor a twin of it.

    Raises:
        FitError: there are too few queries.
        ConfigError: the encoder or classifier is unknown.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

    # One thread: sums come out the same on any machine, and many small products are not slowed by waiting for threads.
    with threadpool_limits(limits=1, user_api="blas"):
        return _fit(dataset, split, encoder, classifier, seed, progress or Silent())


def _fit(dataset: Dataset, split: Split, encoder: str, classifier: str, seed: int, progress: Progress) -> Fitted:
    learned = dataset.take(split.learned)
    if learned.n_queries < N_FOLDS:
        raise FitError(f"{learned.n_queries} queries to learn from; expected at least {N_FOLDS}")
    folds = assign_folds(_groups(learned), n_folds=N_FOLDS, seed=seed)

    progress.stage(f"reading {learned.n_queries} queries with encoder {encoder}")
    featurizer, features = Featurizer(encoder=encoder).fit_transform(learned.texts)
    progress.stage("fitting cost, tokens and latency")
    quantities = np.stack([learned.cost_usd, learned.output_tokens, learned.latency_s], axis=1)
    cost, expected = fit_cost(features, quantities, folds)

    candidates = []
    for name in AUTO if classifier == "auto" else tuple(dict.fromkeys(("mean", classifier))):
        progress.stage(f"fitting classifier {name}")
        candidates.append(_fit_candidate(name, features, learned.quality, folds))
    trials, chosen = _choose(candidates, learned, expected[:, 0], seed=seed, is_asked_for=classifier != "auto")

    progress.stage("fitting confidence")
    confidence, confidences = _fit_confidence(learned, chosen.quality, folds)
    answered = learned.as_answered()
    escalation = fit_escalation(answered.quality, chosen.quality, confidences)
    references = choose_references(features, seed=seed)
    model = QueryModel(
        backends=learned.backends,
        encoder=encoder,
        encoder_id=featurizer.encoder_id,
        surface_mean=featurizer.surface_mean_,
        surface_scale=featurizer.surface_scale_,
        term_keys=featurizer.term_keys_,
        term_idf=featurizer.term_idf_,
        classifier=chosen.name,
        quality=chosen.predictor,
        calibration=chosen.calibration,
        cost=cost,
        neighbours=keep_neighbours(references, learned.texts, learned.quality),
    )
    metrics = _metrics(learned, chosen.quality, confidences, answered.quality, trials)
    notes = [*dataset.notes, *split.notes]
    if chosen.name == "mean" and classifier == "auto":
        notes.append(
            "No classifier beats the mean-score router on these queries by two standard errors, so it is used."
        )
    if confidence is None:
        notes.append("No confidence is learned: the traces hold too few graded answers (column `response`).")
    return Fitted(
        trained=Trained(model=model, confidence=confidence, escalation=escalation),
        trials=tuple(trials),
        metrics=metrics,
        notes=tuple(notes),
    )


def _groups(dataset: Dataset) -> Sequence[str]:
    """Returns what keeps twins in one fold: the family of each query, as the split knows it."""
    family_of = [""] * dataset.n_queries
    for family, members in find_families(dataset.texts, dataset.groups).items():
        for row in members:
            family_of[row] = family
    return family_of


def _fit_candidate(name: str, features: Features, quality: FloatArray, folds: IntArray) -> _Candidate:
    started = time.perf_counter()
    head, scores = fit_with_out_of_fold(name, features, quality, folds)
    calibration, probabilities = fit_calibration(scores, quality, folds)
    return _Candidate(
        name=name,
        predictor=head.predictor_,
        calibration=calibration,
        quality=probabilities,
        fit_s=time.perf_counter() - started,
    )


def _choose(
    candidates: Sequence[_Candidate], dataset: Dataset, cost: FloatArray, *, seed: int, is_asked_for: bool
) -> tuple[list[Trial], _Candidate]:
    """Returns all trials and the chosen candidate.

    The mean-score router stands until a candidate's AIQ beats it by more than two paired standard errors, and so on in
    turn: where the queries teach nothing, nothing is claimed to be learned, and the stack, which holds the others
    already, is not dropped for one of them by luck. One that was asked for by name, the last, is taken as it is.
    """
    curves = [trial_curve(c.name, c.quality, cost, dataset.quality, dataset.cost_usd) for c in candidates]
    areas = [area_statistic(curve, dataset.quality, dataset.cost_usd) for curve in curves]
    chosen = len(candidates) - 1 if is_asked_for else 0
    for place in range(1, 0 if is_asked_for else len(candidates)):
        errors = _gain_in_errors(areas[place], areas[chosen], dataset.n_queries, seed)
        if errors > _EVIDENCE:
            chosen = place
    trials = []
    for place, candidate in enumerate(candidates):
        figure = paired_bootstrap(areas[place], dataset.n_queries, n_resamples=200, seed=seed)
        trials.append(
            Trial(
                name=candidate.name,
                metric=_METRIC,
                value=figure.value,
                low=figure.low,
                high=figure.high,
                fit_s=candidate.fit_s,
                is_chosen=place == chosen,
            )
        )
    return trials, candidates[chosen]


def _gain_in_errors(better: Area, worse: Area, n_queries: int, seed: int) -> float:
    """Returns by how many paired standard errors one area exceeds another."""
    figure = paired_bootstrap(lambda weights: better(weights) - worse(weights), n_queries, n_resamples=200, seed=seed)
    standard_error = (figure.high - figure.low) / (2 * 1.96)
    return figure.value / standard_error if standard_error > 0 else 0.0


def _fit_confidence(
    dataset: Dataset, estimates: FloatArray, folds: IntArray
) -> tuple[ConfidenceModel | None, FloatArray]:
    """Returns the model, None without enough answers, and out-of-fold confidences, (n_queries, n_backends)."""
    confidences = np.full(dataset.quality.shape, np.nan)
    calls = [
        (row, column, completion)
        for row in range(dataset.n_queries)
        for column in range(dataset.n_backends)
        if (completion := dataset.completion(row, column)) is not None
        and np.isfinite(dataset.completion_score(row, column))
    ]
    if len(calls) < _MIN_ANSWERS:
        return None, confidences
    rows = np.array([row for row, _, _ in calls])
    columns = np.array([column for _, column, _ in calls])
    labels = np.array([dataset.completion_score(row, column) for row, column, _ in calls])
    if np.ptp(labels) < 1e-9:
        return None, confidences
    values = np.stack([read_signals(dataset.queries[row], completion) for row, _, completion in calls])
    model, probabilities = fit_confidence(
        values=values,
        estimates=estimates[rows, columns],
        labels=labels,
        backend_of=columns,
        folds=folds[rows],
        backends=dataset.backends,
    )
    confidences[rows, columns] = probabilities
    return model, confidences


def _metrics(
    dataset: Dataset,
    estimates: FloatArray,
    confidences: FloatArray,
    answered: FloatArray,
    trials: Sequence[Trial],
) -> dict[str, Any]:
    """Returns out-of-fold figures for the manifest, rounded; no timing, so that the same data gives the same bytes."""
    metrics: dict[str, Any] = {
        "n_queries": dataset.n_queries,
        "trials": {trial.name: round(trial.value, 6) for trial in trials},
        "estimates": _probability_metrics(estimates, dataset.quality),
    }
    if np.isfinite(confidences).any():
        metrics["confidences"] = _probability_metrics(confidences, answered)
    return metrics


def _probability_metrics(probability: FloatArray, score: FloatArray) -> dict[str, float | None]:
    seen = np.isfinite(probability) & np.isfinite(score)
    figures = {name: figure(probability[seen], score[seen]) for name, figure in _FIGURES.items()}
    return {name: round(value, 6) if np.isfinite(value) else None for name, value in figures.items()}


_FIGURES = {"brier": brier, "ece": ece, "auroc": auroc}
