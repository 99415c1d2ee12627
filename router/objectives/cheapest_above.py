"""`objective: cheapest_above`: the cheapest backend that is good enough, and another if its answer is not."""

from __future__ import annotations

import numpy as np

from ..outlook import Outlook, Tried, can_check
from ..policy import Policy
from .utility import best_place, expected_after


class CheapestAbove:
    """Asks the cheapest backend whose estimated quality reaches `policy.quality`, or else the best one.

    Goes on while the confidence in the best answer is below that quality and somebody is likelier to be right; where
    answers cannot be judged, there is nothing to go on for.
    """

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the cheapest good enough backend."""
        is_enough = outlook.quality >= policy.quality
        value = np.where(is_enough, -outlook.cost_usd, -np.inf) if is_enough.any() else outlook.quality
        return best_place(value, outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the cheapest place that is expected to be good enough now, or the likeliest to be right."""
        confidence = max(call.confidence for call in tried)
        if len(tried) >= outlook.max_calls or confidence >= policy.quality or not can_check(outlook, tried):
            return None
        chance = expected_after(outlook, tried)
        allowed = (outlook.cost_usd <= outlook.budget_usd - sum(c.cost_usd for c in tried)) & (chance > confidence)
        allowed[[call.place for call in tried]] = False
        if not allowed.any():
            return None
        is_enough = allowed & (chance >= policy.quality)
        value = (
            np.where(is_enough, -outlook.cost_usd, -np.inf) if is_enough.any() else np.where(allowed, chance, -np.inf)
        )
        return best_place(value, outlook)
