"""The prior head: what public traces tell of difficulty, and what few labels tell of the backends.

The Rasch model (Rasch 1960) with the difficulty read off the text by the weights that ship for the cold start:

    logit P(correct) = ability of the backend - slope of the backend * difficulty of the text - oddity of the query

Everything but the difficulty is learned, and starts from what is normal among public traces (empirical Bayes), so that
ten labels are not too few, and a thousand have the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from .efforts import model_of
from .features import Features
from .heads import Predictor, check_quality
from .logistic import LogisticMap, sigmoid
from .public_prior import PublicPrior, load_prior
from .ridge import FloatArray, LinearMap
from .sparse import Float32Array, IntArray

# What is normal, in logits, as found in the public traces by fits that left each set out in turn.
_LEVEL = 2.0  # standard deviation of how easy a set of queries is
ABILITY_PER_COST = 0.25  # of ability, for each e-fold of what a query costs
_MODEL_SPREAD, _OWN_SPREAD = 0.45, 0.45  # of abilities around that: of models, and of the efforts of one
_SLOPE, _SLOPE_SPREAD = 0.45, 0.3  # for a text harder than the average one by one standard deviation
_OWN_SLOPE_SPREAD = 0.15  # of a backend's slope around that of all
_ODDITY = 1.0  # standard deviation of what makes a query hard and does not show in its text

_LEAST_COST_USD = 1e-6  # what runs at home is no less able for being free
_MAX_STEPS = 30  # of Newton's method
_TOLERANCE = 1e-6


class PriorHead:
    """Learns abilities and slopes around what is normal, dearer backends being the abler ones.

    `cost_usd` is (n_queries, n_backends), NaN = not known; without it all are expected to be alike. `backends` are
    their names, which tell the efforts of one model; without them each is a model of its own. `prior` is what is known
    of difficulty, by default what ships with the package.
    """

    predictor_: Predictor

    def __init__(
        self,
        *,
        cost_usd: FloatArray | None = None,
        backends: Sequence[str] | None = None,
        prior: PublicPrior | None = None,
    ) -> None:
        self.cost_usd = cost_usd
        self.backends = backends
        self.prior = prior
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns from the observed cells."""
        check_quality(features, quality)
        weights = _difficulty_weights(self.prior or load_prior(), features.surface_scale)
        raw = features.dense[:, features.embedding_dim :].astype(float) @ weights
        unit = max(float(raw.std()), 1e-6)  # how far texts differ depends on the set, how far queries do hardly
        expected = np.zeros(quality.shape[1]) if self.cost_usd is None else expected_ability(self.cost_usd)
        models = list(range(len(expected))) if self.backends is None else [model_of(name) for name in self.backends]
        belief = fit_abilities(quality, (raw - raw.mean()) / unit, expected, models)
        # Averaged over what is still open, by the approximation of MacKay 1992 ("The evidence framework applied to
        # classification networks", eq. 11), at the query in the middle.
        certainty = 1 / np.sqrt(1 + np.pi / 8 * belief.variance)
        slopes = certainty * belief.slope / unit
        dense_weights = np.zeros((features.dense.shape[1], quality.shape[1]), dtype=np.float32)
        dense_weights[features.embedding_dim :] = -np.outer(weights, slopes)
        self.predictor_ = LogisticMap(
            linear=LinearMap(
                dense_weights=dense_weights,
                term_weights=np.empty((0, quality.shape[1]), dtype=np.float32),
                intercept=(certainty * belief.ability + slopes * raw.mean()).astype(np.float32),
            )
        )
        return self


