"""Public answers in, the public confidence out: one logistic model over all sets, by penalised likelihood.

Each backend in each set has a level of its own, which is thrown away: what is learned is what tells a right answer from
a wrong one of the same backend, and not which backends write in which manner.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...classifiers import PriorModel, read_signals, signal_names
from ...classifiers.confidence import signal_scales
from ...classifiers.glance import CLIP
from ...classifiers.logistic import fit_logistic
from ...classifiers.public_confidence import PUBLIC_SIGNALS, PublicConfidence, is_judged
from ...classifiers.public_prior import PublicPrior
from ..dataset import Dataset
from ..evaluation import FloatArray, IntArray
from .models import spec_of

# Chosen by judging the answers of sets that were left out; five times as much tells the same.
_PENALTY = 20.0
_LEVEL_PENALTY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAnswers:
    """Graded answers of public backends, those of a kind that is judged; a row an answer."""

    values: FloatArray  # (n_answers, n_public_signals) NaN where one does not apply
    estimates: FloatArray  # (n_answers,) P(correct) as expected before the call
    labels: FloatArray  # (n_answers,) scores in [0, 1]
    backend_of: IntArray  # (n_answers,)


def public_answers(dataset: Dataset, name: str, prior: PublicPrior) -> PublicAnswers:
    """Returns the answers of a set of that name, with what the prior expected of them."""
    specs = tuple(spec_of(backend, name) for backend in dataset.backends)
    kinds = tuple(dict.fromkeys(signal.partition(".")[0] for signal in PUBLIC_SIGNALS))
    names = signal_names(kinds)
    columns = [names.index(signal) for signal in PUBLIC_SIGNALS]
    values, expected, labels, owners = [], [], [], []
    for row, estimates in enumerate(PriorModel(specs=specs, prior=prior).estimate_all(dataset.texts)):
        query = dataset.queries[row]
        for place in range(dataset.n_backends):
            completion, score = dataset.completion(row, place), dataset.completion_score(row, place)
            if completion is None or np.isnan(score) or not is_judged(query, completion):
                continue
            values.append(read_signals(query, completion, kinds)[columns])
            expected.append(estimates.quality[place])
            labels.append(score)
            owners.append(place)
    return PublicAnswers(
        values=np.array(values).reshape(-1, len(columns)),
        estimates=np.array(expected),
        labels=np.array(labels),
        backend_of=np.array(owners, dtype=np.int64),
    )


def fit_public_confidence(sets: Sequence[PublicAnswers]) -> PublicConfidence:
    """Returns the confidence that the sets teach."""
    values = np.concatenate([each.values for each in sets])
    mean, scale, _ = signal_scales(values)
    standard = np.clip(np.where(np.isfinite(values), (values - mean) * scale, 0), -CLIP, CLIP)
    levels = [(place, backend) for place, each in enumerate(sets) for backend in np.unique(each.backend_of)]
    column_of = {level: column for column, level in enumerate(levels)}
    owner = [column_of[place, backend] for place, each in enumerate(sets) for backend in each.backend_of]
    is_of = np.eye(len(levels))[owner]
    estimates = np.concatenate([each.estimates for each in sets])
    fitted = fit_logistic(
        np.concatenate([standard, is_of], axis=1),
        np.concatenate([each.labels for each in sets]),
        np.append(np.full(len(PUBLIC_SIGNALS), _PENALTY), np.full(len(levels), _LEVEL_PENALTY)),
        offset=np.log(estimates / (1 - estimates)),
    )
    return PublicConfidence(mean=mean, scale=scale, weights=fitted[: len(PUBLIC_SIGNALS)])
