"""Figures of the same queries, held against each other."""

from __future__ import annotations

import numpy as np

from .ridge import FloatArray


def paired_gap(higher: FloatArray, lower: FloatArray) -> float:
    """Returns by how many paired standard errors one figure, (n_queries,) with NaN, exceeds another on average."""
    gap = (higher - lower)[np.isfinite(higher - lower)]
    standard_error = gap.std() / np.sqrt(max(len(gap), 1)) if len(gap) else 0.0
    return float(gap.mean() / standard_error) if standard_error > 0 else 0.0
