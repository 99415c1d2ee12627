"""What a confidence model says of one answer at a time, as requests that are under way ask it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from operator import mul
from typing import TYPE_CHECKING

import numpy as np

from ..backends import Completion, Query
from .signals import Signal, create_signals, values_of

if TYPE_CHECKING:
    from .boosting import TreeSum
    from .confidence import ConfidenceModel
    from .ridge import FloatArray

CLIP = 4.0  # standard deviations that a signal counts for at most
LEAST_ESTIMATE = 1e-3  # an estimate counts as at least this far from 0 and 1
LEAST_SCORE = 0.01  # and what the trees say as this far


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A logistic model and its trees over those signals that tell anything; the others are not even read.

    `ConfidenceModel.judge` does the same for many answers at once. Of one, arithmetic on plain numbers is quicker.
    """

    signals: tuple[Signal, ...]
    # Of each of their numbers: mean and scale, and what it counts that it is there, and that it is absent.
    scales: tuple[tuple[float, float, float, float], ...]
    weights: Mapping[str, tuple[float, ...]]  # by backend: of the estimate, the numbers, their absences; the constant
    shared: tuple[float, ...]  # the weights for any other backend
    trees: TreeSum | None

    def chance(self, query: Query, completion: Completion, *, backend: str, estimate: float, run_code: bool) -> float:
        """Returns P(correct), not yet calibrated."""
        inputs = [_log_odds(0.5 if math.isnan(estimate) else estimate, LEAST_ESTIMATE)]
        absences = []
        values = values_of(self.signals, query, completion, run_code=run_code)
        for value, (mean, scale, if_known, if_absent) in zip(values, self.scales, strict=True):
            if isfinite(value):
                size = (value - mean) * scale
                inputs.append(size if -CLIP < size < CLIP else CLIP if size > 0 else -CLIP)
                absences.append(if_known)
            else:
                inputs.append(0.0)
                absences.append(if_absent)
        inputs += absences
        weights = self.weights.get(backend, self.shared)
        logit = sum(map(mul, inputs, weights), weights[-1])
        if self.trees is not None:
            score = self.trees.predict_one(np.array(inputs, dtype=np.float32))[0]
            logit = (logit + _log_odds(float(score), LEAST_SCORE)) / 2
        return 0.5 * (1 + math.tanh(0.5 * logit))


def glance_of(model: ConfidenceModel) -> Glance:
    """Returns the model for one answer at a time."""
    n_numbers = len(model.signals)
    tells = (model.shared != 0) | (model.own != 0).any(axis=0)
    if model.trees is not None:
        tells[model.trees.columns] = True
    tells = tells[1 : n_numbers + 1] | tells[n_numbers + 1 : -1]
    kind_of = [name.partition(".")[0] for name in model.signals]
    kept_kinds = {kind for kind, is_telling in zip(kind_of, tells.tolist(), strict=True) if is_telling}
    kept = np.array([place for place, kind in enumerate(kind_of) if kind in kept_kinds], dtype=np.int64)
    columns = np.concatenate([[0], 1 + kept, 1 + n_numbers + kept, [2 * n_numbers + 1]])

    def brief(weights: FloatArray) -> tuple[float, ...]:
        return tuple(weights[columns].tolist())

    trees = model.trees
    if trees is not None:
        trees = replace(trees, columns=columns[:-1].searchsorted(trees.columns))
    scales = np.stack([model.mean, model.scale, model.absence], axis=1)[kept]
    return Glance(
        signals=tuple(create_signals()[kind] for kind in dict.fromkeys(kind_of) if kind in kept_kinds),
        scales=tuple((mean, scale, -absence, 1 - absence) for mean, scale, absence in scales.tolist()),
        weights={name: brief(model.shared + own) for name, own in zip(model.backends, model.own, strict=True)},
        shared=brief(model.shared),
        trees=trees,
    )


def _log_odds(chance: float, least: float) -> float:
    """Returns the log-odds of a chance that counts as at least this far from 0 and 1."""
    bounded = min(max(chance, least), 1 - least)
    return math.log(bounded / (1 - bounded))
