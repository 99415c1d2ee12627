"""Some of many rows."""

from __future__ import annotations

import numpy as np

from .sparse import IntArray


def sample(n_rows: int, most: int) -> IntArray:
    """Returns which of the rows to take, ascending, at most so many of them, the same every time.

    They are drawn by chance: answers come by query and then by backend, so that every ninth may be of one backend.
    """
    if n_rows <= most:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(0).choice(n_rows, size=most, replace=False))
