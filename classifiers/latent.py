"""What the errors of models have in common: one hidden difficulty of the query, on a few nodes.

Given the difficulty, backends are right or wrong independently of each other; without it they are not, since a query
that one finds hard the others find hard too. This is the one-factor model of item response theory (Bock and Aitkin
1981, "Marginal maximum likelihood estimation of item parameters"), with the estimate of each query in the place of an
item's own parameter. Right answers are all the same. Wrong ones fall together as guests at the tables of a Chinese
restaurant (Ewens 1972), the oftener the harder the query: what misleads one model misleads another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .sample import sample

if TYPE_CHECKING:
    from .ridge import FloatArray
    from .sparse import IntArray

LOADING = 1.5  # of a backend of which nothing is known: errors of models go together
COLLISION = (-1.4, 0.0)  # log-odds that two wrong answers are the same: one time in five, however hard the query

_N_NODES = 9
_EDGE = 1e-4  # probabilities are kept this far from 0 and 1
_NEWTON_STEPS = 3
_LEAST_STEEP = 4e-6

_MAX_QUERIES = 3000  # more teach these few numbers nothing new
_LOADINGS = np.arange(17) * 0.25
_OVERLAPS = (0.0, 0.25, 0.5, 0.75, 1.0)
_INTERCEPTS = np.arange(-8, 9) * 0.5
_SLOPES = np.arange(-6, 7) * 0.25
_LOADING_SPREAD, _OWN_SPREAD = 1.0, 0.5  # how far that of all is believed to be from the default, each one's from it
_INTERCEPT_SPREAD, _SLOPE_SPREAD = 1.5, 0.5


@cache
def difficulty_nodes() -> tuple[FloatArray, FloatArray]:
    """Returns the nodes of a standard normal difficulty, from hard to easy, and their weights (Gauss and Hermite)."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(_N_NODES)
    return nodes, weights / weights.sum()


def at_nodes(quality: FloatArray, loading: FloatArray) -> FloatArray:
    """Returns P(right) of each estimate at every difficulty, (..., n_nodes); the mean over the nodes is the estimate.

    The logistic function of shift + loading * node, where the shift is found by Newton's method.
    """
    nodes, weights = difficulty_nodes()
    wanted = np.minimum(np.maximum(quality, _EDGE), 1 - _EDGE)
    # The logistic function of x is (1 + tanh(x / 2)) / 2: shift, slope and wanted mean are those of the tanh.
    slope = (0.5 * loading)[..., None] * nodes
    shift = np.log(wanted / (1 - wanted)) * np.sqrt(0.25 + (loading / 3.4) ** 2)
    wanted = 2 * wanted - 1
    for _ in range(_NEWTON_STEPS):
        chance: FloatArray = np.tanh(shift[..., None] + slope)
        steepness = np.maximum(1 - (chance * chance) @ weights, _LEAST_STEEP)
        shift -= np.minimum(np.maximum((chance @ weights - wanted) / steepness, -0.5), 0.5)
    chance = np.tanh(shift[..., None] + slope)
    chance *= 0.5
    chance += 0.5
    return chance


def few_at_nodes(quality: Sequence[float], loading: Sequence[float]) -> FloatArray:
    """Returns `at_nodes` of few estimates, (n, n_nodes): step by step, which for a handful is quicker than arrays."""
    nodes, weights = (each.tolist() for each in difficulty_nodes())
    rows = []
    for estimate, own in zip(quality, loading, strict=True):
        chance = min(max(estimate, _EDGE), 1 - _EDGE)
        slope = [0.5 * own * node for node in nodes]
        shift = math.log(chance / (1 - chance)) * math.sqrt(0.25 + (own / 3.4) ** 2)
        for _ in range(_NEWTON_STEPS):
            excess, steepness = 1 - 2 * chance, 1.0
            for level, weight in zip(slope, weights, strict=True):
                value = math.tanh(shift + level)
                weighed = weight * value
                excess += weighed
                steepness -= weighed * value
            shift -= min(max(excess / max(steepness, _LEAST_STEEP), -0.5), 0.5)
        rows.append([0.5 + 0.5 * math.tanh(shift + level) for level in slope])
    return np.array(rows)


def dispersion_at_nodes(collision: FloatArray) -> FloatArray:
    """Returns 1 / P(two wrong answers are the same) - 1 at every difficulty, (n_nodes,).

    The next of n wrong answers is a new one with probability dispersion / (dispersion + n), and the same as m earlier
    ones with probability m / (dispersion + n).
    """
    nodes, _ = difficulty_nodes()
    dispersion: FloatArray = np.exp(np.minimum(np.maximum(-collision[0] - collision[1] * nodes, -9.0), 9.0))
    return dispersion


def likelihood_ratio(estimate: float, confidence: float) -> float:
    """Returns how much likelier an answer would look as it does if it were right: odds after over odds before."""
    before, after = (min(max(chance, _EDGE), 1 - _EDGE) for chance in (estimate, confidence))
    return after / (1 - after) * (1 - before) / before


def shared_evidence(n_answers: int, overlap: float) -> float:
    """Returns which power of its likelihood ratio each of several answers counts with.

    What is seen in one is in part what is seen in another, such as that the query is hard. With an overlap of 0 they
    tell of different things, with 1 of the same.
    """
    return float(max(n_answers, 1) ** -overlap)


