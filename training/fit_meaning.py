"""What graded answers in words teach of whether two of them mean the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ..classifiers.latent import COLLISION, fit_collision_rate
from ..classifiers.logistic import fit_logistic, sigmoid
from ..classifiers.meaning import LIKENESS, InWords, Meaning, likeness
from ..classifiers.sample import sample
from .dataset import RIGHT, Dataset
from .evaluation import FloatArray, IntArray

ReadWords = Callable[[str, Sequence[str]], list[InWords | None]]  # (question, answers) -> what they say in words

_MAX_QUERIES = 1000  # more teach these few numbers nothing new
_MIN_PAIRS = 30  # of either kind, below which nothing is learned
_MIN_POWER = 0.02  # of likeness, below which it is not listened to
_PENALTY = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Pairs of graded answers to one question, a row a pair."""

    alike: FloatArray  # (n, 5) as `likeness` gives it
    n_right: IntArray  # (n,) how many of the two are right
    expected: FloatArray  # (n, 2) P(right) of either, by everything but likeness
    folds: IntArray  # (n,)

    def take(self, chosen: NDArray[np.bool_]) -> Pairs:
        """Returns the pairs where that is true."""
        return Pairs(
            alike=self.alike[chosen],
            n_right=self.n_right[chosen],
            expected=self.expected[chosen],
            folds=self.folds[chosen],
        )


def pairs_of(
    dataset: Dataset, expected: FloatArray, folds: IntArray, read_words: ReadWords, *, is_compared: NDArray[np.bool_]
) -> Pairs:
    """Returns the pairs of answers that can be compared in words alone.

    `expected`, (n_queries, n_backends), is P(right) of each answer. `is_compared`, likewise, says which answers are
    compared by their final answer: they are left out.
    """
    is_wanted = np.isfinite(dataset.quality) & np.isfinite(expected) & ~is_compared
    in_words = np.flatnonzero(is_wanted.sum(axis=1) > 1)
    questions = dataset.texts
    alike, n_right, chances, fold_of = [], [], [], []
    for row in in_words[sample(len(in_words), _MAX_QUERIES)].tolist():
        texts = {
            column: completion.text
            for column in np.flatnonzero(is_wanted[row]).tolist()
            if (completion := dataset.completion(row, column)) is not None
        }
        if len(texts) < 2:
            continue
        read = zip(texts, read_words(questions[row], list(texts.values())), strict=True)
        said = {column: words for column, words in read if words is not None}
        for both in combinations(said, 2):
            alike.append(likeness(*(said[column] for column in both)))
            n_right.append(sum(dataset.completion_score(row, column) >= RIGHT for column in both))
            chances.append(expected[row, list(both)])
            fold_of.append(folds[row])
    return Pairs(
        alike=np.array(alike, dtype=np.float64).reshape(-1, len(LIKENESS)),
        n_right=np.array(n_right, dtype=np.int64),
        expected=np.array(chances, dtype=np.float64).reshape(-1, 2),
        folds=np.array(fold_of, dtype=np.int64),
    )


def fit_meaning(pairs: Pairs) -> Meaning | None:
    """Returns what pairs of answers teach, None where they are too few or likeness tells nothing.

    Beyond what was expected of either: answers to easy questions are alike, and right, and that is known already.
    """
    telling = pairs.take(pairs.n_right > 0)
    same = (telling.n_right == 2).astype(np.float64)
    if min(same.sum(), (1 - same).sum()) < _MIN_PAIRS:
        return None
    mean, spread = telling.alike.mean(axis=0), telling.alike.std(axis=0)
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    one = np.ones((len(same), 1))
    features = np.hstack([(telling.alike - mean) * scale, one])
    known = _log_odds_of_both(telling.expected)
    chance, chance_before = np.full(len(same), same.mean()), np.full(len(same), same.mean())
    for fold in np.unique(telling.folds):
        outside = telling.folds == fold
        if np.ptp(same[~outside]) > 0:
            for design, told in ((features, chance), (one, chance_before)):
                weights = _fit(design[~outside], same[~outside], known[~outside])
                told[outside] = sigmoid(design[outside] @ weights + known[outside])
    power = float(1 - np.mean((chance - same) ** 2) / np.mean((chance_before - same) ** 2))
    if power < _MIN_POWER:
        return None
    weights = _fit(features, same, known)
    learned = Meaning(
        mean=mean,
        scale=scale,
        weights=weights[:-1],
        intercept=float(weights[-1] - _fit(one, same, known)[0]),
        power=min(power, 1.0),
        collision=np.array(COLLISION),
    )
    wrong = pairs.take(pairs.n_right == 0)
    return replace(learned, collision=fit_collision_rate(learned.log_odds(wrong.alike)))


def _log_odds_of_both(expected: FloatArray) -> FloatArray:
    """Returns the log-odds that both are right rather than one of them, by what was expected of either."""
    odds = np.clip(expected, 1e-3, 1 - 1e-3)
    odds = odds / (1 - odds)
    log_odds: FloatArray = np.log(odds.prod(axis=1) / odds.sum(axis=1))
    return log_odds


def _fit(features: FloatArray, same: FloatArray, known: FloatArray) -> FloatArray:
    """Returns the weights, the last being that of the constant."""
    penalties = np.append(np.full(features.shape[1] - 1, _PENALTY), 1e-3)
    return fit_logistic(features, same, penalties, offset=known)
