"""What is expected of a backend that the caller names: no more than its price, since there is nothing to choose."""

from __future__ import annotations

import math

import numpy as np

from ..backends import BackendSpec
from ..classifiers import Escalation, Estimates, PriorModel, no_escalation
from ..classifiers.estimates import make_estimates

BY_NAME = "asked for by name"  # the source of these estimates


class ByName:
    """One backend, asked for by name. Its quality is not estimated, nor is its answer judged: neither changes anything,
    and both take longer than all the rest of passing a request on.
    """

    escalation: Escalation = no_escalation(1)

    def __init__(self, spec: BackendSpec) -> None:
        expected = PriorModel(specs=(spec,)).estimate("")
        price = spec.price
        self._backends = (spec.name,)
        self.has_window = spec.limits.context_tokens is not None
        self._output_tokens, self._latency_s = expected.output_tokens, expected.latency_s
        self._usd_per_token = price.usd_per_1m_input / 1e6 if price else math.nan
        self._usd_beside = price.usd_per_1m_output / 1e6 * float(expected.output_tokens[0]) if price else math.nan
        self._unknown = np.full(1, math.nan)
        for shared in (self._output_tokens, self._latency_s, self._unknown):
            shared.setflags(write=False)

    def estimate(self, input_tokens: int) -> Estimates:
        """Returns what is expected of a query of that length, by the backend's tier and price."""
        return make_estimates(
            backends=self._backends,
            quality=self._unknown,
            cost_usd=np.array((self._usd_per_token * input_tokens + self._usd_beside,)),
            output_tokens=self._output_tokens,
            latency_s=self._latency_s,
            difficulty=math.nan,
            input_tokens=input_tokens,
            source=BY_NAME,
        )
