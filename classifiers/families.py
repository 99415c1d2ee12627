"""Queries that are twins: those of one family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .sparse import IntArray


def numbers_of(families: Sequence[str]) -> IntArray:
    """Returns for each query the place of its family among them all, sorted, (n_queries,).

    A family may be named by a whole text: `np.unique` would make room in every name for the longest.

    >>> numbers_of(["b", "a", "b"]).tolist()
    [1, 0, 1]
    """
    places = {family: place for place, family in enumerate(sorted(set(families)))}
    return np.array([places[family] for family in families], dtype=np.int64)
