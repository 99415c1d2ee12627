"""`objective: utility`: quality - lam * cost, with an eye on what further calls may mend."""

from __future__ import annotations

import numpy as np

from ..handover import best_check, gains_with_check
from ..lookahead import MIN_GAIN, gains
from ..outlook import FloatArray, Outlook, Tried
from ..policy import Policy
from ..verdicts import all_judged

_SAME = 1e-9  # relative: costs and values this near differ by rounding only
_SAME_VALUE = 1e-12


class Utility:
    """Asks whoever adds most, in quality less lam times cost, counting the right to go on from there; stops when nobody
    adds anything. See `lookahead`.
    """

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the greatest expected utility; of equals the cheapest."""
        if outlook.max_calls > 1 and _may_learn(outlook):
            gain = gains(outlook, (), lam=policy.lam, price=MIN_GAIN)
            if outlook.checks is not None:
                gain = np.maximum(gain, gains_with_check(outlook, outlook.checks, lam=policy.lam, price=MIN_GAIN))
            if outlook.judge is not None:
                judged = gains(all_judged(outlook, outlook.judge), (), lam=policy.lam, price=MIN_GAIN)
                gain = np.maximum(gain, judged)
            return best_place(gain, outlook)
        return best_place(outlook.quality - policy.lam * outlook.cost_usd, outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the place with the greatest expected gain above its price, if any has one."""
        if len(tried) >= outlook.max_calls:
            return None
        gain = gains(outlook, tried, lam=policy.lam, price=MIN_GAIN)
        place = best_place(gain, outlook)
        check = best_check(outlook, tried, lam=policy.lam, price=MIN_GAIN)
        if check is not None and check.gain > max(gain[place], 0.0):
            return check.place
        return place if gain[place] > 0 else None


def _may_learn(outlook: Outlook) -> bool:
    """Returns whether to plan on what answers may tell, or on having them checked or judged."""
    if outlook.checks is not None or outlook.judge is not None:
        return True
    return outlook.escalation.can_compare or outlook.escalation.is_planned


def best_place(value: FloatArray, outlook: Outlook) -> int:
    """Returns the place of the greatest value; of equals the cheapest, of these the best.

    With a large lam the rounding of two equal costs is worth more than any quality, hence the relative bounds.
    """
    first = int(value.argmax())
    values = value.tolist()
    least = values[first] - _SAME_VALUE - _SAME * abs(values[first])
    top = [place for place, one in enumerate(values) if one >= least]
    if len(top) <= 1:
        return first
    costs, quality = outlook.cost_usd.tolist(), outlook.quality
    dearest = min(costs[place] for place in top) * (1 + _SAME)
    return max((place for place in top if costs[place] <= dearest), key=quality.__getitem__)
