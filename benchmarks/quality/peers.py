"""Published routers re-implemented as heads from their papers, on our encoder and split; what Penstock has is not here.

A head scores backends; how they trade quality for cost, and how they are calibrated, is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from penstock.classifiers import Features
from penstock.classifiers.features import QueryFeatures
from penstock.classifiers.heads import Head, Predictor
from penstock.training.evaluation import FloatArray

_N_NEWTON = 8
_TIES = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Elo:
    """What a fitted `EloHead` keeps: the queries, and of each which of two backends did better."""

    embedding: NDArray[np.float32]  # (n_queries, dim) of unit length
    win: FloatArray  # (n_queries, n_backends, n_backends) 1 won, 0.5 tied, 0 lost; 0 both ways where not compared
    mean: FloatArray  # (n_backends,)
    base: float

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return np.stack([self._score(row) for row in features.embedding])

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        return self._score(query.dense[: query.embedding_dim])

    def _score(self, vector: NDArray[np.float32]) -> FloatArray:
        similarity = np.maximum(self.embedding @ vector, 0.0).astype(np.float64)
        weight = self.base ** (1 + similarity / max(float(similarity.max()), 1e-9))
        ratings = bradley_terry(np.tensordot(weight / weight.sum(), self.win, axes=1))
        # A rating says who wins; the mean score of the pool says how high: the logit of quality is a rating moved so
        # that its mean is that of the mean scores.
        logit = np.log(self.mean / (1 - self.mean))
        moved: FloatArray = 1 / (1 + np.exp(-(ratings + logit.mean())))
        return moved


class EloHead:
    """Bradley-Terry ratings of the backends for each query, from comparisons weighed by similarity to it.

    Reference: Ong et al. 2024 (RouteLLM), arXiv:2406.18665, section 4.2, "similarity-weighted ranking": weights
    gamma ** (1 + similarity / greatest similarity), gamma = 10. Comparisons are those of the scores in the traces.
    """

    predictor_: Predictor
    out_of_fold_: FloatArray | None = None

    def __init__(self, *, base: float = 10.0) -> None:
        self.base = base

    def fit(self, features: Features, quality: FloatArray, folds: NDArray[np.int64]) -> Self:
        """Keeps the comparisons."""
        with np.errstate(invalid="ignore"):
            difference = quality[:, :, None] - quality[:, None, :]
        win = np.where(np.isnan(difference), 0.0, _TIES * (1 + np.sign(np.nan_to_num(difference))))
        win[:, np.arange(quality.shape[1]), np.arange(quality.shape[1])] = 0.0
        self.predictor_ = Elo(
            embedding=features.embedding,
            win=win,
            mean=np.clip(np.nanmean(quality, axis=0), 0.01, 0.99),
            base=self.base,
        )
        return self


def bradley_terry(win: FloatArray, *, prior: float = 1e-3) -> FloatArray:
    """Returns ratings in logits, of mean 0, from the weight with which each row won against each column.

    Newton's method on the likelihood of Bradley and Terry 1952; `prior` wins and losses a pair keep ratings finite.
    """
    n = len(win)
    win = win + prior * (1 - np.eye(n))
    played = win + win.T
    ratings = np.zeros(n)
    for _ in range(_N_NEWTON):
        chance = 1 / (1 + np.exp(ratings[None, :] - ratings[:, None]))
        gradient = (win - played * chance).sum(axis=1)
        spread = played * chance * (1 - chance)
        curvature = np.diag(spread.sum(axis=1)) - spread + 1.0 / n  # the last: ratings have mean 0
        step = np.linalg.solve(curvature, gradient)
        ratings = ratings + np.clip(step, -2, 2)
    centred: FloatArray = ratings - ratings.mean()
    return centred


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """What a fitted `NearestHead` keeps."""

    embedding: NDArray[np.float32]
    quality: FloatArray  # (n_queries, n_backends), NaN = not observed
    mean: FloatArray
    n: int

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return np.stack([self._score(row) for row in features.embedding])

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        return self._score(query.dense[: query.embedding_dim])

    def _score(self, vector: NDArray[np.float32]) -> FloatArray:
        similarity = self.embedding @ vector
        n = min(self.n, len(similarity))
        found = self.quality[np.argpartition(-similarity, n - 1)[:n]]
        seen = np.isfinite(found)
        mean: FloatArray = np.where(seen, found, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        scores: FloatArray = np.where(seen.any(axis=0), mean, self.mean)
        return scores


class NearestHead:
    """The plain mean over the nearest training queries.

    Reference: Li 2025, arXiv:2505.12601, k nearest neighbours by cosine, all counting the same; k = 100 here.
    """

    predictor_: Predictor
    out_of_fold_: FloatArray | None = None

    def __init__(self, *, n: int = 100) -> None:
        self.n = n

    def fit(self, features: Features, quality: FloatArray, folds: NDArray[np.int64]) -> Self:
        """Keeps the queries and their scores."""
        self.predictor_ = Nearest(
            embedding=features.embedding, quality=quality, mean=np.nanmean(quality, axis=0), n=self.n
        )
        return self


PEERS: Mapping[str, Callable[[], Head]] = {"elo": EloHead, "nearest": NearestHead}
