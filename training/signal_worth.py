"""What each signal adds to confidence."""

from __future__ import annotations

import numpy as np

from ..classifiers import ConfidenceModel, fit_confidence, signal_names
from ..classifiers.phrasing import Phrases
from ..classifiers.sample import sample
from ..classifiers.telling import counting
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
    phrases: Phrases = (),
) -> tuple[SignalWorth, ...]:
    """Returns, for every signal that applies to some answer, AUROC out of fold with it and with it left out.

    Arguments as of `fit_confidence`. Signals that see the same stand in for each other, so that all may be worth little
    each and much together. The phrasing of answers, where it pays, is added to all others.
    """
    rows = sample(len(labels), _MAX_CALLS)
    values, estimates, labels = values[rows], estimates[rows], labels[rows]
    backend_of, folds = backend_of[rows], folds[rows]
    is_right = (labels >= 0.5).astype(np.float64)
    if np.ptp(is_right) == 0:
        return ()

    def fit(kept: FloatArray, phrases: Phrases = ()) -> tuple[ConfidenceModel, float]:
        model, confidences = fit_confidence(
            values=kept,
            estimates=estimates,
            labels=labels,
            backend_of=backend_of,
            folds=folds,
            backends=backends,
            phrases=phrases,
        )
        return model, auroc(confidences, is_right)

    owners = np.array([name.partition(".")[0] for name in signal_names()])
    _, with_all = fit(values)
    found = []
    for name in counting(dict.fromkeys(owners.tolist()), "worth of signal"):
        is_own = owners == name
        share = float(np.isfinite(values[:, is_own]).any(axis=1).mean())
        if share > 0:
            _, without = fit(np.where(is_own, np.nan, values))
            found.append(SignalWorth(name=name, share=share, auroc=with_all, auroc_without=without))
    model, with_phrasing = fit(values, [phrases[row] for row in rows.tolist()] if len(phrases) else ())
    if model.phrasing is not None:
        found.append(SignalWorth(name="phrasing", share=1.0, auroc=with_phrasing, auroc_without=with_all))
    return tuple(found)
