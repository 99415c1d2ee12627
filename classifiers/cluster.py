"""The cluster head: a table of what the backends do on each kind of query."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import numpy as np

from .features import Features
from .heads import check_quality
from .knn import KnnTable, choose_references
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

_N_ROUNDS = 20
_QUERIES_A_CLUSTER = 15  # at least, on average


class ClusterHead:
    """k-means over the embedding; a query is judged by its nearest clusters, each by its members' mean scores.

    Cluster means are shrunk towards those of all queries as if `prior` more members had scored these.
    Reference: Avengers-Pro, arXiv:2508.12631.
    """

    predictor_: KnnTable

    def __init__(
        self,
        *,
        n_clusters: int = 60,
        n_nearest: int = 4,
        temperature: float = 0.1,
        prior: float = 5.0,
        seed: int = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_nearest = n_nearest
        self.temperature = temperature
        self.prior = prior
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the clusters and their table."""
        check_quality(features, quality)
        references = choose_references(features, seed=self.seed, max_references=features.n_queries)
        n_clusters = max(1, min(self.n_clusters, features.n_queries // _QUERIES_A_CLUSTER))
        centres, nearest = k_means(references.points, n_clusters, seed=self.seed)
        seen = np.isfinite(quality)
        members = np.eye(len(centres))[nearest]
        totals = members.T @ np.where(seen, quality, 0.0)
        counts = members.T @ seen
        table = (totals + self.prior * np.nanmean(quality, axis=0)) / (counts + self.prior)
        self.predictor_ = KnnTable(
            references=replace(references, points=centres, rows=np.arange(len(centres))),
            values=table.astype(np.float32),
            n_neighbours=min(self.n_nearest, len(centres)),
            temperature=self.temperature,
        )
        return self


def k_means(points: Float32Array, n_clusters: int, *, seed: int) -> tuple[Float32Array, IntArray]:
    """Returns centres of unit length, (n_clusters, dim), and the cluster of each point.

    Starts from points drawn far from each other (Arthur and Vassilvitskii 2007, "k-means++"). Closeness is the cosine.
    """
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(points)))]
    distance = np.maximum(1 - points @ points[chosen[0]], 0).astype(np.float64)
    while len(chosen) < n_clusters and distance.sum() > 0:
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
        distance = np.minimum(distance, np.maximum(1 - points @ points[chosen[-1]], 0))
    centres = points[chosen]
    nearest = np.zeros(len(points), dtype=np.int64)
    for _ in range(_N_ROUNDS):
        nearest = (points @ centres.T).argmax(1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, points)
        norms = np.sqrt((sums**2).sum(1, keepdims=True))
        centres = np.where(norms > 1e-9, sums / np.maximum(norms, 1e-9), centres)
    return centres, nearest