def fit_overlap(quality: FloatArray, estimates: FloatArray, confidences: FloatArray, loading: FloatArray) -> float:
    """Returns the overlap under which the confidences in all answers together tell best who was right."""
    rows = sample(len(quality), _MAX_QUERIES)
    quality, estimates, confidences = quality[rows], estimates[rows], confidences[rows]
    seen = np.isfinite(quality) & np.isfinite(estimates) & np.isfinite(confidences)
    n_seen = seen.sum(axis=1)
    if not (n_seen > 1).any():
        return 0.0
    chance = at_nodes(np.where(seen, estimates, 0.5), np.broadcast_to(loading, estimates.shape))
    ratios = np.vectorize(likelihood_ratio)(np.where(seen, estimates, 0.5), np.where(seen, confidences, 0.5))
    ratio = np.log(ratios)

    def worth(overlap: float) -> float:
        told = ratio * (np.maximum(n_seen, 1) ** -overlap)[:, None]
        right, wrong = np.log(chance) + told[..., None], np.log(1 - chance)
        outcome = np.where((quality >= 0.5)[..., None], right, wrong) * seen[..., None]
        anything = np.logaddexp(right, wrong) * seen[..., None]
        return _evidence(outcome.sum(axis=1)) - _evidence(anything.sum(axis=1))

    return max(_OVERLAPS, key=worth)


def fit_latent(quality: FloatArray, estimates: FloatArray, answers: IntArray) -> tuple[FloatArray, FloatArray]:
    """Returns the loading of each backend, (n_backends,), and the collision, (2,), by penalised maximum likelihood.

    Of who was right and which wrong answers were the same; matrices as `fit_escalation` takes them. One number after
    the other, each on a grid, which is robust and gives the same on every machine.
    """
    rows = sample(len(quality), _MAX_QUERIES)
    quality, estimates, answers = quality[rows], estimates[rows], answers[rows]
    known = np.isfinite(quality) & np.isfinite(estimates)
    is_right = quality >= 0.5
    n_wrong, n_distinct = _count_wrong(known & ~is_right, answers)
    columns = range(quality.shape[1])

    def success(column: int, loading: float) -> FloatArray:
        """Returns log P(that backend did as it did) at every node, (n_queries, n_nodes)."""
        rows = known[:, column]
        chance = at_nodes(estimates[rows, column], np.full(int(rows.sum()), loading))
        logs = np.zeros((len(quality), _N_NODES))
        logs[rows] = np.log(np.where(is_right[rows, column, None], chance, 1 - chance))
        return logs

    def sameness(collision: FloatArray) -> FloatArray:
        """Returns log P(which wrong answers are the same), but for a constant, (n_queries, n_nodes)."""
        dispersion = dispersion_at_nodes(collision)
        risen = np.cumsum(np.log(dispersion + np.arange(n_wrong.max(initial=0) + 1)[:, None]), axis=0)
        risen = np.concatenate([np.zeros((1, _N_NODES)), risen])
        logs: FloatArray = n_distinct[:, None] * np.log(dispersion) - risen[n_wrong]
        return logs

    totals = {s: np.sum([success(column, s) for column in columns], axis=0) for s in _LOADINGS[::2].tolist()}
    common, collision = LOADING, np.array(COLLISION)
    for _ in range(2):
        shared = sameness(collision)
        common = max(totals, key=lambda s: _evidence(totals[s] + shared) - _penalty(s, LOADING, _LOADING_SPREAD))
        collision = _best_collision(sameness, totals[common])
    loading = np.full(quality.shape[1], common)
    logs = totals[common] + sameness(collision)
    for column in columns:
        others = logs - success(column, common)
        tried = [s for s in _LOADINGS.tolist() if abs(s - common) <= 3 * _OWN_SPREAD]
        worth = [_evidence(others + success(column, s)) - _penalty(s, common, _OWN_SPREAD) for s in tried]
        loading[column] = tried[int(np.argmax(worth))]
    return loading, collision


def _best_collision(sameness: Callable[[FloatArray], FloatArray], success: FloatArray) -> FloatArray:
    """Returns the best intercept and slope; together, since hard queries are where the wrong answers are."""
    best, greatest = np.array(COLLISION), -np.inf
    for intercept, slope in product(_INTERCEPTS, _SLOPES):
        unlikely = _penalty(intercept, COLLISION[0], _INTERCEPT_SPREAD) + _penalty(slope, COLLISION[1], _SLOPE_SPREAD)
        gain = _evidence(success + sameness(np.array([intercept, slope]))) - unlikely
        if gain > greatest:
            best, greatest = np.array([intercept, slope]), gain
    return best


def fit_collision_rate(log_odds: FloatArray) -> FloatArray:
    """Returns the collision, (2,), where it is only known by how much the odds that two wrong answers are the same are
    above those of any, (n_pairs,); the same at every difficulty.
    """

    def worth(intercept: float) -> float:
        chance = 0.5 + 0.5 * math.tanh(0.5 * intercept)
        told = np.log(chance * np.exp(log_odds) + 1 - chance).sum()
        return float(told) - _penalty(intercept, COLLISION[0], _INTERCEPT_SPREAD)

    return np.array([max(_INTERCEPTS.tolist(), key=worth), 0.0])


def _evidence(logs: FloatArray) -> float:
    """Returns the log-likelihood of all queries, the difficulty summed out."""
    _, weights = difficulty_nodes()
    top = logs.max(axis=1, keepdims=True)
    return float((np.log(np.exp(logs - top) @ weights) + top[:, 0]).sum())


def _penalty(value: float, expected: float, spread: float) -> float:
    return float(((value - expected) / spread) ** 2 / 2)


def _count_wrong(is_wrong: NDArray[np.bool_], answers: IntArray) -> tuple[IntArray, IntArray]:
    """Returns for each query how many wrong answers can be compared, and how many different ones there are."""
    labels = np.sort(np.where(is_wrong & (answers >= 0), answers, -1), axis=1)
    is_counted = labels >= 0
    is_new = is_counted.copy()
    is_new[:, 1:] &= labels[:, 1:] != labels[:, :-1]
    return is_counted.sum(axis=1), is_new.sum(axis=1)
