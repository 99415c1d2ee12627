"""Signals that take long to read and tell nothing of these answers, so that no request waits for them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..classifiers import fit_confidence, signal_names
from ..classifiers.confidence import MIN_FOR_MORE, N_TREES
from ..classifiers.sample import sample
from .evaluation import FloatArray, IntArray

# Those that take 10 us of an answer and more, the slowest first. The others cost next to nothing, and some stand guard
# against what is rare: an answer cut short, a refusal, a broken schema.
COSTLY = ("asked", "reachable", "arithmetic", "final_number", "working", "units")
_MAX_CALLS = 5000  # graded answers; more would take long and tell the same


def idle_signals(
    *,
    values: FloatArray,
    estimates: FloatArray,
    labels: FloatArray,
    backend_of: IntArray,
    folds: IntArray,
    backends: tuple[str, ...],
) -> tuple[str, ...]:
    """Returns the costly signals without which confidence is as near to the scores, out of fold, in their order.

    One after the other is left out, and with it those before; arguments as of `fit_confidence`. The logistic part is
    asked first, which is quick, and where that can do without a signal, the whole. The phrasing stands in for none.
    """
    if len(labels) < MIN_FOR_MORE:
        return ()
    rows = sample(len(labels), _MAX_CALLS)
    read = values[rows]

    @cache
    def error(left_out: tuple[str, ...], n_trees: int) -> float:
        """Returns the mean squared error."""
        _, confidences = fit_confidence(
            values=np.where(columns_of(left_out), np.nan, read),
            estimates=estimates[rows],
            labels=labels[rows],
            backend_of=backend_of[rows],
            folds=folds[rows],
            backends=backends,
            n_trees=n_trees,
        )
        return float(np.mean((confidences - labels[rows]) ** 2))

    idle: tuple[str, ...] = ()
    for kind in COSTLY:
        fewer = (*idle, kind)
        does_apply = np.isfinite(read[:, columns_of((kind,))]).any()
        if does_apply and all(error(fewer, n_trees) <= error(idle, n_trees) for n_trees in (0, N_TREES)):
            idle = fewer
    return idle


def columns_of(kinds: Sequence[str]) -> NDArray[np.bool_]:
    """Returns which of the numbers that `read_signals` gives are of these kinds, (n_numbers,)."""
    return np.array([name.partition(".")[0] in kinds for name in signal_names()])
