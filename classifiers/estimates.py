"""What is expected of every backend before any call."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from ..backends.quick import maker, quick

if TYPE_CHECKING:
    from .ridge import FloatArray

UNFAMILIAR = 0.02  # of the queries that are like the training queries, this share is called unfamiliar
HowFamiliar = Callable[[], float]
_NOTHING_TO_COMPARE_WITH = partial(float, math.nan)


class Once:
    """What a function returns, worked out at the first call and kept; for every query, so without `functools.cache`,
    which takes ten times as long to make."""

    __slots__ = ("_found", "_work")

    def __init__(self, work: HowFamiliar) -> None:
        self._work = work
        self._found: float | None = None

    def __call__(self) -> float:
        """Returns it."""
        if self._found is None:
            self._found = self._work()
        return self._found


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimates:
    """Calibrated estimates for one query, a column a backend; NaN where nothing is known."""

    backends: tuple[str, ...]
    quality: FloatArray  # (n_backends,) P(correct)
    cost_usd: FloatArray  # (n_backends,)
    output_tokens: FloatArray  # (n_backends,) reasoning included
    latency_s: FloatArray  # (n_backends,)
    difficulty: float  # in [0, 1], of the query alone: the chance that a backend of average ability fails it
    input_tokens: int  # by the static encoder's tokenizer
    source: str  # "trained", "cold start", or "asked for by name": then only cost is known
    mean_quality: FloatArray | None = None  # (n_backends,) what is expected of an average query
    # (2, n_backends) nine calls in ten stay below so many times the expected cost and latency; NaN, or None: not known
    tails: FloatArray | None = None
    # Works `familiarity` out where it is asked for: few do, and all training queries have to be looked at.
    how_familiar: HowFamiliar = field(default=_NOTHING_TO_COMPARE_WITH, repr=False, compare=False)

    def high_cost_usd(self, place: int) -> float:
        """Returns what nine in ten such calls of a backend cost at most; where that is not known, what is expected."""
        return float(self.cost_usd[place]) * self._tail(0, place)

    def high_latency_s(self, place: int) -> float:
        """Returns how long nine in ten such calls of a backend take at most, or what is expected."""
        return float(self.latency_s[place]) * self._tail(1, place)

    def _tail(self, row: int, place: int) -> float:
        tail = 1.0 if self.tails is None else float(self.tails[row, place])
        return tail if tail > 1.0 else 1.0  # NaN is not

    @property
    def familiarity(self) -> float:
        """How like the training queries it is, in (0, 1], see `Neighbours`; NaN: there is nothing to compare with."""
        return self.how_familiar()

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the query is so unlike the training queries that the estimates say little."""
        return self.familiarity < UNFAMILIAR


make_estimates = maker(Estimates)
