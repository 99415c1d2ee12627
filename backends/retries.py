"""How long to wait before asking a backend again, and when no more."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .errors import BackendError


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often to ask again, and how long to wait before."""

    most: int = 5
    first_s: float = 0.5  # the longest first wait; it doubles with every failure
    longest_s: float = 30.0
    patience_s: float = 600.0  # a provider that asks for a longer wait is not asked again

    def delay_s(self, n_failures: int, error: BackendError, rng: random.Random) -> float | None:
        """Returns how long to wait after that many failures, the last of them `error`; None to give up.

        The wait is drawn from all up to the limit ("full jitter"), so that those who failed together do not come back
        together; where the provider says how long to wait, it comes on top of that.

        Reference: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
        """
        asked_s = error.retry_after_s or 0.0
        if not error.retryable or n_failures > self.most or asked_s > self.patience_s:
            return None
        # The exponent is bounded, or it would not fit a float.
        limit_s = min(self.longest_s, self.first_s * 2.0 ** min(n_failures - 1, 60))
        return asked_s + rng.uniform(0.0, limit_s)
