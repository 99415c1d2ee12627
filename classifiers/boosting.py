"""Boosted oblivious trees: all nodes of a level ask the same question, so the answers are the address of a leaf.

Reference: Prokhorenkova et al. 2018 (CatBoost), arXiv:1706.09516, section 6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from .errors import FitError
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

_N_BINS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """How trees grow."""

    depth: int  # at most 8, so that a byte tells which leaf is reached
    rate: float
    penalty: float = 10.0
    row_share: float = 0.5  # of the rows that each tree sees
    input_share: float
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 8:
            raise FitError(f"depth of trees: expected 1 to 8, got {self.depth}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One tree."""

    columns: IntArray  # (depth,) which input each level asks about
    thresholds: Float32Array  # (depth,)
    leaves: Float32Array  # (2 ** depth, n_outputs)

    def predict(self, inputs: Float32Array) -> Float32Array:
        """Returns what each row adds, (n_rows, n_outputs)."""
        address = (inputs[:, self.columns] > self.thresholds) @ (1 << np.arange(len(self.columns)))
        return self.leaves[address]


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSum:
    """A sum of trees."""

    columns: IntArray  # (n_trees, depth)
    thresholds: Float32Array  # (n_trees, depth)
    leaves: Float32Array  # (n_trees, 2 ** depth, n_outputs)
    base: FloatArray  # (n_outputs,)
    # All trees at once for one row, each a byte of answers, which is its leaf; what a tree is short of eight is no.
    _asked: IntArray = field(init=False, repr=False, compare=False)  # (n_trees * 8,) columns
    _bounds: Float32Array = field(init=False, repr=False, compare=False)  # (n_trees * 8,) thresholds
    _first: IntArray = field(init=False, repr=False, compare=False)  # (n_trees,) the first leaf of each in _flat
    _ones: Float32Array = field(init=False, repr=False, compare=False)  # (n_trees,) to sum by
    _flat: Float32Array = field(init=False, repr=False, compare=False)  # (n_trees * 2 ** depth, n_outputs)

    def __post_init__(self) -> None:
        n_trees, n_leaves, n_outputs = self.leaves.shape
        asked, bounds = np.zeros((n_trees, 8), dtype=np.int64), np.full((n_trees, 8), np.inf, dtype=np.float32)
        asked[:, : self.columns.shape[1]], bounds[:, : self.columns.shape[1]] = self.columns, self.thresholds
        object.__setattr__(self, "_asked", asked.ravel())
        object.__setattr__(self, "_bounds", bounds.ravel())
        object.__setattr__(self, "_first", n_leaves * np.arange(n_trees))
        object.__setattr__(self, "_ones", np.ones(n_trees, dtype=np.float32))
        object.__setattr__(self, "_flat", self.leaves.reshape(-1, n_outputs))

    def predict(self, inputs: Float32Array) -> FloatArray:
        """Returns scores, (n_rows, n_outputs)."""
        leaves = np.packbits(inputs.take(self._asked, axis=1) > self._bounds, bitorder="little")
        reached = leaves.reshape(len(inputs), len(self._first)) + self._first  # (n_rows, n_trees)
        scores: FloatArray = self.base + self._flat[reached].sum(1)
        return scores

    def predict_one(self, inputs: Float32Array) -> FloatArray:
        """Returns the scores of one row, (n_outputs,)."""
        reached = self._first + np.packbits(inputs.take(self._asked) > self._bounds, bitorder="little")
        scores: FloatArray = self.base + self._ones.dot(self._flat.take(reached, axis=0))
        return scores


def tree_sum(trees: list[Tree], base: FloatArray, *, depth: int) -> TreeSum:
    """Returns the sum of trees of this depth, of which there may be none."""
    shape = (len(trees), depth)
    return TreeSum(
        columns=np.array([tree.columns for tree in trees], dtype=np.int64).reshape(shape),
        thresholds=np.array([tree.thresholds for tree in trees], dtype=np.float32).reshape(shape),
        leaves=np.array([tree.leaves for tree in trees], dtype=np.float32).reshape(len(trees), 2**depth, len(base)),
        base=base,
    )


def grow(inputs: Float32Array, targets: FloatArray, growth: Growth) -> Iterator[Tree]:
    """Yields trees without end, each fitted to what the earlier ones left of `targets` less their mean.

    Gradient boosting on squared error, each tree on a part of rows and inputs. Reference: Friedman 2002, "Stochastic
    gradient boosting".
    """
    rng = np.random.default_rng(growth.seed)
    n, n_inputs = inputs.shape
    edges = np.quantile(inputs, np.arange(1, _N_BINS) / _N_BINS, axis=0).astype(np.float32)  # (n_edges, n_inputs)
    residual = (targets - targets.mean(0)).astype(np.float32)
    n_rows, n_drawn = max(1, round(growth.row_share * n)), max(1, round(growth.input_share * n_inputs))
    while True:
        rows = np.sort(rng.choice(n, size=n_rows, replace=False))
        drawn = np.sort(rng.choice(n_inputs, size=n_drawn, replace=False))
        is_above = (inputs[rows][:, None, drawn] > edges[:, drawn]).reshape(n_rows, -1).astype(np.float32)
        left = residual[rows]
        columns, thresholds = np.empty(growth.depth, dtype=np.int64), np.empty(growth.depth, dtype=np.float32)
        address = np.zeros(n_rows, dtype=np.int64)
        for level in range(growth.depth):
            split = _best_split(is_above, left, address, 2**level, growth.penalty)
            edge, place = divmod(split, n_drawn)
            columns[level], thresholds[level] = drawn[place], edges[edge, drawn[place]]
            address |= is_above[:, split].astype(np.int64) << level
        totals = np.zeros((2**growth.depth, targets.shape[1]), dtype=np.float32)
        np.add.at(totals, address, left)
        counts = np.bincount(address, minlength=len(totals)).astype(np.float32)
        leaves = np.float32(growth.rate) * totals / (counts + np.float32(growth.penalty))[:, None]
        tree = Tree(columns=columns, thresholds=thresholds, leaves=leaves)
        residual -= tree.predict(inputs)
        yield tree


def _best_split(is_above: Float32Array, residual: Float32Array, address: IntArray, n_nodes: int, penalty: float) -> int:
    """Returns which column of `is_above` parts the residuals of all nodes best: the greatest drop in squared error."""
    gain = np.zeros(is_above.shape[1])
    for node in range(n_nodes):
        inside = np.flatnonzero(address == node)
        if not len(inside):
            continue
        part, rest = is_above[inside], residual[inside]
        above, n_above = part.T @ rest, part.sum(0)  # (n_columns, n_outputs), (n_columns,)
        below, n_below = rest.sum(0) - above, len(inside) - n_above
        gain += (above**2).sum(1) / (n_above + penalty) + (below**2).sum(1) / (n_below + penalty)
    return int(gain.argmax())
