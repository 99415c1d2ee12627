"""Scores to calibrated probabilities, one map a backend, of a kind chosen out of fold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .constant import constant
from .errors import FitError
from .logistic import fit_logistic, sigmoid
from .ridge import FloatArray
from .sparse import IntArray

CLIP, PLATT, ISOTONIC = 0, 1, 2
_FLOOR = 1e-3  # no estimate is ever quite 0 or 1
_LEAST, _MOST = constant(_FLOOR, np.float64), constant(1 - _FLOOR, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Monotone maps from scores to probabilities, one a column.

    `clip` leaves the score as it is; `platt` is sigmoid(slope * score + intercept) (Platt 1999, "Probabilistic
    outputs for support vector machines"); `isotonic` is the best non-decreasing fit (Zadrozny and Elkan 2002),
    joined by straight lines between the middles of its steps, so that it ties no two scores it need not tie.
    """

    kind: int  # CLIP, PLATT or ISOTONIC
    slopes: FloatArray  # (n_columns,), for platt
    intercepts: FloatArray  # (n_columns,)
    knots: FloatArray  # (n_columns, n_knots) scores, for isotonic; NaN beyond the last
    levels: FloatArray  # (n_columns, n_knots) probabilities
    _curves: tuple[tuple[FloatArray, FloatArray], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lengths = np.isfinite(self.knots).sum(axis=1)
        curves = [(self.knots[i, :n], self.levels[i, :n]) for i, n in enumerate(lengths)]
        object.__setattr__(self, "_curves", tuple(curves))

    def apply(self, scores: FloatArray) -> FloatArray:
        """Returns probabilities of the same shape, (..., n_columns)."""
        out = scores
        if self.kind == PLATT:
            out = sigmoid(self.slopes * scores + self.intercepts)
        elif self.kind == ISOTONIC:
            out = np.empty_like(scores)
            for column, (knots, levels) in enumerate(self._curves):
                out[..., column] = np.interp(scores[..., column], knots, levels)
        return np.minimum(np.maximum(out, _LEAST), _MOST)


def no_calibration(n_columns: int) -> Calibration:
    """Returns the map of what are probabilities already."""
    nothing = np.full((n_columns, 0), np.nan)
    return Calibration(
        kind=CLIP, slopes=np.ones(n_columns), intercepts=np.zeros(n_columns), knots=nothing, levels=nothing
    )


def fit_calibration(scores: FloatArray, labels: FloatArray, folds: IntArray) -> tuple[Calibration, FloatArray]:
    """Returns the calibration and its out-of-fold probabilities, (n, n_columns).

    `scores` must be out of fold themselves; `labels` are soft, NaN = not observed. All columns get maps of one kind,
    since decisions compare them: the plainest one that no other beats in Brier score by two paired standard errors.

    Raises:
        FitError: the shapes differ, or a column has no label at all.
    """
    seen = np.isfinite(labels)
    if scores.shape != labels.shape or folds.shape != labels.shape[:1] or not seen.any(axis=0).all():
        raise FitError("calibration: expected scores and labels of one shape, with a label in every column")
    n_columns = scores.shape[1]
    candidates = [
        np.clip(scores, _FLOOR, 1 - _FLOOR),
        _cross_fit(_fitted_platt, scores, labels, folds),
        _cross_fit(_fitted_isotonic, scores, labels, folds),
    ]
    judged = seen.any(axis=1)
    kind = _choose([np.nanmean((candidate - labels)[judged] ** 2, axis=1) for candidate in candidates])
    slopes, intercepts = np.ones(n_columns), np.zeros(n_columns)
    curves: list[tuple[FloatArray, FloatArray]] = [(np.empty(0), np.empty(0))] * n_columns
    for column in range(n_columns):
        x, y = scores[seen[:, column], column], labels[seen[:, column], column]
        if kind == PLATT:
            slopes[column], intercepts[column] = fit_platt(x, y)
        elif kind == ISOTONIC:
            curves[column] = fit_isotonic(x, y)
    width = max(len(knots) for knots, _ in curves)
    padded = np.full((2, n_columns, width), np.nan)
    for column, (knots, levels) in enumerate(curves):
        padded[0, column, : len(knots)], padded[1, column, : len(levels)] = knots, levels
    calibration = Calibration(kind=kind, slopes=slopes, intercepts=intercepts, knots=padded[0], levels=padded[1])
    return calibration, candidates[kind]


def fit_platt(scores: FloatArray, labels: FloatArray) -> tuple[float, float]:
    """Returns slope (never negative) and intercept of the logistic calibration of soft labels."""
    spread = float(scores.std())
    shift = float(scores.mean())
    if spread < 1e-9:
        rate = np.clip(labels.mean(), _FLOOR, 1 - _FLOOR)
        return 0.0, float(np.log(rate / (1 - rate)))
    design = np.stack([(scores - shift) / spread, np.ones(len(scores))], axis=1)
    slope, intercept = fit_logistic(design, labels, np.array([0.1, 1e-3]))
    if slope < 0:
        rate = np.clip(labels.mean(), _FLOOR, 1 - _FLOOR)
        return 0.0, float(np.log(rate / (1 - rate)))
    return float(slope / spread), float(intercept - slope * shift / spread)


def fit_isotonic(scores: FloatArray, labels: FloatArray, *, max_knots: int = 64) -> tuple[FloatArray, FloatArray]:
    """Returns knots and levels of the non-decreasing least-squares fit, by pooling adjacent violators.

    Reference: Ayer et al. 1955, "An empirical distribution function for sampling with incomplete information".
    """
    order = np.argsort(scores, kind="stable")
    x, first = np.unique(scores[order], return_index=True)
    sizes = np.diff(np.append(first, len(scores))).astype(float)
    sums = np.add.reduceat(labels[order], first)
    blocks: list[list[float]] = []  # total of labels, count, total of scores
    for score, total, size in zip(x, sums, sizes, strict=True):
        blocks.append([float(total), float(size), float(score * size)])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            total_last, size_last, score_last = blocks.pop()
            blocks[-1][0] += total_last
            blocks[-1][1] += size_last
            blocks[-1][2] += score_last
    table = np.array(blocks)
    knots, levels = table[:, 2] / table[:, 1], table[:, 0] / table[:, 1]
    if len(knots) > max_knots:
        kept = np.unique(np.linspace(0, len(knots) - 1, max_knots).astype(int))
        knots, levels = knots[kept], levels[kept]
    return knots, levels


def _fitted_platt(x: FloatArray, y: FloatArray) -> Callable[[FloatArray], FloatArray]:
    slope, intercept = fit_platt(x, y)
    return lambda scores: sigmoid(slope * scores + intercept)


def _fitted_isotonic(x: FloatArray, y: FloatArray) -> Callable[[FloatArray], FloatArray]:
    knots, levels = fit_isotonic(x, y)
    return lambda scores: np.interp(scores, knots, levels)


def _cross_fit(
    fit: Callable[[FloatArray, FloatArray], Callable[[FloatArray], FloatArray]],
    scores: FloatArray,
    labels: FloatArray,
    folds: IntArray,
) -> FloatArray:
    """Returns what maps fitted on the other folds make of each score, (n, n_columns)."""
    out = scores.copy()
    for fold in np.unique(folds):
        outside = folds == fold
        for column in range(scores.shape[1]):
            inside = ~outside & np.isfinite(labels[:, column])
            if inside.any():
                out[outside, column] = fit(scores[inside, column], labels[inside, column])(scores[outside, column])
    return np.clip(out, _FLOOR, 1 - _FLOOR)


def _choose(losses: list[FloatArray]) -> int:
    """Returns the first loss, (n,), that no later one beats by more than two paired standard errors."""
    best = 0
    for candidate in range(1, len(losses)):
        gain = losses[best] - losses[candidate]
        if gain.mean() > 2 * gain.std() / np.sqrt(len(gain)):
            best = candidate
    return best
