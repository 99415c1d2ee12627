"""Dataset in, trained router out: features, heads, calibration, cost, confidence; chosen out of fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..classifiers import (
    Featurizer,
    FitError,
    QueryModel,
    Trained,
    assign_folds,
    create_encoder,
    create_head,
    fit_cost,
)
from ..classifiers.difficulty import fit_ability
from ..classifiers.handover import MIN_SEEN
from ..classifiers.knn import choose_references
from ..classifiers.neighbours import keep_neighbours
from ..classifiers.prior_head import PriorHead
from ..classifiers.telling import telling
from ..classifiers.uncertainty import fit_uncertainty
from .candidates import AUTO, FEW, Timer, choose, fit_candidates
from .dataset import Dataset
from .drafts import fit_drafts
from .evaluation import EffortCurve, FloatArray, IntArray, SignalWorth, Trial
from .fit_answers import fit_answers
from .fit_efforts import fit_efforts
from .fit_trade_offs import fit_trade_offs
from .held_out import HeldOut
from .probability_metrics import auroc, brier, ece
from .progress import Progress, Silent
from .split import Split, families_of

N_FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What training gives: the router, what was tried on the way, and figures for the manifest."""

    trained: Trained
    estimates: FloatArray  # (n_learned, n_backends) out of fold, of the queries learned from
    folds: IntArray  # (n_learned,)
    trials: tuple[Trial, ...]
    signals: tuple[SignalWorth, ...]
    efforts: tuple[EffortCurve, ...]
    metrics: dict[str, Any]
    notes: tuple[str, ...]


def fit(
    dataset: Dataset,
    split: Split,
    *,
    encoder: str = "static",
    classifier: str = "auto",
    seed: int = 0,
    budget_s: float | None = None,
    run_code: bool = False,
    clock: Callable[[], float] = time.perf_counter,
    progress: Progress | None = None,
) -> Fitted:
    """Returns the router learned from the train and validation queries; the test queries are not touched.

    With `budget_s`, the classifier `auto` begins no fit once the earlier ones took that long by `clock`. Where that
    leaves one out, the notes say so, and the result depends on the speed of the machine. With `run_code`, Python in the
    answers is run, in a sandbox, and its tests are a signal.

    The classifier `finetune` without a folder is that of the encoder `hf:<folder>`.

    Everything is chosen on out-of-fold predictions over train and validation together, which is validation that wastes
    no label: each query is judged by fits that saw neither it nor a twin of it.

    Raises:
        FitError: there are too few queries.
        ConfigError: the encoder or classifier is unknown.
    """
    if classifier == "finetune" and encoder.startswith("hf:"):
        classifier = f"finetune:{encoder.removeprefix('hf:')}"
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

    # One thread: sums come out the same on any machine, and many small products are not slowed by waiting for threads.
    progress = progress or Silent()
    with threadpool_limits(limits=1, user_api="blas"), telling(progress.note):
        return _fit(
            dataset,
            split,
            encoder,
            classifier,
            seed,
            lambda: Timer(budget_s, clock),
            run_code,
            progress,
        )


def check_names(encoder: str, classifier: str) -> None:
    """Refuses names that `fit` would refuse; best called before the traces are read.

    Raises:
        ConfigError: one is unknown.
    """
    if classifier != "auto" and not (classifier == "finetune" and encoder.startswith("hf:")):
        create_head(classifier)
    if not encoder.startswith("hf:"):  # loading a model twice takes longer than reading the traces
        create_encoder(encoder)


