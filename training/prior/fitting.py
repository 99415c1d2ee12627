"""Public traces in, the prior of the cold start out: one Rasch model over all sets, by penalised likelihood.

logit P(correct) = mean of tier and price + what is peculiar to the model + what it does otherwise on that set
                   + how hard the set is - how hard its text says the query is

Of tiers and price the fit tells what does not hold from set to set, so that only their level is taken from it; and to
the difficulty comes what parts the backends, `gains.py`.

Each of the peculiar parts is normal around 0 with a variance of its own, which is fitted along (empirical Bayes: the
EM algorithm with a Gaussian posterior, Laird 1978, "Empirical Bayes methods for two-way contingency tables").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...backends import BackendSpec
from ...backends.spec import TIERS
from ...classifiers.logistic import sigmoid
from ...classifiers.public_prior import PublicPrior, worth_of
from ...classifiers.sparse import Float32Array
from ...classifiers.surface import SURFACE_SCALE, standardize, surface_of
from ..evaluation import FloatArray
from .gains import gain_weights, mean_gain

_TEXT_PENALTY = 300.0  # on the weights of the text, chosen by what they tell of sets that were left out
_FIXED_PENALTY = 0.05  # on tiers and price
_START = (0.5, 0.5, 1.0)  # standard deviations: of models, of models on a set, of sets
_N_ROUNDS = 4  # of EM
_TOLERANCE = 1e-4  # logits
# Chosen by routing sets that were left out, and pools drawn from them:
_TIER_ABILITY = np.array([0.0, 0.8, 2.0])  # at the same price
_PRICE_SLOPE = 0.5  # of ability, for each e-fold of a low price
_OF_DIFFICULTY, _OF_GAIN = 0.5, 0.05  # share of the difficulty, and logits for a deviation of what parts backends
_CELLS = 2000.0  # that a set of as many counts as: the weight of a set grows with the root of its size


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSet:
    """Queries that public backends were graded on."""

    texts: Sequence[str]
    specs: Sequence[BackendSpec]  # n_backends
    quality: FloatArray  # (n_queries, n_backends) NaN = not observed


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """A set as the fit takes it."""

    inputs: FloatArray  # (n_queries, n_inputs) of the text
    quality: FloatArray  # (n_queries, n_backends)
    design: FloatArray  # (n_backends, n_others) what else the logit is the sum of
    weight: float  # of a cell


def fit_prior(sets: Sequence[PublicSet]) -> PublicPrior:
    """Returns the prior that the sets teach; backends of one `model` are the same model in all of them."""
    surfaces = [np.stack([surface_of(text) for text in each.texts]) for each in sets]
    mean, scale = _surface_scale(surfaces)
    models = sorted({spec.model for each in sets for spec in each.specs})
    usual = _usual_worth(sets)
    n_fixed = len(TIERS) + 1
    n_columns = sum(len(each.specs) for each in sets)
    n_others = n_fixed + len(models) + n_columns + len(sets)
    reads = []
    column = n_fixed + len(models)
    for place, each in enumerate(sets):
        design = np.zeros((len(each.specs), n_others))
        for row, spec in enumerate(each.specs):
            tier = TIERS.index(spec.tier)
            design[row, tier] = 1
            design[row, len(TIERS)] = _worth(spec) - usual[tier]
            design[row, n_fixed + models.index(spec.model)] = 1
            design[row, column] = 1
            column += 1
        design[:, n_fixed + len(models) + n_columns + place] = 1
        inputs = standardize(surfaces[place], mean, scale).astype(float)
        weight = float(np.sqrt(_CELLS / max(np.isfinite(each.quality).sum(), 1)))
        reads.append(_Read(inputs=inputs, quality=each.quality, design=design, weight=weight))
    n_inputs = reads[0].inputs.shape[1]
    parts = np.split(np.arange(n_inputs + n_fixed, n_inputs + n_others), np.cumsum([len(models), n_columns]))
    deviations = np.array(_START)
    solution = np.zeros(n_inputs + n_others)
    for _ in range(_N_ROUNDS):
        penalty = np.full(len(solution), _TEXT_PENALTY)
        penalty[n_inputs : n_inputs + n_fixed] = _FIXED_PENALTY
        for part, deviation in zip(parts, deviations, strict=True):
            penalty[part] = 1 / deviation**2
        solution, variance = _fit(reads, penalty, solution)
        deviations = np.array([np.sqrt(np.mean(solution[part] ** 2 + variance[part])) for part in parts])
    gains = [mean_gain(each.quality, each.specs) for each in sets]
    parting = gain_weights([read.inputs / SURFACE_SCALE for read in reads], gains) / SURFACE_SCALE
    weights = _OF_DIFFICULTY * solution[:n_inputs] + _OF_GAIN * parting
    level = float(solution[n_inputs : n_inputs + len(TIERS)].mean()) - _centre(reads, solution[:n_inputs])
    ability = _TIER_ABILITY + _PRICE_SLOPE * usual
    return PublicPrior(
        surface_mean=mean,
        surface_scale=scale,
        weights=weights.astype(np.float32),
        intercept=-_centre(reads, weights),
        ability=level + ability - ability.mean(),
        worth=usual,
        price_slope=_PRICE_SLOPE,
        spread=float(np.hypot(deviations[0], deviations[1])),
    )


def _centre(reads: Sequence[_Read], weights: FloatArray) -> float:
    """Returns the mean of what the weights say of the texts of all sets."""
    return float(np.average([np.mean(read.inputs @ weights) for read in reads], weights=_shares(reads)))


def _fit(reads: Sequence[_Read], penalty: FloatArray, solution: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Returns the most likely solution, by Newton's method, and the variance of each part of it."""
    n_inputs = reads[0].inputs.shape[1]
    hessian = np.empty((0, 0))
    for _ in range(12):
        gradient = -penalty * solution
        hessian = np.diag(penalty)
        for read in reads:
            x, others = read.inputs, read.design
            logits = (others @ solution[n_inputs:]) - (x @ solution[:n_inputs])[:, None]
            seen = np.isfinite(read.quality)
            chance = sigmoid(logits)
            residual = np.where(seen, np.nan_to_num(read.quality) - chance, 0) * read.weight
            curvature = np.where(seen, chance * (1 - chance), 0) * read.weight
            gradient[:n_inputs] -= x.T @ residual.sum(axis=1)
            gradient[n_inputs:] += others.T @ residual.sum(axis=0)
            cross = -(x.T @ curvature) @ others
            hessian[:n_inputs, :n_inputs] += x.T @ (x * curvature.sum(axis=1)[:, None])
            hessian[:n_inputs, n_inputs:] += cross
            hessian[n_inputs:, :n_inputs] += cross.T
            hessian[n_inputs:, n_inputs:] += (others.T * curvature.sum(axis=0)) @ others
        step = np.linalg.solve(hessian, gradient)
        solution = solution + step
        if np.abs(step).max() < _TOLERANCE:
            break
    variance: FloatArray = np.diag(np.linalg.inv(hessian)).copy()
    return solution, variance


