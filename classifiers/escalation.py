"""What is known about asking again: how errors go together, how often wrong answers agree, how much looking tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from .latent import COLLISION, LOADING, fit_latent, fit_overlap

if TYPE_CHECKING:
    from .handover import HandOver
    from .meaning import Meaning
    from .ridge import FloatArray
    from .sparse import IntArray
    from .verdict import Jury

NO_ANSWER = -1  # in `answers`: none that could be compared

_MIN_SEEN = 20  # graded answers, or pairs of right ones, below which nothing is said of them
_MIN_SAME = 0.8  # share of the pairs of right answers that must be the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Learned from the training traces, out of fold.

    `loading[a]` is how strongly a's success hangs on the hidden difficulty that all share (see `latent`); `collision`
    are intercept and slope, in the difficulty, of the log-odds that two wrong answers are the same; `comparable` is the
    share of the queries whose answers come to something that can be compared. `power[a]` in [0, 1] is the share of the
    variance left by the estimate that confidence in a's answer explains: 0 where looking at the answer tells nothing.
    `overlap` in [0, 1] is how much of what is seen in several answers is the same (see `shared_evidence`). `meaning`
    tells whether answers in words mean the same, None where that was not learned.
    """

    loading: FloatArray  # (n_backends,)
    power: FloatArray  # (n_backends,)
    collision: FloatArray  # (2,)
    comparable: float
    overlap: float
    handover: HandOver | None = None  # what comes of having an answer checked; None: no trace tells
    meaning: Meaning | None = None
    jury: Jury | None = None  # what judges tell of answers; None: no trace says

    @property
    def can_compare(self) -> bool:
        """Whether answers may be held against each other."""
        return self.comparable > 0 or self.meaning is not None

    def take(self, places: IntArray | list[int]) -> Escalation:
        """Returns what is known of the backends at these places, -1 standing for one of which nothing is."""
        chosen = np.asarray(places, dtype=np.int64)
        loading, power = np.full(len(chosen), LOADING), np.zeros(len(chosen))
        is_known = chosen >= 0
        loading[is_known], power[is_known] = self.loading[chosen[is_known]], self.power[chosen[is_known]]
        return replace(self, loading=loading, power=power)


def no_escalation(n_backends: int) -> Escalation:
    """Returns what is believed where nothing was learned: answers can neither be judged nor compared."""
    return Escalation(
        loading=np.full(n_backends, LOADING),
        power=np.zeros(n_backends),
        collision=np.array(COLLISION),
        comparable=0.0,
        overlap=0.0,
    )


def fit_escalation(
    quality: FloatArray, estimates: FloatArray, confidences: FloatArray, answers: IntArray | None = None
) -> Escalation:
    """Returns what matrices (n_queries, n_backends) teach: observed scores, estimates, confidences, NaN = unknown.

    Equal numbers in a row of `answers` stand for the same final answer, NO_ANSWER for one that cannot be compared.
    """
    if answers is None:
        answers = np.full(quality.shape, NO_ANSWER, dtype=np.int64)
    loading, collision = fit_latent(quality, estimates, answers)
    power = [_power(*columns) for columns in zip(quality.T, estimates.T, confidences.T, strict=True)]
    return Escalation(
        loading=loading,
        power=np.array(power),
        collision=collision,
        comparable=_comparable(quality, answers),
        overlap=fit_overlap(quality, estimates, confidences, loading),
    )


def _power(scores: FloatArray, estimates: FloatArray, confidences: FloatArray) -> float:
    """Returns the share of the squared error of the estimates that the confidences do away with."""
    seen = np.isfinite(confidences) & np.isfinite(scores) & np.isfinite(estimates)
    if seen.sum() < _MIN_SEEN:
        return 0.0
    before = float(np.mean((scores[seen] - estimates[seen]) ** 2))
    after = float(np.mean((scores[seen] - confidences[seen]) ** 2))
    return min(max(1 - after / before, 0.0), 1.0) if before > 1e-9 else 0.0


def _comparable(quality: FloatArray, answers: IntArray) -> float:
    """Returns the share of the queries where at least half of the graded answers can be compared.

    0 where right answers turn out not to be the same, as those to questions without one short answer.
    """
    has_answer = answers != NO_ANSWER
    is_right = (quality >= 0.5) & has_answer
    n_same = n_pairs = 0
    for column in range(1, quality.shape[1]):
        both = is_right[:, :column] & is_right[:, column, None]
        n_pairs += int(both.sum())
        n_same += int((both & (answers[:, :column] == answers[:, column, None])).sum())
    if n_pairs < _MIN_SEEN or n_same < _MIN_SAME * n_pairs:
        return 0.0
    is_graded = np.isfinite(quality)
    n_graded = is_graded.sum(axis=1)
    n_comparable = (has_answer & is_graded).sum(axis=1)
    return float(np.mean(2 * n_comparable[n_graded > 0] >= n_graded[n_graded > 0]))
