"""The cold start: estimates from the query's text and each backend's tier and price, until there are traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..backends import BackendSpec, Usage, cost_usd
from .estimates import Estimates

if TYPE_CHECKING:
    from .public_prior import PublicPrior

# Guesses, not measurements: how much a tier writes, and how fast.
OUTPUT_TOKENS: Mapping[str, float] = {"small": 250.0, "mid": 350.0, "lrm": 2000.0}
EFFORT_TOKENS: Mapping[str, float] = {
    "none": 0.2,
    "minimal": 0.25,
    "low": 0.4,
    "medium": 1.0,
    "high": 2.5,
    "xhigh": 4.0,
    "max": 5.0,
}
_TOKENS_PER_S: Mapping[str, float] = {"small": 120.0, "mid": 70.0, "lrm": 70.0}
_BYTES_PER_TOKEN = 4.0  # of UTF-8: Chinese has more tokens to a character than English


def usual_output_tokens(spec: BackendSpec) -> float:
    """Returns a guess at how many tokens a backend writes for one answer, by its tier and effort."""
    return OUTPUT_TOKENS[spec.tier] * EFFORT_TOKENS.get(spec.effort or "", 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PriorModel:
    """Stands in for a `QueryModel` where nothing was learned yet: it knows what public traces tell."""

    specs: tuple[BackendSpec, ...]
    prior: PublicPrior | None = None  # None: the one that ships with the package

    def estimate(self, text: str) -> Estimates:
        """Returns the estimates for one query."""
        from .public_prior import load_prior  # with the encoder's table, for those who have a query

        prior = self.prior or load_prior()
        input_tokens = self.count_tokens(text)
        difficulty = prior.difficulty_of(text)
        ability = np.array([prior.ability_of(spec) for spec in self.specs])
        tokens = np.array([usual_output_tokens(spec) for spec in self.specs])
        speed = np.array([_TOKENS_PER_S[spec.tier] for spec in self.specs])
        cost = np.array(
            [
                cost_usd(Usage(input_tokens=input_tokens, output_tokens=round(n)), spec.price) if spec.price else np.nan
                for spec, n in zip(self.specs, tokens, strict=True)
            ]
        )
        return Estimates(
            backends=tuple(spec.name for spec in self.specs),
            quality=prior.quality(ability, difficulty),
            cost_usd=cost,
            output_tokens=tokens,
            latency_s=tokens / speed,
            difficulty=1 - float(prior.quality(ability.mean(keepdims=True), difficulty)[0]),
            input_tokens=input_tokens,
            source="cold start",
        )

    def count_tokens(self, text: str) -> int:
        """Returns about how many tokens a text has."""
        return round(len(text.encode("utf-8", "replace")) / _BYTES_PER_TOKEN) + 1

    def estimate_all(self, texts: Sequence[str]) -> list[Estimates]:
        """Returns the estimates for many queries."""
        return [self.estimate(text) for text in texts]
