"""What judges' verdicts on graded answers teach."""

from __future__ import annotations

import math

import numpy as np

from ..classifiers.logistic import fit_logistic, sigmoid
from ..classifiers.verdict import Jury, log_odds_of
from .dataset import RIGHT, Dataset
from .evaluation import FloatArray, IntArray, SignalWorth
from .probability_metrics import auroc

MIN_VERDICTS = 40  # on graded answers, below which a judge is not listened to
_MIN_SAID = 5  # of yes and of no
_PENALTIES = np.array([1.0, 1.0])
_EDGE = 1e-3


def fit_jury(dataset: Dataset, expected: FloatArray, folds: IntArray) -> tuple[Jury | None, tuple[SignalWorth, ...]]:
    """Returns what the judges' verdicts tell beyond what was `expected` of each answer, (n_queries, n_backends), and
    what they add; None where none tells anything.
    """
    told: dict[str, list[tuple[int, int, float, float]]] = {}
    for row, column in np.argwhere(np.isfinite(expected)):
        trace = dataset.answers[row, column]
        for verdict in trace.verdicts if trace is not None and trace.score is not None else ():
            cost = math.nan if verdict.cost_usd is None else verdict.cost_usd
            told.setdefault(verdict.judge, []).append((row, column, verdict.right, cost))
    found, worth = [], []
    n_graded = max(int(np.isfinite(dataset.quality).sum()), 1)
    for judge, said in sorted(told.items()):
        rows, columns, verdicts, costs = (np.array(values) for values in zip(*said, strict=True))
        labels = np.array([dataset.completion_score(r, c) for r, c in zip(rows, columns, strict=True)])
        known = np.clip(expected[rows, columns], _EDGE, 1 - _EDGE)
        known = np.log(known / (1 - known))
        design = np.array([[log_odds_of(verdict), 1.0] for verdict in verdicts])
        is_yes = verdicts >= RIGHT
        if len(said) < MIN_VERDICTS or min(is_yes.sum(), (~is_yes).sum()) < _MIN_SAID or np.ptp(labels) == 0:
            continue
        chance = _out_of_fold(design, labels, known, folds[rows])
        is_right = (labels >= RIGHT).astype(np.float64)
        worth.append(
            SignalWorth(
                name=f"judge {judge}",
                share=len(said) / n_graded,
                auroc=auroc(chance, is_right),
                auroc_without=auroc(sigmoid(known), is_right),
            )
        )
        weights = fit_logistic(design, labels, _PENALTIES, offset=known)
        odds = np.exp(design @ weights)
        hits = _hits(float(np.exp(np.log(odds[is_yes]).mean())), float(np.exp(np.log(odds[~is_yes]).mean())))
        if hits is not None and np.mean((chance - labels) ** 2) < np.mean((sigmoid(known) - labels) ** 2):
            paid = costs[np.isfinite(costs)]
            found.append((judge, weights, hits, float(paid.mean()) if len(paid) else math.nan))
    if not found:
        return None, tuple(worth)
    judges, weights_of, hits_of, mean_costs = zip(*found, strict=True)
    return (
        Jury(
            judges=judges,
            weights=np.stack(weights_of),
            hits=np.array(hits_of),
            mean_cost_usd=np.array(mean_costs),
        ),
        tuple(worth),
    )


def _out_of_fold(design: FloatArray, labels: FloatArray, known: FloatArray, folds: IntArray) -> FloatArray:
    """Returns P(right) of each answer after its verdict, by fits that did not see it."""
    chance = sigmoid(known)
    for fold in np.unique(folds):
        inside, outside = folds != fold, folds == fold
        if inside.any():
            weights = fit_logistic(design[inside], labels[inside], _PENALTIES, offset=known[inside])
            chance[outside] = sigmoid(design[outside] @ weights + known[outside])
    return chance


def _hits(yes: float, no: float) -> tuple[float, float] | None:
    """Returns P(yes) of a right answer and of a wrong one, where yes and no multiply the odds by these; None where a
    yes is no good news or a no no bad news.
    """
    if not yes > 1 > no:
        return None
    of_wrong = (1 - no) / (yes - no)
    return yes * of_wrong, of_wrong
