"""The k-nearest-neighbours head: what the backends did on the training queries most like this one."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Self

import numpy as np

from .features import Features, QueryFeatures
from .heads import check_quality, fill_missing
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

MAX_REFERENCES = 2048  # so that a look-up takes tens of microseconds, however many traces there were
MAX_DIMENSIONS = 64
N_SKETCH = 1024  # random projections of the terms, where distances are to see the words too


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Training queries as points to measure distance to: features reduced to their principal axes, unit length.

    With `n_sketch` of 0 the features are the embedding. Otherwise they are everything: a sketch of the terms, that
    many signed sums of them (Charikar et al. 2002, "Finding frequent items in data streams"), then the dense features.
    """

    mean: Float32Array  # (n_inputs,)
    axes: Float32Array  # (n_inputs, n_dimensions)
    points: Float32Array  # (n_references, n_dimensions)
    rows: IntArray  # (n_references,) which rows of the training queries they are
    n_sketch: int = 0
    _origin: Float32Array = field(init=False, repr=False, compare=False)  # (n_dimensions,) the mean along the axes

    def __post_init__(self) -> None:
        object.__setattr__(self, "_origin", self.mean @ self.axes)

    def inputs(self, features: Features) -> Float32Array:
        """Returns the features that distances are measured by, (n_queries, n_inputs)."""
        return _inputs(features, self.n_sketch)

    def place_one(self, query: QueryFeatures) -> Float32Array:
        """Returns one query as a point of unit length, (n_dimensions,), by the terms that it has alone."""
        point = query.products.get(id(self))
        if point is None:
            axes, offset = self.on_dense()
            point = query.dense[: len(axes)].dot(axes) + offset
        if self.n_sketch and len(query.columns):
            slots, signs = _slot_table(self.n_sketch, 1 << int(query.columns[-1]).bit_length())
            signed = query.weights * signs.take(query.columns)
            point = point + signed.dot(self.axes.take(slots.take(query.columns), axis=0))
        placed: Float32Array = point / max(math.sqrt(point.dot(point)), 1e-9)
        return placed

    def on_dense(self) -> tuple[Float32Array, Float32Array]:
        """Returns the axes along the dense features, or along the embedding where only that counts, and the offset."""
        return self.axes[self.n_sketch :], -self._origin

    def place(self, inputs: Float32Array) -> Float32Array:
        """Returns features, (n, n_inputs) or (n_inputs,), as points of unit length."""
        points = (inputs - self.mean) @ self.axes
        norms = np.sqrt(np.einsum("...d,...d->...", points, points))[..., None]
        placed: Float32Array = points / np.maximum(norms, 1e-9)
        return placed


def choose_references(
    features: Features, *, seed: int, n_sketch: int = 0, max_references: int = MAX_REFERENCES
) -> References:
    """Returns a random choice of the queries, or all of them where they are few."""
    inputs = _inputs(features, n_sketch)
    n = len(inputs)
    rows = np.arange(n)
    if n > max_references:
        rows = np.sort(np.random.default_rng(seed).choice(n, size=max_references, replace=False))
    mean = inputs.mean(0)
    kept = _principal_axes(inputs - mean, seed=seed)
    nowhere = np.empty((0, kept.shape[1]), dtype=np.float32)
    empty = References(mean=mean, axes=kept, points=nowhere, rows=rows, n_sketch=n_sketch)
    return replace(empty, points=empty.place(inputs[rows]))


def _principal_axes(centred: Float32Array, *, seed: int, n_rounds: int = 5) -> Float32Array:
    """Returns the first principal axes, (n_inputs, at most MAX_DIMENSIONS), by randomized subspace iteration.

    Reference: Halko, Martinsson and Tropp 2011, arXiv:0909.4061, algorithm 4.4.
    """
    n_kept = min(MAX_DIMENSIONS, *centred.shape)
    n_drawn = min(n_kept + 16, *centred.shape)
    basis = np.random.default_rng(seed).standard_normal((centred.shape[1], n_drawn)).astype(np.float32)
    for _ in range(n_rounds):
        basis = _orthonormal(centred.T @ (centred @ basis))
    projected = (centred @ basis).astype(np.float64)
    _, rotation = np.linalg.eigh(projected.T @ projected)
    axes: Float32Array = basis @ rotation[:, ::-1][:, :n_kept].astype(np.float32)
    return axes


