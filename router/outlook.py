"""Everything a decision is made from, as one value: feasible backends and what is expected of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The backends that may be asked and what is expected of each; a column a backend."""

    backends: tuple[str, ...]
    quality: FloatArray  # (n,) P(correct) before any call
    cost_usd: FloatArray  # (n,) expected, of one call
    rescue: FloatArray  # (n, n) [a, b]: P(b right | a wrong) relative to `quality[b]`
    power: FloatArray  # (n,) share of the variance of correctness that confidence explains; 0: cannot be checked
    max_calls: int
    budget_usd: float  # for all calls together; inf: none


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A call that was made: its place in the outlook, the confidence in its answer, what it cost."""

    place: int
    confidence: float
    cost_usd: float


def can_check(outlook: Outlook, tried: tuple[Tried, ...]) -> bool:
    """Returns whether the confidence in any answer so far is more than what was expected before it was seen."""
    return any(outlook.power[call.place] > 0 for call in tried)
