"""What each model's efforts are worth, and how far its estimates are drawn towards a curve that never falls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..classifiers.calibration import Calibration, no_calibration
from ..classifiers.efforts import EffortCurves, effort_of, models_of, never_falling
from ..classifiers.heads import Predictor
from ..classifiers.prior import EFFORT_TOKENS
from .candidates import Candidate
from .dataset import Dataset
from .evaluation import Effort, EffortCurve, FloatArray

_BELIEF = 1.0  # in squared differences: that longer thinking helps, against what 100 estimates 0.1 apart say


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped:
    """A chosen classifier, its estimates shaped by what is known of efforts."""

    predictor: Predictor
    calibration: Calibration
    quality: FloatArray  # (n_queries, n_backends) out of fold
    curves: tuple[EffortCurve, ...]  # a model that has several efforts


def fit_efforts(dataset: Dataset, chosen: Candidate) -> Shaped:
    """Returns the chosen classifier, with the efforts of each model drawn towards a curve as far as that pays.

    How far is the weight of least squares on the out-of-fold estimates, starting from all the way.
    """
    quality = chosen.quality.copy()
    columns, n_labels, weights, curves = [], [], [], []
    for model, found in models_of(dataset.backends).items():
        if len(found) < 2:
            continue
        ordered = _by_budget(dataset, np.array(found))
        labels = np.isfinite(dataset.quality[:, ordered]).sum(axis=0).astype(float)
        own = quality[:, ordered]
        weight = _weight(never_falling(own, labels) - own, dataset.quality[:, ordered] - own)
        columns.append(ordered)
        n_labels.append(labels)
        weights.append(weight)
        efforts = tuple(_effort(dataset, int(column)) for column in ordered)
        curves.append(EffortCurve(model=model, efforts=efforts, weight=weight))
    if not curves:
        return Shaped(predictor=chosen.head.predictor_, calibration=chosen.calibration, quality=quality, curves=())
    predictor = EffortCurves(
        others=chosen.head.predictor_,
        calibration=chosen.calibration,
        columns=tuple(columns),
        n_labels=tuple(n_labels),
        weights=np.array(weights),
    )
    return Shaped(
        predictor=predictor,
        calibration=no_calibration(dataset.n_backends),
        quality=predictor.draw(quality),
        curves=tuple(curves),
    )


def _by_budget(dataset: Dataset, columns: np.ndarray) -> np.ndarray:
    """Returns the columns of one model from the least mean budget to the greatest: tokens, or what it cost; where that
    is the same, as when all are free, by what their names stand for."""
    efforts = [_effort(dataset, int(column)) for column in columns]
    tokens = np.array([effort.output_tokens for effort in efforts])
    cost = np.array([effort.cost_usd for effort in efforts])
    names = [effort_of(effort.backend) for effort in efforts]
    usual = [EFFORT_TOKENS.get(name, np.inf) for name in names]
    return columns[np.lexsort(np.stack([usual, tokens if np.isfinite(tokens).all() else cost]))]


def _weight(pull: FloatArray, wanted: FloatArray) -> float:
    """Returns which share of the pull, (n_queries, n_efforts), brings estimates nearest to the labels."""
    seen = np.isfinite(wanted)
    pull, wanted = pull[seen], wanted[seen]
    return float(np.clip((pull @ wanted + _BELIEF) / (pull @ pull + _BELIEF), 0.0, 1.0))


def _effort(dataset: Dataset, column: int) -> Effort:
    seen = np.isfinite(dataset.quality[:, column])

    def mean(values: FloatArray) -> float:
        known = values[seen, column][np.isfinite(values[seen, column])]
        return float(known.mean()) if len(known) else float("nan")

    return Effort(
        backend=dataset.backends[column],
        n_labels=int(seen.sum()),
        output_tokens=mean(dataset.output_tokens),
        reasoning_tokens=mean(dataset.reasoning_tokens),
        cost_usd=mean(dataset.cost_usd),
        quality=mean(dataset.quality),
    )
