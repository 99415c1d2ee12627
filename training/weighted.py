"""Figures of merit of probabilities over many weightings of the rows at once, which is what a bootstrap needs.

`weights` is (n_weightings, n_rows): how often each row counts. A row of ones gives the plain figure, a row of
resampling counts gives one bootstrap replicate. Every function returns (n_weightings,), NaN where a weighting
leaves the figure undefined.
"""

from __future__ import annotations

import numpy as np

from .evaluation import FloatArray, IntArray

TOLERANCE = 1e-9  # sums taken in another order differ by less; scores and shares that matter differ by more


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Returns the quotient, NaN where the denominator is zero, without a warning."""
    quotient = np.full(np.broadcast_shapes(numerator.shape, denominator.shape), np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient


def weighted_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the mean of the observed values, along the last axis.

    Args:
        values: (n_rows,) or (n_points, n_rows), NaN = not observed.

    Returns:
        (n_weightings,) or (n_weightings, n_points).
    """
    observed = ~np.isnan(values)
    sums = weights @ np.where(observed, values, 0.0).T
    counts = weights @ observed.T.astype(np.float64)
    return ratio(sums, counts)


def weighted_brier(probability: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the mean squared difference of probability and score (Brier 1950)."""
    return weighted_mean((probability - score) ** 2, weights)


def weighted_ece(probability: FloatArray, score: FloatArray, weights: FloatArray, bin_of_row: IntArray) -> FloatArray:
    """Returns the mean over rows of |mean probability - mean score| of the bin the row is in.

    Reference: Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning".
    """
    n_bins = int(bin_of_row.max(initial=0)) + 1
    excess = np.zeros((len(probability), n_bins))
    excess[np.arange(len(probability)), bin_of_row] = probability - score
    return ratio(np.abs(weights @ excess).sum(axis=1), weights.sum(axis=1))


def weighted_auroc(probability: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns P(a right row has the higher probability than a wrong one), ties counting half; NaN with one class only.

    Reference: Hanley and McNeil 1982. A row is right where its score is at least one half.
    """
    order = np.argsort(probability, kind="stable")
    starts = _tie_starts(probability[order])
    is_right = score[order] >= 0.5
    sorted_weights = weights[:, order]
    right = np.add.reduceat(sorted_weights * is_right, starts, axis=1)
    wrong = np.add.reduceat(sorted_weights * ~is_right, starts, axis=1)
    wrong_below = np.cumsum(wrong, axis=1) - wrong
    wins = (right * (wrong_below + wrong / 2)).sum(axis=1)
    return ratio(wins, right.sum(axis=1) * wrong.sum(axis=1))


def weighted_aurc(confidence: FloatArray, score: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the mean, over every number of answers kept, of 1 - score among the most confident; ties in expectation.

    Reference: Geifman et al. 2019, arXiv:1805.08206. Within a group of m tied rows that follows w rows with loss
    l, keeping j of them has the expected risk (l + j * group loss / m) / (w + j); the sum over j is closed in
    harmonic numbers. Weights are whole numbers.
    """
    order = np.argsort(-confidence, kind="stable")
    starts = _tie_starts(confidence[order])
    sorted_weights = weights[:, order]
    kept = np.add.reduceat(sorted_weights, starts, axis=1)
    loss = np.add.reduceat(sorted_weights * (1 - score[order]), starts, axis=1)
    kept_before = np.cumsum(kept, axis=1) - kept
    loss_before = np.cumsum(loss, axis=1) - loss
    total = weights.sum(axis=1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(total.max(initial=0)) + 1))])
    before = kept_before.astype(np.int64)
    spread = harmonic[before + kept.astype(np.int64)] - harmonic[before]
    loss_rate = np.divide(loss, kept, out=np.zeros_like(loss), where=kept > 0)
    risks = (loss_before - loss_rate * kept_before) * spread + loss
    return ratio(risks.sum(axis=1), total)


def weighted_apgr(win_score: FloatArray, weak: FloatArray, strong: FloatArray, weights: FloatArray) -> FloatArray:
    """Returns the area under performance gap recovered against share of calls to the strong backend.

    Reference: Ong et al. 2024, arXiv:2406.18665. See `metrics.apgr`.
    """
    calls, recovered = _gap_recovered(win_score, weak, strong, weights)
    return np.asarray(np.trapezoid(recovered, calls, axis=1) / calls[:, -1])


def weighted_cpt(
    win_score: FloatArray, weak: FloatArray, strong: FloatArray, percent: float, weights: FloatArray
) -> FloatArray:
    """Returns the least per cent of calls to the strong backend that recovers `percent` of the gap.

    Reference: Ong et al. 2024, arXiv:2406.18665. See `metrics.cpt`.
    """
    calls, recovered = _gap_recovered(win_score, weak, strong, weights)
    needed = percent / 100
    reached = recovered >= needed - TOLERANCE
    end = reached.argmax(axis=1)
    start = np.maximum(end - 1, 0)
    row = np.arange(len(weights))
    step = ratio(needed - recovered[row, start], recovered[row, end] - recovered[row, start])
    exact = calls[row, start] + np.clip(np.nan_to_num(step), 0, 1) * (calls[row, end] - calls[row, start])
    whole = np.ceil(exact - TOLERANCE)  # a query is sent or not
    return np.where(reached.any(axis=1), 100 * whole / calls[:, -1], np.nan)


def _gap_recovered(
    win_score: FloatArray, weak: FloatArray, strong: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Returns calls to the strong backend and share of the gap recovered, both (n_weightings, n_ties + 1).

    Tied queries are sent in an unknown order, so in expectation the gap closes in a straight line within a tie.
    All NaN where the strong backend is not the better one.
    """
    order = np.argsort(-win_score, kind="stable")
    starts = _tie_starts(win_score[order])
    sorted_weights = weights[:, order]
    gain = np.cumsum(np.add.reduceat(sorted_weights * (strong - weak)[order], starts, axis=1), axis=1)
    calls = np.cumsum(np.add.reduceat(sorted_weights, starts, axis=1), axis=1)
    total = np.where(gain[:, -1:] > TOLERANCE, gain[:, -1:], 0.0)
    zero = np.zeros((len(weights), 1))
    return np.hstack([zero, calls]), ratio(np.hstack([zero, gain]), total)


def _tie_starts(ordered: FloatArray) -> IntArray:
    """Returns where each run of equal values begins."""
    return np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
