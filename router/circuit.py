"""A circuit breaker: a backend that keeps failing is left alone for a while, then tried with a single call."""

from __future__ import annotations

from ..backends import BackendError, Breaker, InvalidRequest

PATIENCE_S = 1.0  # a wait that a provider asks for is waited for up to this; above it, the backend is left alone
_LONGEST_REST_S = 60.0
_LONGEST_ASKED_S = 600.0  # of the waits that providers ask for
_PROBE_S = 1.0  # when to come back while a single call tries the backend
CIRCUIT_STATES = ("closed", "half_open", "open")


class Circuit:
    """Whether calls to one backend are let through, from how earlier ones ended. Does no I/O and is told the time.

    Closed, every call goes through. Open, none does. When the rest is over one call does, the probe, and its end
    decides. Calls that began before the circuit opened no longer count.

    Reference: M. Nygard, Release It!, 2007, "Circuit Breaker".
    """

    def __init__(self, settings: Breaker) -> None:
        self._settings = settings
        self._n_failures = 0  # in a row
        self._n_rests = 0  # in a row
        self._until: float | None = None  # None: closed
        self.is_open = False  # whether the last thing known of the backend is that it fails
        self._is_probed = False
        self._era = 0  # goes up whenever earlier calls cease to count
        self._last = ""

    @property
    def state(self) -> str:
        """Which of CIRCUIT_STATES it is in."""
        return "closed" if self._until is None else "half_open" if self._is_probed else "open"

    def wait_s(self, now: float) -> float:
        """Returns for how long no call is let through, 0 where one is."""
        if self._until is None:
            return 0.0
        return _PROBE_S if self._is_probed else max(self._until - now, 0.0)

    def why(self, now: float) -> str:
        """Returns why no call is let through, without the provider's words."""
        when = "tried again just now" if self._is_probed else f"tried again in {self.wait_s(now):.1f} s"
        return f"left alone after {self._last}, {when}"

    def begin(self) -> int:
        """Notes a call that is let through; returns the ticket by which its end is told."""
        if self._until is not None:
            self._is_probed = True
            self._era += 1
        return self._era

    def end(self, ticket: int, error: BackendError | None, now: float) -> None:
        """Notes how a call ended: with an answer, or with an error."""
        if ticket != self._era or not self._settings.failures:
            return
        # Whoever refuses a request is up.
        if error is None or isinstance(error, InvalidRequest):
            self._until, self.is_open = None, False
            self._n_failures, self._n_rests, self._is_probed = 0, 0, False
            return
        self._n_failures += 1
        asked_s = min(error.retry_after_s or 0.0, _LONGEST_ASKED_S)
        if not self._is_probed and asked_s <= PATIENCE_S and self._n_failures < self._settings.failures:
            return
        # The exponent is bounded, or it would not fit a float.
        rest_s = min(self._settings.rest_s * 2.0 ** min(self._n_rests, 60), _LONGEST_REST_S)
        self.is_open = True
        self._until = now + max(rest_s if asked_s <= PATIENCE_S else 0.0, asked_s)
        self._last = f"{self._n_failures} failures in a row" if self._n_failures > 1 else "a failure"
        self._last += f" ({type(error).__name__})"
        self._n_rests += 1
        self._is_probed = False
        self._era += 1

    def forget(self, ticket: int) -> None:
        """Notes a call that ended without telling anything, such as one whose client left."""
        if ticket == self._era:
            self._is_probed = False
