"""`objective: cheapest_above`: the cheapest backend that is good enough, and another if its answer is not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..handover import best_check
from ..lookahead import MIN_GAIN, gains
from ..outlook import Outlook, Tried
from ..policy import Policy
from ..readings import confidences
from .utility import best_place

_SAME = 1e-6  # confidences this near differ by rounding only


class CheapestAbove:
    """Asks the cheapest backend whose estimated quality reaches `policy.quality`, or else the best one.

    Goes on while the confidence in the best answer is below that quality and another one is expected to raise it.
    """

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the cheapest good enough backend."""
        is_enough = outlook.quality >= policy.quality
        value = np.where(is_enough, -outlook.cost_usd, -np.inf) if is_enough.any() else outlook.quality
        return best_place(value, outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the cheapest place that is expected to be good enough now, or the one that is expected to be best."""
        confidence = float(confidences(outlook, tried).max())
        if len(tried) >= outlook.max_calls or confidence >= policy.quality - _SAME:
            return None
        next_call = replace(outlook, max_calls=len(tried) + 1)
        gain = gains(next_call, tried, lam=0.0, price=0.0)
        cost = outlook.cost_usd
        check = best_check(next_call, tried, lam=0.0, price=0.0)
        if check is not None and outlook.checks is not None:
            gain = np.append(gain, check.gain)
            cost = np.append(cost, outlook.checks.cost_usd[check.place - len(outlook.backends)])
        helps = gain > MIN_GAIN
        if not helps.any():
            return None
        is_enough = helps & (confidence + gain >= policy.quality)
        value = np.where(is_enough, -cost, -np.inf) if is_enough.any() else gain
        if check is not None and value.argmax() == len(outlook.backends):
            return check.place
        return best_place(value[: len(outlook.backends)], outlook)
