"""The tree head: boosted trees on the surface features and the main axes of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Self

import numpy as np

from .features import Features, QueryFeatures
from .heads import check_folds, check_quality, fill_missing
from .knn import N_SKETCH, References, choose_references
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

_N_BINS = 16
_N_AXES = 16
_PATIENCE = 20  # trees without progress out of fold, until growing stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """A sum of oblivious trees: all nodes of a level ask the same question, so the answers are the address of a leaf.

    Reference: Prokhorenkova et al. 2018 (CatBoost), arXiv:1706.09516, section 6.
    """

    references: References  # of which only the axes are used
    columns: IntArray  # (n_trees, depth) which input
    thresholds: Float32Array  # (n_trees, depth)
    leaves: Float32Array  # (n_trees, 2 ** depth, n_backends)
    base: FloatArray  # (n_backends,)
    _bits: IntArray = field(init=False, repr=False, compare=False)  # (depth,) what each level adds to the address
    _first: IntArray = field(init=False, repr=False, compare=False)  # (n_trees,) the first leaf of each in _flat
    _flat: Float32Array = field(init=False, repr=False, compare=False)  # (n_trees * 2 ** depth, n_backends)

    def __post_init__(self) -> None:
        n_trees, n_leaves, n_backends = self.leaves.shape
        object.__setattr__(self, "_bits", 1 << np.arange(self.columns.shape[1]))
        object.__setattr__(self, "_first", n_leaves * np.arange(n_trees))
        object.__setattr__(self, "_flat", self.leaves.reshape(-1, n_backends))

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        inputs = tree_inputs(self.references, features)
        out = np.tile(self.base, (len(inputs), 1))
        for columns, thresholds, leaves in zip(self.columns, self.thresholds, self.leaves, strict=True):
            out += leaves[_Tree(columns=columns, thresholds=thresholds, leaves=leaves).address(inputs)]
        return out

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        inputs = np.concatenate([query.dense[query.embedding_dim :], self.references.place_one(query)])
        reached = (inputs[self.columns] > self.thresholds) @ self._bits + self._first
        scores: FloatArray = self.base + self._flat[reached].sum(0)
        return scores


def tree_inputs(references: References, features: Features) -> Float32Array:
    """Returns what trees ask about, (n_queries, n_inputs): surface features, then the main axes of everything."""
    points = references.place(references.inputs(features))
    return np.concatenate([features.dense[:, features.embedding_dim :], points], axis=1)


class TreeHead:
    """Gradient boosting on squared error, all backends in one tree, each tree on a part of queries and inputs.

    Reference: Friedman 2002, "Stochastic gradient boosting".
    """

    predictor_: Forest

    def __init__(
        self,
        *,
        n_trees: int = 200,
        depth: int = 4,
        rate: float = 0.05,
        penalty: float = 10.0,
        query_share: float = 0.5,
        input_share: float = 0.2,
        seed: int = 0,
    ) -> None:
        self.n_trees = n_trees
        self.depth = depth
        self.rate = rate
        self.penalty = penalty
        self.query_share = query_share
        self.input_share = input_share
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Grows trees, as many as give the least error out of fold, all folds in step."""
        check_quality(features, quality)
        check_folds(features, folds)
        scores = np.empty_like(quality)
        growing = []
        for fold in np.unique(folds):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            part = features.take(inside)
            references, filled = self._axes(part), fill_missing(quality[inside])
            scores[outside] = filled.mean(0)
            trees = self._grow(tree_inputs(references, part), filled)
            growing.append((trees, tree_inputs(references, features.take(outside)), outside))
        self.out_of_fold_ = scores.copy()
        self.n_trees_, least = 0, np.nanmean((scores - quality) ** 2)
        for n_trees in range(1, self.n_trees + 1):
            for trees, inputs, outside in growing:
                tree = next(trees)
                scores[outside] += tree.leaves[tree.address(inputs)]
            error = np.nanmean((scores - quality) ** 2)
            if error < least:
                self.n_trees_, least, self.out_of_fold_ = n_trees, error, scores.copy()
            elif n_trees > self.n_trees_ + _PATIENCE:
                break
        references, filled = self._axes(features), fill_missing(quality)
        grown = list(islice(self._grow(tree_inputs(references, features), filled), self.n_trees_))
        shape = (len(grown), self.depth)
        self.predictor_ = Forest(
            references=references,
            columns=np.array([tree.columns for tree in grown], dtype=np.int64).reshape(shape),
            thresholds=np.array([tree.thresholds for tree in grown], dtype=np.float32).reshape(shape),
            leaves=np.array([tree.leaves for tree in grown], dtype=np.float32).reshape(
                len(grown), 2**self.depth, quality.shape[1]
            ),
            base=filled.mean(0),
        )
        return self

    def _axes(self, features: Features) -> References:
        references = choose_references(features, seed=self.seed, n_sketch=N_SKETCH, max_references=1)
        return replace(references, axes=references.axes[:, :_N_AXES], points=references.points[:, :_N_AXES])

    def _grow(self, inputs: Float32Array, filled: FloatArray) -> Iterator[_Tree]:
        """Yields trees without end, each fitted to what the earlier ones left."""
        rng = np.random.default_rng(self.seed)
        n, n_inputs = inputs.shape
        edges = np.quantile(inputs, np.arange(1, _N_BINS) / _N_BINS, axis=0).astype(np.float32)  # (n_edges, n_inputs)
        residual = (filled - filled.mean(0)).astype(np.float32)
        n_rows, n_drawn = max(1, round(self.query_share * n)), max(1, round(self.input_share * n_inputs))
        while True:
            rows = np.sort(rng.choice(n, size=n_rows, replace=False))
            drawn = np.sort(rng.choice(n_inputs, size=n_drawn, replace=False))
            is_above = (inputs[rows][:, None, drawn] > edges[:, drawn]).reshape(n_rows, -1).astype(np.float32)
            left = residual[rows]
            columns, thresholds = np.empty(self.depth, dtype=np.int64), np.empty(self.depth, dtype=np.float32)
            address = np.zeros(n_rows, dtype=np.int64)
            for level in range(self.depth):
                split = _best_split(is_above, left, address, 2**level, self.penalty)
                edge, place = divmod(split, n_drawn)
                columns[level], thresholds[level] = drawn[place], edges[edge, drawn[place]]
                address |= is_above[:, split].astype(np.int64) << level
            totals = np.zeros((2**self.depth, filled.shape[1]), dtype=np.float32)
            np.add.at(totals, address, left)
            counts = np.bincount(address, minlength=len(totals)).astype(np.float32)
            leaves = np.float32(self.rate) * totals / (counts + np.float32(self.penalty))[:, None]
            tree = _Tree(columns=columns, thresholds=thresholds, leaves=leaves)
            residual -= leaves[tree.address(inputs)]
            yield tree


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tree:
    columns: IntArray  # (depth,)
    thresholds: Float32Array  # (depth,)
    leaves: Float32Array  # (2 ** depth, n_backends)

    def address(self, inputs: Float32Array) -> IntArray:
        """Returns which leaf each query ends in, (n_queries,)."""
        address: IntArray = (inputs[:, self.columns] > self.thresholds) @ (1 << np.arange(len(self.columns)))
        return address


def _best_split(is_above: Float32Array, residual: Float32Array, address: IntArray, n_nodes: int, penalty: float) -> int:
    """Returns which column of `is_above` parts the residuals of all nodes best: the greatest drop in squared error."""
    gain = np.zeros(is_above.shape[1])
    for node in range(n_nodes):
        inside = np.flatnonzero(address == node)
        if not len(inside):
            continue
        part, rest = is_above[inside], residual[inside]
        above, n_above = part.T @ rest, part.sum(0)  # (n_columns, n_backends), (n_columns,)
        below, n_below = rest.sum(0) - above, len(inside) - n_above
        gain += (above**2).sum(1) / (n_above + penalty) + (below**2).sum(1) / (n_below + penalty)
    return int(gain.argmax())
