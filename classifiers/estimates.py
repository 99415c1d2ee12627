"""What is expected of every backend before any call."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ridge import FloatArray

UNFAMILIAR = 0.02  # of the queries that are like the training queries, this share is called unfamiliar


@dataclass(frozen=True, slots=True, kw_only=True)
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
    familiarity: float = math.nan  # in (0, 1], see `Neighbours`; NaN: there is nothing to compare with
    mean_quality: FloatArray | None = None  # (n_backends,) what is expected of an average query

    @property
    def is_unfamiliar(self) -> bool:
        """Whether the query is so unlike the training queries that the estimates say little."""
        return self.familiarity < UNFAMILIAR
