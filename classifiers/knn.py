"""The k-nearest-neighbours head: what the backends did on the training queries most like this one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .features import Features, QueryFeatures
from .heads import check_quality, fill_missing
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

MAX_REFERENCES = 2048  # so that a look-up takes tens of microseconds, however many traces there were
MAX_DIMENSIONS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Training queries as points to measure distance to: embeddings reduced to their principal axes, unit length."""

    mean: Float32Array  # (embedding_dim,)
    axes: Float32Array  # (embedding_dim, n_dimensions)
    points: Float32Array  # (n_references, n_dimensions)
    rows: IntArray  # (n_references,) which rows of the training queries they are

    def place(self, embedding: Float32Array) -> Float32Array:
        """Returns embeddings, (n, embedding_dim) or (embedding_dim,), as points of unit length."""
        points = (embedding - self.mean) @ self.axes
        norms = np.sqrt(np.einsum("...d,...d->...", points, points))[..., None]
        placed: Float32Array = points / np.maximum(norms, 1e-9)
        return placed


def choose_references(features: Features, *, seed: int, max_references: int = MAX_REFERENCES) -> References:
    """Returns a random choice of the queries, or all of them where they are few."""
    embedding = features.embedding
    n = len(embedding)
    rows = np.arange(n)
    if n > max_references:
        rows = np.sort(np.random.default_rng(seed).choice(n, size=max_references, replace=False))
    mean = embedding.mean(0)
    centred = (embedding - mean).astype(np.float64)
    _, axes = np.linalg.eigh(centred.T @ centred)
    kept = axes[:, ::-1][:, :MAX_DIMENSIONS].astype(np.float32)
    empty = References(mean=mean, axes=kept, points=np.empty((0, kept.shape[1]), dtype=np.float32), rows=rows)
    return References(mean=mean, axes=kept, points=empty.place(embedding[rows]), rows=rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnnTable:
    """Averages `values` over the nearest references, nearer ones weighing more."""

    references: References
    values: Float32Array  # (n_references, k)
    n_neighbours: int
    temperature: float  # of the softmax over cosine similarities

    def predict(self, features: Features) -> FloatArray:
        """Returns the local averages, (n_queries, k)."""
        points = self.references.place(features.embedding)
        out = np.empty((len(points), self.values.shape[1]))
        for start in range(0, len(points), 1024):
            similarity = points[start : start + 1024] @ self.references.points.T
            out[start : start + 1024] = self._average(similarity)
        return out

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the local average around one query, (k,)."""
        point = self.references.place(query.dense[: query.embedding_dim])
        return self._average((self.references.points @ point)[None])[0]

    def _average(self, similarity: Float32Array) -> FloatArray:
        k = min(self.n_neighbours, similarity.shape[1])
        nearest = np.argpartition(similarity, similarity.shape[1] - k, axis=1)[:, -k:]
        closeness = np.take_along_axis(similarity, nearest, axis=1)
        weights = np.exp((closeness - closeness.max(1, keepdims=True)) / self.temperature)
        weights /= weights.sum(1, keepdims=True)
        averages: FloatArray = np.einsum("nk,nkb->nb", weights, self.values[nearest]).astype(np.float64)
        return averages


class KnnHead:
    """Soft k-nearest neighbours by cosine similarity; `n_neighbours` counts references."""

    predictor_: KnnTable

    def __init__(self, *, n_neighbours: int = 100, temperature: float = 0.1, seed: int = 0) -> None:
        self.n_neighbours = n_neighbours
        self.temperature = temperature
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Keeps the references and what the backends did on them."""
        check_quality(features, quality)
        references = choose_references(features, seed=self.seed)
        values = fill_missing(quality)[references.rows].astype(np.float32)
        self.predictor_ = KnnTable(
            references=references, values=values, n_neighbours=self.n_neighbours, temperature=self.temperature
        )
        return self
