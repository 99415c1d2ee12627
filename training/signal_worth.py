"""What each signal adds to confidence."""

from __future__ import annotations

import numpy as np

from ..classifiers import fit_confidence, signal_names
from .evaluation import FloatArray, IntArray, SignalWorth
from .probability_metrics import auroc

_MAX_CALLS = 3000  # graded answers; more would take long and tell the same


def signal_worth(
    *,
    values: FloatArray,
    estimates: FloatArray,
    labels: FloatArray,
    backend_of: IntArray,
    folds: IntArray,
    backends: tuple[str, ...],
) -> tuple[SignalWorth, ...]:
    """Returns, for every signal that applies to some answer, AUROC out of fold with it and with it left out.

    Arguments as of `fit_confidence`. Signals that see the same stand in for each other, so that all may be worth little
    each and much together.
    """
    step = max(-(-len(labels) // _MAX_CALLS), 1)
    values, estimates, labels = values[::step], estimates[::step], labels[::step]
    backend_of, folds = backend_of[::step], folds[::step]
    is_right = (labels >= 0.5).astype(np.float64)
    if np.ptp(is_right) == 0:
        return ()

    def rank(kept: FloatArray) -> float:
        _, confidences = fit_confidence(
            values=kept, estimates=estimates, labels=labels, backend_of=backend_of, folds=folds, backends=backends
        )
        return auroc(confidences, is_right)

    owners = np.array([name.partition(".")[0] for name in signal_names()])
    with_all = rank(values)
    found = []
    for name in dict.fromkeys(owners.tolist()):
        is_own = owners == name
        share = float(np.isfinite(values[:, is_own]).any(axis=1).mean())
        if share > 0:
            without = rank(np.where(is_own, np.nan, values))
            found.append(SignalWorth(name=name, share=share, auroc=with_all, auroc_without=without))
    return tuple(found)
