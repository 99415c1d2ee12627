"""Figures of the same queries, held against each other."""

from __future__ import annotations

import numpy as np

from .ridge import FloatArray
from .sparse import IntArray


def paired_gap(higher: FloatArray, lower: FloatArray, families: IntArray | None = None) -> float:
    """Returns by how many paired standard errors one figure, (n_queries,) with NaN, exceeds another on average.

    `families` as `error_of_mean` takes them; None: no query is a twin of another.
    """
    is_known = np.isfinite(higher - lower)
    gap = (higher - lower)[is_known]
    if not len(gap):
        return 0.0
    family_of = np.arange(len(gap)) if families is None else families[is_known]
    standard_error = float(error_of_mean(gap - gap.mean(), family_of))
    return float(gap.mean() / standard_error) if standard_error > 0 else 0.0


def error_of_mean(apart: FloatArray, family_of: IntArray) -> FloatArray:
    """Returns one standard error of means, (...,), from how far from them each query is, (..., n_queries).

    What queries of one family, those of the same number, have in common does not even out (clusters: Liang and Zeger
    1986, Biometrika 73).
    """
    order = np.argsort(family_of, kind="stable")
    _, first = np.unique(family_of[order], return_index=True)
    together = np.add.reduceat(apart[..., order], first, axis=-1)
    error: FloatArray = np.sqrt((together**2).sum(axis=-1)) / len(family_of)
    return error
