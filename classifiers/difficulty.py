"""How hard a query is, and how able a backend, on one scale.

The Rasch model (Rasch 1960, "Probabilistic models for some intelligence and attainment tests"): the logit of P(correct)
is the ability of the backend less the difficulty of the query. Differences between backends that a head predicts
beside that average out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .ridge import FloatArray


def fit_ability(quality: FloatArray) -> FloatArray:
    """Returns the ability of each backend, (n_backends,), in logits above that of the average one.

    `quality` is (n_queries, n_backends), calibrated estimates strictly between 0 and 1.
    """
    levels: FloatArray = _logit(quality).mean(axis=0)
    ability: FloatArray = levels - levels.mean()
    return ability


def difficulty_of(quality: FloatArray, ability: FloatArray) -> FloatArray:
    """Returns the difficulty of each query in [0, 1]: the chance that a backend of average ability fails it.

    `quality` is (..., n_backends), the estimates, `ability` (n_backends,). A pool of able backends does not make its
    queries look easy: what they are expected to get right is held against how able they are.

    >>> difficulty_of(np.array([[0.5, 0.9], [0.1, 0.5]]), np.array([-1.1, 1.1])).round(2).tolist()
    [0.25, 0.75]
    """
    ease = np.add.reduce(_logit(quality) - ability, axis=-1) / len(ability)
    difficulty: FloatArray = 1 / (1 + np.exp(ease))
    return difficulty


def difficulty_of_one(quality: Sequence[float], mean_ability: float) -> float:
    """Returns the difficulty of one query, for which arrays would take longer than its few numbers do."""
    ease = sum([math.log(chance / (1 - chance)) for chance in quality]) / len(quality) - mean_ability
    return 1 / (1 + math.exp(ease))


def _logit(quality: FloatArray) -> FloatArray:
    logits: FloatArray = np.log(quality / (1 - quality))
    return logits