def _surface_scale(surfaces: Sequence[Float32Array]) -> tuple[Float32Array, Float32Array]:
    """Returns mean and scale of the surface features, a set counting by the root of its size."""
    weights = np.concatenate([np.full(len(surface), len(surface) ** -0.5) for surface in surfaces])
    weights /= weights.sum()
    together = np.concatenate(surfaces).astype(float)
    mean = weights @ together
    deviation = np.sqrt(weights @ (together - mean) ** 2)
    scale = np.where(deviation > 1e-6, SURFACE_SCALE / np.maximum(deviation, 1e-6), 0)
    return mean.astype(np.float32), scale.astype(np.float32)


def _usual_worth(sets: Sequence[PublicSet]) -> FloatArray:
    """Returns what the prices of each tier tell on average, (3,); those of the whole where a tier has none."""
    specs = [spec for each in sets for spec in each.specs]
    everything = float(np.mean([_worth(spec) for spec in specs]))
    found = [[_worth(spec) for spec in specs if spec.tier == tier] for tier in TIERS]
    return np.array([float(np.mean(worth)) if worth else everything for worth in found])


def _worth(spec: BackendSpec) -> float:
    assert spec.price is not None  # the table of models has one for each
    return worth_of(spec.price.usd_per_1m_output)


def _shares(reads: Sequence[_Read]) -> FloatArray:
    return np.array([read.weight * np.isfinite(read.quality).sum() for read in reads])