def _fit(
    dataset: Dataset,
    split: Split,
    encoder: str,
    classifier: str,
    seed: int,
    start_timer: Callable[[], Timer],
    run_code: bool,
    progress: Progress,
) -> Fitted:
    learned = dataset.take(split.learned)
    if learned.n_queries < N_FOLDS:
        raise FitError(f"{learned.n_queries} queries to learn from; expected at least {N_FOLDS}")
    families = families_of(learned)
    folds = assign_folds(families, n_folds=N_FOLDS, seed=seed)

    progress.stage(f"reading {learned.n_queries} queries with encoder {encoder}")
    featurizer, features = Featurizer(encoder=encoder).fit_transform(learned.texts)
    progress.stage("fitting cost, tokens and latency")
    quantities = np.stack([learned.cost_usd, learned.output_tokens, learned.latency_s], axis=1)
    cost, expected = fit_cost(features, quantities, folds)

    is_auto = classifier == "auto"
    names = AUTO if is_auto else tuple(dict.fromkeys(("mean", classifier)))
    prior = PriorHead(cost_usd=learned.cost_usd, backends=learned.backends)
    timer = start_timer()  # reading and costs take their time in any case, and are none of the classifiers'
    candidates, left_out = fit_candidates(names, features, learned.quality, folds, timer, progress, prior=prior)
    progress.stage("choosing a classifier")
    trials, chosen = choose(candidates, learned, expected[:, 0], seed=seed, asked_for=None if is_auto else classifier)

    shaped = fit_efforts(learned, chosen)

    progress.stage("fitting confidence")
    answers = fit_answers(learned, shaped.quality, folds, families, read_words=featurizer.read_words, run_code=run_code)
    handover = fit_drafts(learned, shaped.quality, answers.confidences, expected)
    references = choose_references(features, seed=seed)
    neighbours = keep_neighbours(references, learned.texts, learned.quality, features.embedding, families)
    model = QueryModel(
        backends=learned.backends,
        encoder=encoder,
        encoder_id=featurizer.encoder_id,
        surface_mean=featurizer.surface_mean_,
        surface_scale=featurizer.surface_scale_,
        common_words=featurizer.common_words_,
        term_keys=featurizer.term_keys_,
        term_idf=featurizer.term_idf_,
        classifier=chosen.name,
        quality=shaped.predictor,
        calibration=shaped.calibration,
        ability=fit_ability(shaped.quality),
        mean_quality=shaped.quality.mean(axis=0),
        cost=cost,
        neighbours=neighbours,
        uncertainty=fit_uncertainty(neighbours, features.embedding, shaped.quality, learned.quality, folds, families),
    )
    metrics = _metrics(learned, shaped.quality, answers.confidences, learned.as_answered().quality, trials)
    notes = [*dataset.notes, *split.notes]
    if left_out:
        notes.append(
            f"The budget of {timer.budget_s:g} s left no time to try {', '.join(left_out)}."
            " A faster run would try more, so the same data and seed need not give the same artefact."
        )
    if chosen.name == "mean" and len(trials) > 1 and is_auto:
        notes.append(
            "No classifier beats the mean-score router on these queries by two standard errors, so it is used."
        )
    if chosen.name == "prior" and is_auto and learned.n_queries < FEW:
        notes.append(
            f"With fewer than {FEW} queries to learn from, what public traces tell of difficulty and cost is the start,"
            " and these queries correct it (`prior`)."
        )
    if answers.unlearned:
        notes.append(
            f"No confidence is learned: {answers.unlearned}. Answers that come to a number are judged by what public"
            " answers show."
        )
    if learned.checks and handover is None:
        notes.append(f"No hand-over is learned: it takes {MIN_SEEN} graded answers to one backend's drafts.")
    trained = Trained(
        model=model,
        confidence=answers.confidence,
        escalation=replace(answers.escalation, handover=handover),
        early=answers.early,
    )
    progress.stage("replaying the training queries at several trade-offs")
    held_out = HeldOut(quality=shaped.quality, cost_usd=expected[:, 0], confidences=answers.confidences)
    trade_offs = fit_trade_offs(trained, learned, held_out, families, progress)
    return Fitted(
        trained=replace(trained, trade_offs=trade_offs),
        estimates=shaped.quality,
        folds=folds,
        trials=tuple(trials),
        signals=answers.signals,
        efforts=shaped.curves,
        metrics=metrics,
        notes=tuple(notes),
    )


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
