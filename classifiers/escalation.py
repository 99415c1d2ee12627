"""What is known about asking again: how errors go together, how often wrong answers agree, how much looking tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .latent import COLLISION, LOADING, fit_latent, fit_overlap

if TYPE_CHECKING:
    from .handover import HandOver
    from .meaning import Meaning
    from .ridge import FloatArray
    from .sparse import IntArray
    from .verdict import Jury

NO_ANSWER = -1  # in `answers`: none that could be compared
_LOADING_UNKNOWN, _OVERLAP_UNKNOWN = 2.5, 0.5  # as found in public sets by estimates that saw nothing of them
UNPLANNED = 1e-9  # a power at which answers are listened to, and no call is planned on what they may look like

_MIN_SEEN = 20  # graded answers, or pairs of right ones, below which nothing is said of them
_MIN_SAME = 0.8  # share of the pairs of right answers that must be the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Learned from the training traces, out of fold.

    `loading[a]` is how strongly a's success hangs on the hidden difficulty that all share (see `latent`); `collision`
    are intercept and slope, in the difficulty, of the log-odds that two wrong answers are the same; `comparable` is the
    share of the queries whose answers come to something that can be compared. `power[a]` in [0, 1] is the share of the
    variance left by the estimate that confidence in a's answer explains: 0 where looking at the answer tells nothing;
    `power_workable` is the same for queries whose right answer can be worked out (see `workable`), where looking tells
    almost all, and `power` then that of the others. None: that makes no difference that is known.
    `overlap` in [0, 1] is how much of what is seen in several answers is the same (see `shared_evidence`). `meaning`
    tells whether answers in words mean the same, None where that was not learned.
    """

    loading: FloatArray  # (n_backends,)
    power: FloatArray  # (n_backends,)
    collision: FloatArray  # (2,)
    comparable: float
    overlap: float
    power_workable: FloatArray | None = None  # (n_backends,)
    handover: HandOver | None = None  # what comes of having an answer checked; None: no trace tells
    meaning: Meaning | None = None
    jury: Jury | None = None  # what judges tell of answers; None: no trace says

    @property
    def can_compare(self) -> bool:
        """Whether answers may be held against each other."""
        return self.comparable > 0 or self.meaning is not None

    @property
    def is_planned(self) -> bool:
        """Whether calls are planned on what answers may look like."""
        return bool((self.power > UNPLANNED).any())

    @property
    def is_by_public_answers(self) -> bool:
        """Whether answers are judged by what public ones show: nothing is planned on that."""
        return bool(self.power.any()) and not self.is_planned

    def take(self, places: IntArray | list[int]) -> Escalation:
        """Returns what is known of the backends at these places, -1 standing for one of which nothing is."""
        chosen = np.asarray(places, dtype=np.int64)
        loading, power = np.full(len(chosen), LOADING), np.zeros(len(chosen))
        is_known = chosen >= 0
        loading[is_known], power[is_known] = self.loading[chosen[is_known]], self.power[chosen[is_known]]
        workable = self.power_workable
        if workable is not None:
            workable, learned = np.zeros(len(chosen)), workable
            workable[is_known] = learned[chosen[is_known]]
        return replace(self, loading=loading, power=power, power_workable=workable)

    def if_blind(self) -> Escalation:
        """Returns what is known where answers cannot be judged."""
        return replace(self, power=np.zeros(len(self.power)), power_workable=None)

    def if_workable(self) -> Escalation:
        """Returns what is known where the right answer to the query can be worked out."""
        return self if self.power_workable is None else replace(self, power=self.power_workable, power_workable=None)


def no_escalation(n_backends: int) -> Escalation:
    """Returns what is believed where nothing was learned: answers can neither be judged nor compared."""
    return Escalation(
        loading=np.full(n_backends, LOADING),
        power=np.zeros(n_backends),
        collision=np.array(COLLISION),
        comparable=0.0,
        overlap=0.0,
    )


def unplanned(known: Escalation) -> Escalation:
    """Returns what is known where answers are judged by what public ones show, and nothing is planned on that: the
    first call is the one that would be made anyway. To try a backend whose answer may be found wanting pays only where
    what looking tells was learned.
    """
    power = np.full(len(known.power), UNPLANNED)
    return replace(known, power=power, power_workable=None, overlap=_OVERLAP_UNKNOWN)


def unplanned_escalation(n_backends: int) -> Escalation:
    """Returns what is believed at the cold start: `unplanned`, and errors go together more than elsewhere, as it is not
    even known how hard the queries are as a whole.
    """
    return replace(unplanned(no_escalation(n_backends)), loading=np.full(n_backends, _LOADING_UNKNOWN))


def fit_escalation(
    quality: FloatArray,
    estimates: FloatArray,
    confidences: FloatArray,
    answers: IntArray | None = None,
    is_workable: NDArray[np.bool_] | None = None,
) -> Escalation:
    """Returns what matrices (n_queries, n_backends) teach: observed scores, estimates, confidences, NaN = unknown.

    Equal numbers in a row of `answers` stand for the same final answer, NO_ANSWER for one that cannot be compared.
    `is_workable` (n_queries,) tells of which queries the right answer can be worked out.
    """
    if answers is None:
        answers = np.full(quality.shape, NO_ANSWER, dtype=np.int64)
    loading, collision = fit_latent(quality, estimates, answers)
    power, power_workable = _powers(quality, estimates, confidences), None
    if is_workable is not None and min(is_workable.sum(), (~is_workable).sum()) >= _MIN_SEEN:
        power, power_workable = (
            _powers(quality[rows], estimates[rows], confidences[rows], otherwise=power)
            for rows in (~is_workable, is_workable)
        )
    return Escalation(
        loading=loading,
        power=power,
        power_workable=power_workable,
        collision=collision,
        comparable=_comparable(quality, answers),
        overlap=fit_overlap(quality, estimates, confidences, loading),
    )


def _powers(
    scores: FloatArray, estimates: FloatArray, confidences: FloatArray, otherwise: FloatArray | float = 0.0
) -> FloatArray:
    """Returns of each backend the share of the squared error of the estimates that the confidences do away with,
    (n_backends,); `otherwise` where too few answers were seen.
    """
    seen = np.isfinite(confidences) & np.isfinite(scores) & np.isfinite(estimates)
    before, after = (np.where(seen, (scores - chance) ** 2, 0.0).sum(axis=0) for chance in (estimates, confidences))
    left = np.divide(after, before, out=np.ones_like(after), where=before > 1e-9 * seen.sum(axis=0))
    return np.where(seen.sum(axis=0) < _MIN_SEEN, otherwise, np.clip(1 - left, 0.0, 1.0))


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
