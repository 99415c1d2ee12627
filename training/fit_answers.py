"""What the recorded answers teach: confidence after a call, and what is known about asking again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict

import numpy as np

from ..backends import Completion
from ..classifiers import ConfidenceModel, Escalation, fit_confidence, fit_escalation, read_signals, signal_names
from ..classifiers.choices import settled_answer
from ..classifiers.confidence import N_TREES
from ..classifiers.early import EarlyConfidence
from ..classifiers.escalation import NO_ANSWER
from ..classifiers.final_answer import FinalAnswer
from ..classifiers.phrasing import Phrases, phrase_keys
from ..classifiers.public_confidence import load_public_confidence
from ..classifiers.telling import counting
from ..classifiers.terms import KeyArray
from ..classifiers.workable import right_answer
from .dataset import Dataset
from .evaluation import FloatArray, IntArray, SignalWorth
from .fit_early import fit_early
from .fit_meaning import ReadWords, fit_meaning, pairs_of
from .fit_verdicts import fit_jury
from .signal_worth import signal_worth

_MIN_ANSWERS = 40  # graded answers below which no confidence is learned


class GradedAnswers(TypedDict):
    """The arguments of `fit_confidence`, a row a call."""

    values: FloatArray
    estimates: FloatArray
    labels: FloatArray
    backend_of: IntArray
    folds: IntArray
    backends: tuple[str, ...]
    phrases: Phrases


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedPhrases:
    """The terms of recorded answers, worked out when asked for: those of all would not fit into memory."""

    dataset: Dataset
    rows: IntArray  # (n_calls,)
    columns: IntArray  # (n_calls,)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int, /) -> KeyArray:
        row, column = self.rows[place], self.columns[place]
        return phrase_keys(self.dataset.queries[row], _answer(self.dataset, row, column))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedAnswers:
    """What was learned from answers; `confidences` out of fold, or by public answers where there is no model; NaN where
    there is no graded answer.
    """

    confidence: ConfidenceModel | None
    confidences: FloatArray  # (n_queries, n_backends)
    early: EarlyConfidence | None
    escalation: Escalation
    signals: tuple[SignalWorth, ...]
    unlearned: str  # why there is no confidence; "" where there is


def fit_answers(
    dataset: Dataset,
    estimates: FloatArray,
    folds: IntArray,
    families: Sequence[str],
    *,
    read_words: ReadWords,
    run_code: bool = False,
) -> FittedAnswers:
    """Returns confidence, in whole answers and in beginnings, and escalation.

    `estimates` are out of fold, (n_queries, n_backends); queries of one of the `families` are twins.
    """
    confidence, confidences, signals, unlearned = _fit_confidence(dataset, estimates, folds, run_code)
    answers = final_answers(dataset)
    is_workable = np.array([right_answer(query.text) is not None for query in dataset.queries])
    escalation = fit_escalation(dataset.as_answered().quality, estimates, confidences, answers, is_workable)
    is_compared = (answers != NO_ANSWER) & (escalation.comparable > 0)
    expected = np.where(np.isfinite(confidences), confidences, estimates)
    jury, worth = fit_jury(dataset, expected, folds)
    meaning = fit_meaning(pairs_of(dataset, expected, folds, read_words, is_compared=is_compared))
    escalation = replace(escalation, meaning=meaning, jury=jury)
    early = fit_early(dataset, estimates, confidences, folds, families) if confidence is not None else None
    return FittedAnswers(
        confidence=confidence,
        confidences=confidences,
        early=early,
        escalation=escalation,
        signals=(*signals, *worth),
        unlearned=unlearned,
    )


def _fit_confidence(
    dataset: Dataset, estimates: FloatArray, folds: IntArray, run_code: bool
) -> tuple[ConfidenceModel | None, FloatArray, tuple[SignalWorth, ...], str]:
    """Returns the model, out-of-fold confidences, (n_queries, n_backends), what each signal adds, and why there is no
    model where there is none; the confidences are then those that stand in for it.
    """
    cells = [
        (row, column)
        for row, column in np.ndindex(dataset.quality.shape)
        if dataset.completion(row, column) is not None and np.isfinite(dataset.completion_score(row, column))
    ]
    labels = np.array([dataset.completion_score(row, column) for row, column in cells])
    if len(cells) < _MIN_ANSWERS or np.ptp(labels) < 1e-9:
        is_few = len(cells) < _MIN_ANSWERS
        why = (
            "the traces hold too few graded answers (column `response`)"
            if is_few
            else "all graded answers have the same score"
        )
        return None, _publicly_judged(dataset, estimates, cells), (), why
    rows, columns = np.array(cells).T
    confidences = np.full(dataset.quality.shape, np.nan)
    values = np.empty((len(cells), len(signal_names())))
    for place, (row, column) in enumerate(counting(cells, "signals of answer")):
        values[place] = read_signals(dataset.queries[row], _answer(dataset, row, column), run_code=run_code)
    answers: GradedAnswers = {
        "values": values,
        "estimates": estimates[rows, columns],
        "labels": labels,
        "backend_of": columns,
        "folds": folds[rows],
        "backends": dataset.backends,
        "phrases": RecordedPhrases(dataset=dataset, rows=rows, columns=columns),
    }
    model, confidences[rows, columns] = fit_confidence(**answers, n_trees=N_TREES)
    return model, confidences, signal_worth(**answers), ""


def _publicly_judged(dataset: Dataset, estimates: FloatArray, cells: Sequence[tuple[int, int]]) -> FloatArray:
    """Returns what public answers tell of the answers in these cells, (n_queries, n_backends), NaN in the others."""
    confidences = np.full(dataset.quality.shape, np.nan)
    public = load_public_confidence()
    for row, column in cells:
        query, completion = dataset.queries[row], _answer(dataset, row, column)
        confidences[row, column] = public.confidence(
            query, completion, backend=dataset.backends[column], estimate=float(estimates[row, column])
        )
    return confidences


def _answer(dataset: Dataset, row: int, column: int) -> Completion:
    """Returns the answer of a cell that has one."""
    completion = dataset.completion(row, column)
    assert completion is not None  # or it was no call
    return completion


def final_answers(dataset: Dataset) -> IntArray:
    """Returns equal numbers in a row for equal final answers, (n_queries, n_backends)."""
    answers = np.full(dataset.quality.shape, NO_ANSWER, dtype=np.int64)
    for row in counting(range(dataset.n_queries), "final answers to query"):
        query = dataset.queries[row]
        numbers: dict[FinalAnswer, int] = {}
        for column in range(dataset.n_backends):
            completion = dataset.completion(row, column)
            answer = settled_answer(query.text, completion) if completion is not None else None
            if answer is not None:
                answers[row, column] = numbers.setdefault(answer, len(numbers))
    return answers
