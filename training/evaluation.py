"""The results of replaying a router over labelled traces, as values that metrics and the report read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .savings import Savings
    from .shift import ShiftedSlice

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One strategy over a sweep of trade-offs: what every query cost and scored at every point of it."""

    name: str  # "router", "cascade", "mean-score", ...
    labels: tuple[str, ...]  # n_points, for example "lam=20"
    cost_usd: FloatArray  # (n_points, n_queries)
    score: FloatArray  # (n_points, n_queries)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyOutcome:
    """One policy of models.yaml over every query."""

    policy: str
    backend: tuple[str, ...]  # n_queries, whose answer was returned
    cost_usd: FloatArray  # (n_queries,) of all calls
    score: FloatArray  # (n_queries,) of the answer returned
    n_calls: IntArray  # (n_queries,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidences:
    """Confidence after a call against what the answer turned out to be worth, one row a call."""

    backend: tuple[str, ...]  # n_calls
    confidence: FloatArray  # (n_calls,) P(correct)
    score: FloatArray  # (n_calls,)
    query: IntArray | None = None  # (n_calls,) row of the query asked, so that resampling keeps its calls together


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate that training tried, and how it did on validation."""

    name: str
    metric: str  # what `value` is, for example "validation AIQ"
    value: float
    low: float  # bounds of the 95 % bootstrap interval
    high: float
    fit_s: float
    is_chosen: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """One effort of a model, as the training traces have it: means over graded answers, NaN = not known."""

    backend: str
    n_labels: int
    output_tokens: float  # the budget: reasoning is part of it
    reasoning_tokens: float
    cost_usd: float
    quality: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortCurve:
    """What a model's efforts are worth."""

    model: str
    efforts: tuple[Effort, ...]  # from the least budget to the greatest
    weight: float  # how far estimates are drawn towards a curve that never falls: 0 not at all, 1 all the way


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalWorth:
    """What one signal adds to confidence: AUROC over the training answers, out of fold, with it and without."""

    name: str
    share: float  # of the answers that it says something of
    auroc: float  # with all signals
    auroc_without: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything the report shows about one router on one split of one set of traces."""

    title: str  # name of the data
    split: str  # "test", ...
    query_ids: tuple[str, ...]
    queries: tuple[str, ...]  # the text of each
    tasks: tuple[str, ...]  # "" where unknown
    backends: tuple[str, ...]
    quality: FloatArray  # (n_queries, n_backends) observed score, NaN = not observed
    cost_usd: FloatArray  # (n_queries, n_backends) observed, NaN = not observed
    estimated_quality: FloatArray  # (n_queries, n_backends)
    estimated_cost_usd: FloatArray  # (n_queries, n_backends)
    difficulty: FloatArray  # (n_queries,)
    curves: tuple[Curve, ...]  # the first one is the router as shipped
    policies: tuple[PolicyOutcome, ...]
    confidences: Confidences | None
    trials: tuple[Trial, ...]
    notes: tuple[str, ...]  # sentences: what was estimated, skipped, or could not be learned
    families: IntArray | None = None  # (n_queries,) equal numbers for twins, see `bootstrap`
    signals: tuple[SignalWorth, ...] = ()  # where the router was trained just now, as the next
    efforts: tuple[EffortCurve, ...] = ()
    shift: tuple[ShiftedSlice, ...] = ()  # where it was asked for
    savings: Savings | None = None  # where the traces are the log of a running router, with shadow calls
