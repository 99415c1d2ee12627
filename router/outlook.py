"""Everything a decision is made from, as one value: feasible backends and what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..classifiers.escalation import Escalation
from ..classifiers.final_answer import FinalAnswer

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The backends that may be asked and what is expected of each; a column a backend."""

    backends: tuple[str, ...]
    quality: FloatArray  # (n,) P(correct) before any call
    cost_usd: FloatArray  # (n,) expected, of one call
    escalation: Escalation  # of these backends: how their errors go together, how much looking at an answer tells
    max_calls: int
    budget_usd: float  # for all calls together; inf: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A call that was made: its place in the outlook, the confidence in its answer, what it came to, what it cost."""

    place: int
    confidence: float  # from this answer alone
    cost_usd: float
    answer: FinalAnswer | None = None  # None: it cannot be compared with others
    is_given_up: bool = False  # its answer was broken off, and tells by the confidence alone