def _orthonormal(columns: Float32Array) -> Float32Array:
    """Returns an orthonormal basis of the columns, by their Gram matrix.

    A QR decomposition does the same by many small steps, which on a busy machine take BLAS threads seconds to agree on.
    """
    wide = columns.astype(np.float64)
    eigenvalues, rotation = np.linalg.eigh(wide.T @ wide)
    is_real = eigenvalues > 1e-10 * eigenvalues.max(initial=0.0)
    basis: Float32Array = (wide @ (rotation[:, is_real] / np.sqrt(eigenvalues[is_real]))).astype(np.float32)
    return basis


def _inputs(features: Features, n_sketch: int) -> Float32Array:
    if not n_sketch:
        return features.embedding
    sketch = np.zeros((features.n_queries, n_sketch), dtype=np.float32)
    terms = features.terms
    rows = np.repeat(np.arange(features.n_queries), np.diff(terms.indptr))
    slots, signs = _slots(terms.columns, n_sketch)
    np.add.at(sketch, (rows, slots), terms.values * signs)
    return np.concatenate([sketch, features.dense], axis=1)


def _slots(columns: IntArray, n_sketch: int) -> tuple[IntArray, Float32Array]:
    """Returns for each term the sum it goes into and its sign there, both by a hash of its column."""
    hashed = columns.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    hashed ^= hashed >> np.uint64(29)
    hashed *= np.uint64(0xBF58476D1CE4E5B9)
    hashed ^= hashed >> np.uint64(32)
    signs = np.float32(1) - np.float32(2) * ((hashed >> np.uint64(40)) & np.uint64(1)).astype(np.float32)
    return (hashed % np.uint64(n_sketch)).astype(np.int64), signs


@lru_cache(maxsize=8)
def _slot_table(n_sketch: int, n_columns: int) -> tuple[IntArray, Float32Array]:
    """Returns `_slots` of the first columns, to be looked up."""
    return _slots(np.arange(n_columns), n_sketch)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnnTable:
    """Averages `values` over the nearest references, nearer ones weighing more."""

    references: References
    values: Float32Array  # (n_references, k)
    n_neighbours: int
    temperature: float  # of the softmax over cosine similarities
    _summed: Float32Array = field(init=False, repr=False, compare=False)  # (n_references, k + 1) values, and 1

    def __post_init__(self) -> None:
        ones = np.ones((len(self.values), 1), dtype=np.float32)
        object.__setattr__(self, "_summed", np.concatenate([self.values, ones], axis=1))

    def predict(self, features: Features) -> FloatArray:
        """Returns the local averages, (n_queries, k)."""
        points = self.references.place(self.references.inputs(features))
        out = np.empty((len(points), self.values.shape[1]))
        for start in range(0, len(points), 1024):
            similarity = points[start : start + 1024] @ self.references.points.T
            for row, one in enumerate(similarity, start):
                out[row] = self._average(one)
        return out

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the local average around one query, (k,)."""
        return self._average(self.references.points.dot(self.references.place_one(query)))

    def _average(self, similarity: Float32Array) -> FloatArray:
        """Returns the average over the nearest and all that are as near as the last of them, (k,)."""
        places, closeness, least = _largest(similarity, min(self.n_neighbours, len(similarity)))
        weights = closeness - closeness[closeness.argmax()]
        weights /= np.float32(self.temperature)
        np.exp(weights, weights)
        weights *= closeness >= least
        sums = weights.dot(self._summed.take(places, axis=0)).astype(np.float64)
        averages: FloatArray = sums[:-1] / sums[-1]
        return averages


def _largest(values: Float32Array, k: int) -> tuple[IntArray, Float32Array, np.float32]:
    """Returns places, ascending, of the k largest values and some more, the values there, and the k-th largest.

    Every eighth of them tells first where that one must lie.
    """
    sample = values[::8].copy()
    rank = k // 4 + 8  # twice what is expected
    places = None
    if rank < len(sample) // 2:
        sample.partition(-rank)
        places = (values >= sample[-rank]).nonzero()[0]
    if places is None or len(places) < k:
        places = np.arange(len(values))
    found = values.take(places)
    ordered = found.copy()
    ordered.partition(-k)
    return places, found, ordered[-k]


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
