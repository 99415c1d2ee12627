"""What can go wrong while routing, as one tree.

PenstockError
├── BackendError
│   ├── BackendBusy       no call to the backend is let through now; `retry_after_s` says when to try again
│   └── BrokenOff         the call was under way when its request ended, as when a client leaves; only in traces
├── NoFeasibleBackend     the wishes exclude every backend; `excluded` says which wish excluded which
│   └── NoBackendFree     those that the wishes leave are busy or left alone; `retry_after_s` says for how long
├── AllBackendsFailed     every backend that was tried failed; `causes` holds each error
└── UnknownPolicy         neither a policy nor a backend has this name
"""

from __future__ import annotations

from collections.abc import Mapping

from ..backends import AuthenticationFailed, BackendError, PenstockError


class NoFeasibleBackend(PenstockError):
    """No backend fulfils every wish of the request."""

    def __init__(self, excluded: Mapping[str, str]) -> None:
        reasons = "; ".join(f"{backend}: {reason}" for backend, reason in excluded.items())
        super().__init__(f"no backend is left: {reasons}")
        self.excluded = dict(excluded)


class NoBackendFree(NoFeasibleBackend):
    """The backends that fulfil the wishes are all busy, or left alone after failures."""

    def __init__(self, excluded: Mapping[str, str], *, retry_after_s: float) -> None:
        super().__init__(excluded)
        self.retry_after_s = retry_after_s


class BackendBusy(BackendError):
    """No call is let through to the backend now: it is left alone after failures, or has as many as it takes."""

    retryable = True

    def __init__(self, reason: str, *, backend: str, retry_after_s: float) -> None:
        super().__init__(reason, backend=backend, retry_after_s=retry_after_s)
        self.reason = reason


class BrokenOff(BackendError):
    """The call was under way when its request ended: the client had left, or another call was enough."""

    def __init__(self, backend: str) -> None:
        super().__init__("broken off before its end", backend=backend)


class AllBackendsFailed(PenstockError):
    """No backend that was tried gave an answer."""

    def __init__(self, causes: Mapping[str, BackendError]) -> None:
        reasons = "; ".join(str(cause) for cause in causes.values())
        super().__init__(f"every backend failed: {reasons}")
        self.causes = dict(causes)


class UnknownPolicy(PenstockError):
    """The name asked for is neither a policy nor a backend of models.yaml."""


def told_of(cause: BackendError) -> str:
    """Returns a failed call as a client may know it; what a provider says of a key is for the log only."""
    if isinstance(cause, AuthenticationFailed):
        status = f" (HTTP {cause.status})" if cause.status else ""
        return f"{cause.backend}: the provider refuses the key that this sidecar is configured with{status}"
    return str(cause)
