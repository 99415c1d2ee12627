"""`objective: utility`: quality - lam * cost, with an eye on what a second call may mend."""

from __future__ import annotations

import numpy as np

from ..outlook import FloatArray, Outlook, Tried, can_check
from ..policy import Policy

MIN_GAIN = 0.01  # what an escalation must promise, so that a lam of 0 does not ask everybody for nothing
_SAME = 1e-9  # relative: costs and values this near differ by rounding only
_SAME_VALUE = 1e-12


class Utility:
    """Asks first whoever is worth most, counting the option to escalate; goes on while that is expected to pay.

    After an answer of confidence p, asking b as well is expected to add (1 - p) * P(b right | answer wrong) and costs
    lam * cost of b: a threshold on p that depends on who is left to ask. How useful the option is beforehand is judged
    as if confidence came out at its mean plus or minus one standard deviation. This is one step of looking ahead in the
    cascade routing rule of Dekoninck et al. 2025, arXiv:2410.10347.
    """

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the greatest expected utility; of equals the cheapest."""
        utility = outlook.quality - policy.lam * outlook.cost_usd
        if outlook.max_calls > 1 and len(utility) > 1 and outlook.power.any():
            utility = utility + self._option_value(outlook, policy)
        return best_place(utility, outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the place with the greatest expected gain above its price, if any has one."""
        if len(tried) >= outlook.max_calls or not can_check(outlook, tried):
            return None
        chance = expected_after(outlook, tried)
        confidence = max(call.confidence for call in tried)
        gain = (1 - confidence) * chance - policy.lam * outlook.cost_usd
        gain[outlook.cost_usd > outlook.budget_usd - sum(call.cost_usd for call in tried)] = -np.inf
        gain[[call.place for call in tried]] = -np.inf
        place = best_place(gain, outlook)
        return place if gain[place] > MIN_GAIN else None

    @staticmethod
    def _option_value(outlook: Outlook, policy: Policy) -> FloatArray:
        """Returns what the right to escalate adds to each start, (n,)."""
        quality = outlook.quality
        spread = np.sqrt(outlook.power * quality * (1 - quality))
        doubt = np.empty((2, len(quality), 1))  # of a low and of a high confidence in the first answer
        doubt[0, :, 0], doubt[1, :, 0] = 1 - quality + spread, 1 - quality - spread
        chance = outlook.rescue * quality  # (first, second)
        chance.flat[:: len(quality) + 1] = 0  # nobody is asked twice
        if outlook.budget_usd < np.inf:
            chance[outlook.cost_usd[:, None] + outlook.cost_usd > outlook.budget_usd] = 0
        gain = np.minimum(np.maximum(doubt, 0), 1) * chance - (policy.lam * outlook.cost_usd + MIN_GAIN)
        value: FloatArray = 0.5 * np.maximum(gain.max(2), 0).sum(0) * (outlook.power > 0)
        return value


def expected_after(outlook: Outlook, tried: tuple[Tried, ...]) -> FloatArray:
    """Returns P(right) of every backend given that all answers so far are wrong, (n,)."""
    chance: FloatArray = outlook.quality * outlook.rescue[[call.place for call in tried]].min(axis=0)
    return chance


def best_place(value: FloatArray, outlook: Outlook) -> int:
    """Returns the place of the greatest value; of equals the cheapest, of these the best.

    With a large lam the rounding of two equal costs is worth more than any quality, hence the relative bounds.
    """
    greatest = value.max()
    top = np.flatnonzero(value >= greatest - _SAME_VALUE - _SAME * abs(greatest))
    if len(top) == 1:
        return int(top[0])
    cheap = top[outlook.cost_usd[top] <= outlook.cost_usd[top].min() * (1 + _SAME)]
    return int(cheap[outlook.quality[cheap].argmax()])
