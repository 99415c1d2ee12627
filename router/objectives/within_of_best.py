"""`objective: within_of_best`: the cheapest backend that a certificate allows in place of the best one."""

from __future__ import annotations

import numpy as np

from ..outlook import Outlook, Tried
from ..policy import Policy
from .near_best import place_of
from .utility import best_place


class WithinOfBest:
    """Asks the cheapest backend whose estimated quality is at most the certified slack below that of the certificate's
    own backend, once. Where that one cannot be asked, or without a certificate, the best estimate stands for it.
    """

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the cheapest backend that is near enough."""
        certificate, quality = policy.certificate, outlook.quality
        slack = certificate.slack if certificate else 0.0
        best = place_of(certificate.backend if certificate else "", outlook)
        is_near = quality >= quality[best] - slack
        is_near[best] = True  # a slack below 0 asks others to be estimated better
        return best_place(np.where(is_near, -outlook.cost_usd, -np.inf), outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns None: what was certified is the first answer."""
        return None
