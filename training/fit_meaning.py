"""What graded answers in words teach of whether two of them mean the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..classifiers.latent import COLLISION, fit_collision_rate
from ..classifiers.logistic import fit_logistic, sigmoid
from ..classifiers.meaning import LIKENESS, InWords, Meaning, likeness
from .dataset import RIGHT, Dataset
from .evaluation import FloatArray, IntArray

ReadWords = Callable[[str, str], InWords | None]  # (question, answer) -> what it says in words

_MAX_QUERIES = 1000  # more teach these few numbers nothing new
_MIN_PAIRS = 30  # of either kind, below which nothing is learned
_MIN_POWER = 0.02  # of likeness, below which it is not listened to
_PENALTY = 2.0


def fit_agreement(
    dataset: Dataset, folds: IntArray, read_words: ReadWords, *, is_compared: NDArray[np.bool_]
) -> Meaning | None:
    """Returns what was learned, None where nothing was.

    `is_compared`, (n_queries, n_backends), says which answers are compared by their final answer: they are left out.
    """
    is_wanted = np.isfinite(dataset.quality) & ~is_compared
    in_words = np.flatnonzero(is_wanted.sum(axis=1) > 1)
    step = max(-(-len(in_words) // _MAX_QUERIES), 1)
    questions = dataset.texts
    alike, n_right, fold_of = [], [], []
    for row in in_words[::step].tolist():
        said = []
        for column in np.flatnonzero(is_wanted[row]).tolist():
            completion, score = dataset.completion(row, column), dataset.completion_score(row, column)
            words = read_words(questions[row], completion.text) if completion is not None else None
            if words is not None:
                said.append((words, score >= RIGHT))
        for (one, is_right), (other, is_other_right) in combinations(said, 2):
            alike.append(likeness(one, other))
            n_right.append(is_right + is_other_right)
            fold_of.append(folds[row])
    if not alike:
        return None
    return fit_meaning(np.array(alike), np.array(n_right), np.array(fold_of))


def fit_meaning(alike: FloatArray, n_right: IntArray, folds: IntArray) -> Meaning | None:
    """Returns what pairs of answers teach, None where they are too few or likeness tells nothing.

    A row a pair: `alike` (n, 5) as `likeness` gives it, `n_right` (n,) how many of the two are right, `folds` (n,).
    """
    is_telling = n_right > 0
    same = (n_right[is_telling] == 2).astype(np.float64)
    if min(same.sum(), (1 - same).sum()) < _MIN_PAIRS:
        return None
    seen = alike[is_telling]
    mean, spread = seen.mean(axis=0), seen.std(axis=0)
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    features = np.column_stack([(seen - mean) * scale, np.ones(len(seen))])
    chance = np.full(len(seen), same.mean())
    for fold in np.unique(folds[is_telling]):
        outside = folds[is_telling] == fold
        if np.ptp(same[~outside]) > 0:
            chance[outside] = sigmoid(features[outside] @ _fit(features[~outside], same[~outside]))
    power = float(1 - np.mean((chance - same) ** 2) / same.var())
    if power < _MIN_POWER:
        return None
    weights = _fit(features, same)
    share = same.mean()
    learned = Meaning(
        mean=mean,
        scale=scale,
        weights=weights[:-1],
        intercept=float(weights[-1] - np.log(share / (1 - share))),
        power=min(power, 1.0),
        collision=np.array(COLLISION),
    )
    return replace(learned, collision=fit_collision_rate(learned.log_odds(alike[~is_telling])))


def _fit(features: FloatArray, same: FloatArray) -> FloatArray:
    return fit_logistic(features, same, np.append(np.full(len(LIKENESS), _PENALTY), 1e-3))