def expected_ability(cost_usd: FloatArray) -> FloatArray:
    """Returns the ability, (n_backends,), that costs suggest, (n_queries, n_backends), NaN = not known."""
    known = np.isfinite(cost_usd)
    mean = np.where(known, cost_usd, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    ability = ABILITY_PER_COST * np.log(np.maximum(mean, _LEAST_COST_USD))
    is_known = known.any(axis=0)
    return np.where(is_known, ability - ability[is_known].mean(), 0.0) if is_known.any() else np.zeros(len(mean))


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """What is believed of each backend, in logits, once some labels were seen."""

    ability: FloatArray  # (n_backends,) on a query of average difficulty
    slope: FloatArray  # (n_backends,) what a standard deviation of difficulty takes away
    variance: FloatArray  # (n_backends,) of the logit of a query that was not seen, at average difficulty


def fit_abilities(
    quality: FloatArray, difficulty: FloatArray, expected: FloatArray, models: Sequence[object]
) -> Belief:
    """Returns the most likely belief, by Newton's method, and the curvature there (Laplace's approximation).

    `quality` is (n_queries, n_backends), NaN = not observed, `difficulty` (n_queries,) standardised, `expected`
    (n_backends,) abilities before any label, but for a level that all share. Backends of which `models` (n_backends,)
    says the same are one model. The oddity of each query, which all its labels share, is solved for along with the
    rest, and eliminated, so that the cost is linear in the queries.
    """
    n_queries, n_backends = quality.shape
    seen = np.isfinite(quality)
    scores = np.where(seen, quality, 0.0)
    precision, centre = _prior(expected, models)
    belief, oddity = centre, np.zeros(n_queries)
    hessian = precision
    for _ in range(_MAX_STEPS):
        ability, slope = np.split(belief, 2)
        chance = sigmoid(ability - np.outer(difficulty, slope) - oddity[:, None])
        residual = np.where(seen, scores - chance, 0.0)
        curvature = np.where(seen, chance * (1 - chance), 0.0)
        uphill = np.concatenate([residual.sum(axis=0), -difficulty @ residual]) - precision @ (belief - centre)
        uphill_oddity = -residual.sum(axis=1) - oddity / _ODDITY**2
        cross = np.concatenate([curvature, -difficulty[:, None] * curvature], axis=1)  # (n_queries, 2 n_backends)
        own = curvature.sum(axis=1) + 1 / _ODDITY**2
        first, second = (np.diag(difficulty**power @ curvature) for power in (1, 2))
        hessian = precision + np.block([[np.diag(curvature.sum(axis=0)), -first], [-first, second]])
        hessian = hessian - cross.T @ (cross / own[:, None])
        step = np.linalg.solve(hessian, uphill + cross.T @ (uphill_oddity / own))
        step_oddity = (uphill_oddity + cross @ step) / own
        longest = max(float(np.abs(step).max()), float(np.abs(step_oddity).max()))
        belief = belief + step / max(1.0, longest)  # no further than one logit at a time
        oddity = oddity + step_oddity / max(1.0, longest)
        if longest < _TOLERANCE:
            break
    ability, slope = np.split(belief, 2)
    # What was put down to the oddity of these queries is unknown of another one.
    variance = np.diag(np.linalg.inv(hessian))[:n_backends] + float(np.mean(oddity**2))
    return Belief(ability=ability, slope=slope, variance=variance)


def _prior(expected: FloatArray, models: Sequence[object]) -> tuple[FloatArray, FloatArray]:
    """Returns precision, (2 n_backends, 2 n_backends), and centre of abilities and slopes before any label."""
    n = len(expected)
    shared, own, nothing = np.ones((n, n)), np.eye(n), np.zeros((n, n))
    kin = np.array([[one == other for other in models] for one in models], dtype=float)
    ability = _LEVEL**2 * shared + _MODEL_SPREAD**2 * kin + _OWN_SPREAD**2 * own
    slope = _SLOPE_SPREAD**2 * shared + _OWN_SLOPE_SPREAD**2 * own
    precision = np.block([[np.linalg.inv(ability), nothing], [nothing, np.linalg.inv(slope)]])
    return precision, np.concatenate([expected, np.full(n, _SLOPE)])


def _difficulty_weights(prior: PublicPrior, scale: Float32Array) -> FloatArray:
    """Returns the weights of surface features that were standardised with another scale, (n_surface,)."""
    is_told = scale > 0  # what never varies here tells nothing here
    return np.where(is_told, prior.weights * prior.surface_scale / np.where(is_told, scale, 1), 0.0).astype(np.float64)
