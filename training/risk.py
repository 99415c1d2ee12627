"""Risk that is controlled, whatever the losses look like: hypotheses tested in turn, each by betting against it.

Learn then Test (Angelopoulos et al. 2021, arXiv:2110.01052): each setting is a hypothesis, "the mean loss is above the
margin". The settings are tested from safe to bold, each at the full risk, until one is not rejected (fixed-sequence
testing, section 3 there), so that the chance of a wrong promise stays below the risk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from .evaluation import FloatArray

_LARGEST_BET = 0.9  # of what could be lost at once
_FIRST_VARIANCE = 0.05  # guessed of the losses before any is seen


def reject_in_turn(losses: Iterable[FloatArray], *, margin: float, risk: float) -> tuple[int, FloatArray]:
    """Returns how many of the first hypotheses are rejected, and the p-values up to the first that is not.

    `losses` are those of each hypothesis, from safe to bold: (n_queries,), each in [-1, 1].
    """
    p_values: list[float] = []
    for differences in losses:
        p_values.append(p_value(differences, margin=margin, risk=risk))
        if p_values[-1] > risk:
            return len(p_values) - 1, np.array(p_values)
    return len(p_values), np.array(p_values)


def p_value(losses: FloatArray, *, margin: float, risk: float) -> float:
    """Returns a p-value of "the mean loss is `margin` or more", valid for any independent losses in [-1, 1].

    By betting: whoever stakes a share of his capital on each loss being below the margin, fixed before he sees it,
    cannot expect to win where it is not, so his capital passes 1 / p with a chance of at most p (Ville's inequality).
    The stakes are those of Waudby-Smith and Ramdas 2024, arXiv:2010.09686, section 4, for the given risk. They follow
    the variance seen so far, which for a router that mostly asks the best backend is small; bounds that know
    the mean only (Hoeffding-Bentkus), or pay for the variance (empirical Bernstein), need several times the queries.
    The order is shuffled, always in the same way: it may not depend on the losses.

    >>> round(p_value(np.zeros(200), margin=0.02, risk=0.05), 3)
    0.026
    """
    drawn = np.random.default_rng(0).permutation(losses)
    n = len(drawn)
    n_seen = np.arange(1, n + 1)  # counting a guess before the first
    means = _before(np.cumsum(drawn)) / n_seen
    variances = (_FIRST_VARIANCE + _before(np.cumsum((drawn - means) ** 2))) / n_seen
    stakes = np.minimum(np.sqrt(2 * math.log(1 / risk) / (n * variances)), _LARGEST_BET / (1 - margin))
    capital = np.cumsum(np.log1p(stakes * (margin - drawn)))
    return min(1.0, math.exp(-float(capital.max(initial=0.0))))


def _before(totals: FloatArray) -> FloatArray:
    """Returns each running total as it was before its last item."""
    return np.concatenate([[0.0], totals[:-1]])
