"""What the beginnings of recorded answers teach: when one may be passed on before its end, and when given up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..classifiers import fit_confidence, read_signals
from ..classifiers.early import CHECKPOINTS, EarlyConfidence, beginning
from ..classifiers.families import numbers_of
from ..classifiers.sample import sample
from ..classifiers.signals import EARLY
from ..classifiers.telling import counting
from .dataset import Dataset
from .evaluation import FloatArray, IntArray
from .risk import reject_in_turn

RELEASE_RISK = 0.05  # share of the held answers that are passed on and would have been replaced
GIVE_UP_RISK = 0.01  # share of the held answers that are broken off and would have been right
_ALPHA = 0.05  # chance that the queries learned from mislead about either
_MIN_BEGINNINGS = 100  # of one length
_MOST_CALLS = 3000  # that beginnings are read of
_NEEDED = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98)
_LADDER = np.arange(6.0, -6.0, -0.1)  # log-odds of the thresholds to test, from high to low


def fit_early(
    dataset: Dataset, estimates: FloatArray, confidences: FloatArray, folds: IntArray, families: Sequence[str]
) -> EarlyConfidence | None:
    """Returns the confidence in beginnings and its thresholds; None where too few answers are long enough.

    `estimates` and `confidences` are out of fold, (n_queries, n_backends). `families` names for each query the twins
    that it belongs to.

    Beginnings are judged out of fold too. Thresholds are tested from the one that nothing reaches on, see `risk`; those
    of releasing for every confidence that may be needed, at a share of the chance each.
    """
    cells = np.argwhere(np.isfinite(confidences))
    cells = cells[sample(len(cells), _MOST_CALLS)]
    answers = [dataset.completion(row, column) for row, column in cells.tolist()]
    n_signs = np.array([len(answer.text) if answer else 0 for answer in answers])
    rows, columns = cells[:, 0], cells[:, 1]
    scores = np.array([dataset.completion_score(row, column) for row, column in cells.tolist()])
    lengths, models, told = [], [], []
    for length in counting(CHECKPOINTS, "beginnings of length"):
        reach = np.flatnonzero(n_signs > length)
        if len(reach) < _MIN_BEGINNINGS or np.ptp(scores[reach]) < 1e-9:
            continue
        begun = [beginning(answer, length) for place in reach.tolist() if (answer := answers[place]) is not None]
        queries = [dataset.queries[row] for row in rows[reach]]
        model, early = fit_confidence(
            values=np.stack([read_signals(query, answer, EARLY) for query, answer in zip(queries, begun, strict=True)]),
            estimates=estimates[rows[reach], columns[reach]],
            labels=scores[reach],
            backend_of=columns[reach],
            folds=folds[rows[reach]],
            backends=dataset.backends,
            kinds=EARLY,
        )
        lengths.append(length)
        models.append(model)
        told.append(np.full(len(cells), np.nan))
        told[-1][reach] = early
    if not models:
        return None
    by_family = _ByFamily([families[row] for row in rows.tolist()])
    so_far = np.stack(told)  # (n_lengths, n_calls), NaN: the answer is shorter
    known = np.isfinite(so_far)
    highest = np.where(known, so_far, -np.inf).max(axis=0)
    lowest = np.where(known, so_far, np.inf).min(axis=0)
    ladder = 1 / (1 + np.exp(-_LADDER))
    release = []
    for needed in _NEEDED:
        is_replaced = (confidences[rows, columns] < needed).astype(np.float64)
        losses = (by_family.mean((highest >= threshold) * is_replaced) for threshold in ladder)
        n_passed, _ = reject_in_turn(losses, margin=RELEASE_RISK, risk=_ALPHA / len(_NEEDED))
        release.append(float(ladder[n_passed - 1]) if n_passed else np.inf)
    losses = (by_family.mean((lowest <= threshold) * scores) for threshold in ladder[::-1])
    n_passed, _ = reject_in_turn(losses, margin=GIVE_UP_RISK, risk=_ALPHA)
    return EarlyConfidence(
        lengths=tuple(lengths),
        models=tuple(models),
        needed=np.array(_NEEDED),
        release=np.array(release),
        give_up=float(ladder[::-1][n_passed - 1]) if n_passed else 0.0,
        release_risk=RELEASE_RISK,
        give_up_risk=GIVE_UP_RISK,
    )


class _ByFamily:
    """Calls that belong together: queries that are twins, and answers to one query, are no independent evidence."""

    def __init__(self, families: Sequence[str]) -> None:
        self._numbers = numbers_of(families)
        self._sizes = np.bincount(self._numbers)

    def mean(self, losses: FloatArray) -> FloatArray:
        """Returns the mean loss of each family, (n_families,)."""
        return np.bincount(self._numbers, weights=losses) / self._sizes
