"""`objective: utility`: quality - lam * cost, with an eye on what a second call may mend."""

from __future__ import annotations

import numpy as np

from ..outlook import FloatArray, Outlook, Tried
from ..policy import Policy

MIN_GAIN = 0.01  # what an escalation must promise, so that a lam of 0 does not ask everybody for nothing
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
        if len(tried) >= outlook.max_calls or not any(outlook.power[call.place] > 0 for call in tried):
            return None
        chance = expected_after(outlook, tried)
        confidence = max(call.confidence for call in tried)
        gain = (1 - confidence) * chance - policy.lam * outlook.cost_usd
        gain[outlook.cost_usd > outlook.budget_usd - sum(call.cost_usd for call in tried)] = -np.inf
        gain[[call.place for call in tried]] = -np.inf
        place = int(gain.argmax())
        return place if gain[place] > MIN_GAIN else None

    @staticmethod
    def _option_value(outlook: Outlook, policy: Policy) -> FloatArray:
        """Returns what the right to escalate adds to each start, (n,)."""
        quality = outlook.quality
        spread = np.sqrt(outlook.power * quality * (1 - quality))
        chance = outlook.rescue * quality  # (first, second)
        price = policy.lam * outlook.cost_usd + MIN_GAIN
        is_barred = outlook.cost_usd[:, None] + outlook.cost_usd > outlook.budget_usd
        np.fill_diagonal(is_barred, True)
        value = np.zeros(len(quality))
        for confidence in (quality - spread, quality + spread):
            gain = (1 - np.clip(confidence, 0, 1))[:, None] * chance - price
            gain[is_barred] = 0
            value += 0.5 * np.maximum(gain.max(1), 0)
        return np.where(outlook.power > 0, value, 0)


def expected_after(outlook: Outlook, tried: tuple[Tried, ...]) -> FloatArray:
    """Returns P(right) of every backend given that all answers so far are wrong, (n,)."""
    chance: FloatArray = outlook.quality * outlook.rescue[[call.place for call in tried]].min(axis=0)
    return chance


def best_place(value: FloatArray, outlook: Outlook) -> int:
    """Returns the place of the greatest value; of equals the cheapest, of these the best."""
    top = np.flatnonzero(value >= value.max() - _SAME_VALUE)
    if len(top) == 1:
        return int(top[0])
    order = np.lexsort((-outlook.quality[top], outlook.cost_usd[top]))
    return int(top[order[0]])
