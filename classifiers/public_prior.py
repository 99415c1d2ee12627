"""What public traces tell before there are any of one's own: how hard a text looks, and how able a tier is.

The Rasch model (Rasch 1960) with the difficulty read off the text, as in IRT-Router (arXiv:2506.01048, eq. 3 with one
dimension): logit P(correct) = ability of the backend - difficulty of the query. `python -m penstock.training.prior`
fits it, `data/prior/README.md` is its card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..backends.spec import TIERS
from .shipped import load_table, save_table
from .sparse import Float32Array
from .surface import SURFACE_NAMES, standardize, surface_of

if TYPE_CHECKING:
    from ..backends import BackendSpec
    from .ridge import FloatArray

LEAST_PRICE = 0.01  # USD per million tokens
# Up to here a dearer model is an abler one; above, it is for the most part an older one or another firm's.
_FULL_PRICE = 0.4
_ABOVE = 0.05  # of what a price tells below

# Guesses, in logits: the public traces hold no model at several efforts.
_EFFORT: Mapping[str, float] = {
    "none": -0.6,
    "minimal": -0.5,
    "low": -0.3,
    "medium": 0.0,
    "high": 0.2,
    "xhigh": 0.25,
    "max": 0.3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicPrior:
    """Difficulty of texts and ability of tiers, in logits; 0 is the mean difficulty of the public queries."""

    surface_mean: Float32Array  # (n_surface,)
    surface_scale: Float32Array  # (n_surface,) 0 for a feature that never varies
    weights: Float32Array  # (n_surface,) of the difficulty
    intercept: float
    ability: FloatArray  # (3,) of each of TIERS at its usual price
    worth: FloatArray  # (3,) what `worth_of` says of that
    price_slope: float  # logits of ability for each unit of that
    spread: float  # standard deviation of a backend's ability around that

    def difficulty_of(self, text: str) -> float:
        """Returns the difficulty of a text in logits, greater is harder."""
        standard = standardize(surface_of(text), self.surface_mean, self.surface_scale)
        return float(standard.astype(np.float64) @ self.weights + self.intercept)

    def ability_of(self, spec: BackendSpec) -> float:
        """Returns the ability in logits that tier, price and effort suggest."""
        tier = TIERS.index(spec.tier)
        ability = float(self.ability[tier]) + _EFFORT.get(spec.effort or "", 0.0)
        if spec.price is None or not spec.price.usd_per_1m_output:
            return ability  # what runs at home is no less able for being free
        return ability + self.price_slope * (worth_of(spec.price.usd_per_1m_output) - float(self.worth[tier]))

    def quality(self, ability: FloatArray, difficulty: float) -> FloatArray:
        """Returns P(correct) of backends of which no more than that is known, (n_backends,).

        Averaged over how able such backends turn out to be, by the approximation of MacKay 1992 ("The evidence
        framework applied to classification networks", eq. 11): being unsure draws towards one half.
        """
        flattened = (ability - difficulty) / math.sqrt(1 + math.pi / 8 * self.spread**2)
        quality: FloatArray = 0.5 + 0.5 * np.tanh(0.5 * flattened)
        return quality


def worth_of(usd_per_1m_output: float) -> float:
    """Returns what a price tells of ability: its logarithm, 0 at $0.40, above which it counts for a twentieth."""
    log_price = math.log(max(usd_per_1m_output, LEAST_PRICE) / _FULL_PRICE)
    return min(log_price, _ABOVE * log_price)


_ARRAYS = ("surface_mean", "surface_scale", "weights", "ability", "worth")
_NUMBERS = ("intercept", "price_slope", "spread")


def save_prior(prior: PublicPrior, path: Path) -> None:
    """Writes the prior as safetensors; the same prior, the same bytes."""
    arrays = {name: getattr(prior, name) for name in _ARRAYS}
    save_table({**arrays, "numbers": np.array([getattr(prior, name) for name in _NUMBERS])}, path)


@cache
def load_prior() -> PublicPrior:
    """Returns the prior that ships with the package.

    Raises:
        ArtefactError: it does not fit the code around it.
    """
    arrays = load_table(
        "prior", what="the difficulty of public queries", n_weights=len(SURFACE_NAMES), each="surface features"
    )
    intercept, price_slope, spread = arrays.pop("numbers").tolist()
    return PublicPrior(**arrays, intercept=intercept, price_slope=price_slope, spread=spread)
