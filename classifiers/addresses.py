"""Trees asked about one row, without arrays: every input tells its part of the leaves' addresses.

In an oblivious tree each answer is one bit of the address of a leaf. So what one value answers to all trees is one
number, known beforehand for every interval between two thresholds, and what all values answer is these joined by `or`.
Reference: Lucchese et al. 2015, "QuickScorer: a fast algorithm to rank documents with additive ensembles of regression
trees", which joins what is left of the leaves in the same way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from operator import or_
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .boosting import TreeSum
    from .sparse import Float32Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """The thresholds of one input, and what a value between two of them answers."""

    bounds: Sequence[float]  # (n,) ascending
    answers: Sequence[int]  # (n + 1,)

    def answer(self, value: float) -> int:
        """Returns what a value answers to all trees."""
        return self.answers[bisect_left(self.bounds, value)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The leaves of a sum of trees of one output. An address is that of one leaf in each tree, side by side."""

    ladders: Sequence[Ladder]  # of every input
    start: int  # the address where every answer is no
    n_bytes: int  # of an address
    places: np.dtype[np.unsignedinteger[Any]]  # of each tree's part of it
    leaves: Float32Array  # (n_trees * n_leaves,)
    base: float

    def score(self, address: int) -> float:
        """Returns the sum of the leaves at an address."""
        places = np.frombuffer(address.to_bytes(self.n_bytes, "little"), dtype=self.places)
        return self.base + float(np.add.reduce(self.leaves.take(places)))


def addresses_of(trees: TreeSum, n_inputs: int) -> Addresses:
    """Returns the addresses of trees with one output, over so many inputs."""
    n_trees, n_leaves, _ = trees.leaves.shape
    places = np.min_scalar_type(n_trees * n_leaves).newbyteorder("<")
    n_bits = 8 * places.itemsize
    asked: list[dict[float, int]] = [{} for _ in range(n_inputs)]  # of every input: threshold -> the bits that ask it
    for tree, (columns, thresholds) in enumerate(zip(trees.columns.tolist(), trees.thresholds, strict=True)):
        # Inputs are rounded to single precision before they are compared, so what is no more than half way to the next
        # such number is not above the threshold.
        bounds = (thresholds.astype(float) + np.nextafter(thresholds, np.float32(np.inf))) / 2
        for level, (column, bound) in enumerate(zip(columns, bounds.tolist(), strict=True)):
            asked[column][bound] = asked[column].get(bound, 0) | 1 << (n_bits * tree + level)
    return Addresses(
        ladders=[_ladder(bits_of) for bits_of in asked],
        start=sum(n_leaves * tree << n_bits * tree for tree in range(n_trees)),
        n_bytes=n_trees * places.itemsize,
        places=places,
        leaves=trees.leaves.reshape(-1),
        base=float(trees.base[0]),
    )


def _ladder(bits_of: dict[float, int]) -> Ladder:
    bounds = sorted(bits_of)
    return Ladder(bounds=bounds, answers=[0, *accumulate([bits_of[bound] for bound in bounds], or_)])
