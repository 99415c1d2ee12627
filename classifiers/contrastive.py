"""The dual-contrastive head: queries and backends in one space, each query near the backends that can answer it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from .calibration import fit_platt
from .cluster import k_means
from .features import Features, QueryFeatures
from .gradient import as_array, descend, import_torch
from .heads import check_quality, fill_missing
from .knn import choose_references
from .logistic import sigmoid
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

if TYPE_CHECKING:
    from torch import Tensor

_TEMPERATURE = 0.2
_QUERY_WEIGHT = 0.3  # of the contrast between queries beside that between backends
_N_CLUSTERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedSpace:
    """A line a backend through the cosine between the query's vector and the backend's."""

    projection: Float32Array  # (n_dense, dim)
    backends: Float32Array  # (dim, n_backends), columns of unit length
    slopes: FloatArray  # (n_backends,) of the logit
    intercepts: FloatArray  # (n_backends,)

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return sigmoid(self.slopes * self.cosines(features.dense) + self.intercepts)

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        return sigmoid(self.slopes * self.cosines(query.dense) + self.intercepts)

    def cosines(self, dense: Float32Array) -> FloatArray:
        """Returns the cosine of each query with each backend, (..., n_backends)."""
        points = dense @ self.projection
        norms = np.sqrt((points * points).sum(-1, keepdims=True))
        cosines: FloatArray = (points @ self.backends / np.maximum(norms, 1e-9)).astype(np.float64)
        return cosines


class ContrastiveHead:
    """Two contrasts: backends that are right against those that are wrong, queries of one kind against the others.

    The cosines only rank backends; a logistic curve a backend turns them into P(correct). Needs the extra `local`.
    Reference: Chen et al. 2024 (RouterDC), arXiv:2409.19886, here over fixed embeddings.
    """

    predictor_: SharedSpace

    def __init__(self, *, dim: int = 32, rate: float = 3e-3, decay: float = 0.01, seed: int = 0) -> None:
        self.dim = dim
        self.rate = rate
        self.decay = decay
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the projection, the vectors of the backends, and the curves."""
        check_quality(features, quality)
        torch = import_torch("contrastive")
        filled = fill_missing(quality)
        seen = torch.tensor(np.isfinite(quality))
        target = torch.tensor(filled, dtype=torch.float32)
        inputs = torch.tensor(features.dense)
        points = choose_references(features, seed=self.seed, max_references=features.n_queries).points
        _, kind = k_means(points, min(_N_CLUSTERS, features.n_queries), seed=self.seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            module = torch.nn.ParameterList(
                [
                    torch.nn.Parameter(0.1 * torch.randn(inputs.shape[1], self.dim)),
                    torch.nn.Parameter(torch.randn(self.dim, quality.shape[1])),
                ]
            )

            def loss_of(batch: IntArray) -> Tensor:
                points = torch.nn.functional.normalize(inputs[batch] @ module[0], dim=1)
                cosines = points @ torch.nn.functional.normalize(module[1], dim=0)
                between_backends = _contrast(cosines / _TEMPERATURE, target[batch] * seen[batch], seen[batch])
                same = torch.tensor(kind[batch][:, None] == kind[batch])
                others = ~torch.eye(len(batch), dtype=torch.bool)
                between_queries = _contrast(points @ points.T / _TEMPERATURE, (same & others).float(), others)
                return between_backends + _QUERY_WEIGHT * between_queries

            descend(
                module,
                loss_of,
                features.n_queries,
                seed=self.seed,
                rate=self.rate,
                decay=self.decay,
                n_epochs=30,
            )
            backends = torch.nn.functional.normalize(module[1], dim=0)
        space = SharedSpace(
            projection=as_array(module[0]).astype(np.float32),
            backends=as_array(backends).astype(np.float32),
            slopes=np.ones(quality.shape[1]),
            intercepts=np.zeros(quality.shape[1]),
        )
        self.predictor_ = _with_curves(space, features, quality)
        return self


def _contrast(similarity: Tensor, is_positive: Tensor, is_counted: Tensor) -> Tensor:
    """Returns the mean over rows of -log of the share that the positives have of exp(similarity); all (n, k)."""
    import torch

    logits = similarity.masked_fill(~is_counted, -torch.inf)
    log_share = (similarity - torch.logsumexp(logits, dim=1, keepdim=True)) * is_positive
    n_positive = is_positive.sum(1)
    has_both = (n_positive > 0) & (n_positive < is_counted.sum(1))
    losses = -log_share.sum(1) / n_positive.clamp(min=1e-6)
    return losses[has_both].sum() / has_both.sum().clamp(min=1)


def _with_curves(space: SharedSpace, features: Features, quality: FloatArray) -> SharedSpace:
    """Returns the space with a logistic curve a backend, fitted to the observed cells."""
    cosines = space.cosines(features.dense)
    curves = []
    for backend in range(quality.shape[1]):
        seen = np.isfinite(quality[:, backend])
        curves.append(fit_platt(cosines[seen, backend], quality[seen, backend]))
    slopes, intercepts = np.array(curves).T
    return replace(space, slopes=slopes, intercepts=intercepts)
