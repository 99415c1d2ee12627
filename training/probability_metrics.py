"""Figures of merit of probabilities: how well they part right from wrong, and whether they mean what they say.

Pure numpy. Arrays of probabilities and scores have one shape; cells where either is NaN are left out.
"""

from __future__ import annotations

import numpy as np

from .evaluation import FloatArray, IntArray
from .weighted import weighted_aurc, weighted_auroc, weighted_brier, weighted_ece


def equal_width_bins(probability: FloatArray, n_bins: int = 15) -> IntArray:
    """Returns the bin of each probability, [0, 1] cut into bins of one width."""
    return np.clip((probability * n_bins).astype(np.int64), 0, n_bins - 1)


def equal_mass_bins(probability: FloatArray, n_bins: int = 15) -> IntArray:
    """Returns the bin of each probability, cut so that bins hold about as many rows; equal values share one."""
    edges = np.quantile(probability, np.arange(1, n_bins) / n_bins) if len(probability) else np.zeros(0)
    return np.searchsorted(np.unique(edges), probability, side="right").astype(np.int64)


def brier(probability: FloatArray, score: FloatArray) -> float:
    """Returns the mean squared difference of probability and score (Brier 1950); cells with a NaN are left out."""
    probability, score = observed_pairs(probability, score)
    return float(weighted_brier(probability, score, np.ones((1, len(score))))[0])


def ece(probability: FloatArray, score: FloatArray) -> float:
    """Returns the expected calibration error over 15 bins of equal width (Naeini et al. 2015)."""
    probability, score = observed_pairs(probability, score)
    return float(weighted_ece(probability, score, np.ones((1, len(score))), equal_width_bins(probability))[0])


def ece_equal_mass(probability: FloatArray, score: FloatArray) -> float:
    """Returns the expected calibration error over 15 bins that hold about as many rows each."""
    probability, score = observed_pairs(probability, score)
    return float(weighted_ece(probability, score, np.ones((1, len(score))), equal_mass_bins(probability))[0])


def auroc(probability: FloatArray, score: FloatArray) -> float:
    """Returns P(a right row has the higher probability than a wrong one), ties counting half (Hanley, McNeil 1982).

    Right is a score of at least one half. NaN where all rows are right or all are wrong.
    """
    probability, score = observed_pairs(probability, score)
    return float(weighted_auroc(probability, score, np.ones((1, len(score))))[0]) if len(score) else float("nan")


def aurc(confidence: FloatArray, score: FloatArray) -> float:
    """Returns the area under the risk-coverage curve, less is better (Geifman et al. 2019, arXiv:1805.08206)."""
    confidence, score = observed_pairs(confidence, score)
    return float(weighted_aurc(confidence, score, np.ones((1, len(score))))[0]) if len(score) else float("nan")


def risk_coverage(confidence: FloatArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns coverage (share of answers kept) and risk (1 - mean score among them), most confident first."""
    confidence, score = observed_pairs(confidence, score)
    order = np.argsort(-confidence, kind="stable")
    kept = np.arange(1, len(order) + 1)
    last_of_tie = np.flatnonzero(np.append(np.diff(confidence[order]) != 0, True)) if len(order) else kept
    risk = np.cumsum(1 - score[order]) / kept
    return kept[last_of_tie] / max(len(order), 1), risk[last_of_tie]


def observed_pairs(probability: FloatArray, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns both arrays flattened to the cells where neither is NaN."""
    known = ~(np.isnan(probability) | np.isnan(score))
    return probability[known], score[known]
