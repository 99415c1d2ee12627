"""What the past of a conversation means for who is asked next.

Staying is worth what the backend's cache saves: the difference between the prices of input and of cached input, for the
tokens it has read before. It is part of the expected cost, so that every objective weighs a switch in its own terms:
one has to gain more than the lost cache, and the conversation that is to be read again, cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...backends import TIERS, BackendSpec
from ...classifiers import Estimates
from .turn import Past


def savings_usd(past: Past, specs: Mapping[str, BackendSpec], input_tokens: int) -> dict[str, float]:
    """Returns what a call costs less at each backend that should have the conversation in its cache."""
    saved = {}
    for name, n_tokens in past.cached_tokens.items():
        price = specs[name].price if name in specs else None
        if price is not None and price.usd_per_1m_cached_input is not None:
            less = price.usd_per_1m_input - price.usd_per_1m_cached_input
            saved[name] = less * min(n_tokens, input_tokens) / 1e6
    return {name: usd for name, usd in saved.items() if usd > 0}


def with_savings(estimates: Estimates, saved_usd: Mapping[str, float]) -> Estimates:
    """Returns the estimates with what is saved taken off their costs."""
    if not saved_usd:
        return estimates
    saved = np.array([saved_usd.get(name, 0.0) for name in estimates.backends])
    return replace(estimates, cost_usd=estimates.cost_usd - saved)


def tier_drops(
    past: Past, specs: Mapping[str, BackendSpec], excluded: Mapping[str, str], unavailable: Mapping[str, str]
) -> dict[str, str]:
    """Returns the backends that are of too low a tier to take up what the last answer's tools have brought, and why.

    One that merely cannot be asked now still counts: the caller is told to wait. Only where wishes leave nobody of that
    tier, the highest that they leave has to do.
    """
    if not past.is_in_tool_loop or past.last not in specs:
        return {}
    tiers = {name: TIERS.index(spec.tier) for name, spec in specs.items()}
    left = [tiers[name] for name in tiers if name not in excluded or excluded[name] == unavailable.get(name)]
    floor = min(tiers[past.last], max(left, default=0))
    return {
        name: f"tier {TIERS[tier]} is below {TIERS[floor]}, and in a tool loop it never drops"
        for name, tier in tiers.items()
        if tier < floor and name not in excluded
    }


def past_in_words(past: Past, backend: str, saved_usd: Mapping[str, float]) -> str:
    """Returns whether the conversation stays where it is, and what speaks for that; "" where nothing is known of it."""
    if not past.last:
        return ""
    worth = f"${saved_usd[past.last]:.6f}" if past.last in saved_usd else ""
    if past.last == backend:
        words = f"stays with {backend}" + (f", whose cache saves {worth}" if worth else "")
    else:
        words = f"switches from {past.last}" + (f", whose cache would have saved {worth}" if worth else "")
    return words + (", in a tool loop" if past.is_in_tool_loop else "")
