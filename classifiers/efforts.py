"""Efforts of one model: longer thinking is expected to help, unless the labels say that it does not.

Of each query, the estimates of a model's efforts are drawn towards the curve that never falls with the budget and is
nearest to them, each effort weighing as much as it has labels. So an effort with few labels borrows from its siblings.
How far they are drawn is learned: not at all where thinking longer hurts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from .calibration import Calibration
from .features import Features, QueryFeatures
from .heads import Predictor
from .ridge import FloatArray
from .sparse import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortCurves:
    """The calibrated estimates of another predictor, with those of each model's efforts drawn towards a curve.

    All are probabilities already, so that nothing is left to calibrate.
    """

    others: Predictor
    calibration: Calibration  # of the others
    columns: tuple[IntArray, ...]  # a model: the columns of its efforts, from the least budget to the greatest
    n_labels: tuple[FloatArray, ...]  # a model: of each of these
    weights: FloatArray  # (n_models,) how far they are drawn: 0 not at all, 1 all the way
    _steps: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)  # the columns of two in a row

    def __post_init__(self) -> None:
        steps = [step for columns in self.columns for step in pairwise(columns.tolist())]
        object.__setattr__(self, "_steps", tuple(steps))

    def predict(self, features: Features) -> FloatArray:
        """Returns probabilities, (n_queries, n_backends)."""
        return self.draw(self.calibration.apply(self.others.predict(features)))

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the probabilities of one query, (n_backends,)."""
        quality = self.calibration.apply(self.others.predict_one(query))
        values = quality.tolist()
        never_falls = all(values[less] <= values[more] for less, more in self._steps)
        return quality if never_falls else self.draw(quality)

    def draw(self, quality: FloatArray) -> FloatArray:
        """Returns estimates, (..., n_backends), drawn towards the curves."""
        drawn = quality.copy()
        for columns, n_labels, weight in zip(self.columns, self.n_labels, self.weights, strict=True):
            own = quality[..., columns]
            drawn[..., columns] = own + weight * (never_falling(own, n_labels) - own)
        return drawn


def model_of(backend: str) -> str:
    """Returns the name of a backend without its effort: backends of one model and prompt style have it in common.

    >>> model_of("lrm~draft@low"), model_of("lrm@high#2"), model_of("small")
    ('lrm~draft', 'lrm#2', 'small')
    """
    name, _, draw = backend.partition("#")
    model = name.partition("@")[0]
    return f"{model}#{draw}" if draw else model


def effort_of(backend: str) -> str:
    """Returns the effort in the name of a backend, '' where it has none.

    >>> effort_of("lrm~draft@low"), effort_of("lrm@high#2"), effort_of("small")
    ('low', 'high', '')
    """
    return backend.partition("#")[0].partition("@")[2]


def models_of(backends: Sequence[str]) -> dict[str, list[int]]:
    """Returns the columns of the backends of each model."""
    columns: dict[str, list[int]] = {}
    for column, backend in enumerate(backends):
        columns.setdefault(model_of(backend), []).append(column)
    return columns


def never_falling(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the non-decreasing rows nearest to those of values, (..., k), by weighted least squares.

    Each is the greatest, over where to begin, of the least mean, over where to end, of a stretch around it (Robertson,
    Wright and Dykstra 1988, "Order restricted statistical inference", theorem 1.4.4).
    """
    if (values[..., 1:] >= values[..., :-1]).all():
        return values
    k = values.shape[-1]
    totals = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values * weights, axis=-1)], axis=-1)
    sizes = np.concatenate([[0.0], np.cumsum(weights)])
    out = np.full(values.shape, -np.inf)
    for begin in range(k):
        least = np.full(values.shape[:-1], np.inf)
        for end in range(k - 1, begin - 1, -1):
            mean = (totals[..., end + 1] - totals[..., begin]) / (sizes[end + 1] - sizes[begin])
            least = np.minimum(least, mean)
            out[..., end] = np.maximum(out[..., end], least)
    return out
