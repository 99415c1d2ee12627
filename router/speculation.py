"""Whether to begin the likely next call before the first has ended: pure, in the terms of the decision."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..classifiers import Estimates
from .cascade import Call
from .lookahead import gains
from .outlook import Tried


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadStart:
    """A call to begin before its turn, unless the answer it is to follow is there by then."""

    backend: str
    after_s: float  # from the beginning of the first call

    def __str__(self) -> str:
        return f"{self.backend} is begun after {self.after_s:.2f} s, should the first answer not be there by then"


def head_start(call: Call, estimates: Estimates) -> HeadStart | None:
    """Returns the head start that a call of a policy with `speculate` is worth giving to another; None: none.

    Only to a first call, and only where `max_latency_s` is too short for both calls one after the other, but not for
    the second alone, as far as that is known. The second begins as late as it may: a first answer that comes before
    costs nothing more.

    As in `lookahead`, the answer will look bad or good, with the chances and confidences of its power. If it looks bad,
    and the cascade then goes on, a head start brings what going on gains, in time; if it looks good and is kept, what
    the other call costs is lost.
    """
    policy, outlook = call.policy, call.outlook
    if not policy.speculate or policy.max_latency_s is None or call.tried:
        return None
    place = outlook.backends.index(call.backend)
    quality, told = float(outlook.quality[place]), math.sqrt(outlook.escalation.power[place])
    bad, good = quality * (1 - told), quality + told * (1 - quality)
    following = call.next_after(bad)
    if following is None or following >= len(outlook.backends):  # who is to check an answer has to wait for it
        return None
    backend = outlook.backends[following]
    first_s, second_s = (float(estimates.latency_s[estimates.backends.index(name)]) for name in (call.backend, backend))
    if not first_s + second_s > policy.max_latency_s >= second_s:  # true of NaN, which stands for what is not known
        return None
    cost = float(outlook.cost_usd[following])
    if outlook.cost_usd[place] + cost > outlook.budget_usd:
        return None
    chance = 1 - quality if call.next_after(good) is None else 1.0
    tried = Tried(place=place, confidence=bad, cost_usd=float(outlook.cost_usd[place]))
    gain = float(gains(outlook, (tried,), lam=policy.lam, price=0.0)[following])
    if chance * gain <= policy.lam * cost * (1 - chance):
        return None
    return HeadStart(backend=backend, after_s=policy.max_latency_s - second_s)
