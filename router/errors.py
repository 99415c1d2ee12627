"""What can go wrong while routing, as one tree.

PenstockError
├── NoFeasibleBackend     the wishes exclude every backend; `excluded` says which wish excluded which
├── AllBackendsFailed     every backend that was tried failed; `causes` holds each error
└── UnknownPolicy         neither a policy nor a backend has this name
"""

from __future__ import annotations

from collections.abc import Mapping

from ..backends import BackendError, PenstockError


class NoFeasibleBackend(PenstockError):
    """No backend fulfils every wish of the request."""

    def __init__(self, excluded: Mapping[str, str]) -> None:
        reasons = "; ".join(f"{backend}: {reason}" for backend, reason in excluded.items())
        super().__init__(f"no backend is left: {reasons}")
        self.excluded = dict(excluded)


class AllBackendsFailed(PenstockError):
    """No backend that was tried gave an answer."""

    def __init__(self, causes: Mapping[str, BackendError]) -> None:
        reasons = "; ".join(str(cause) for cause in causes.values())
        super().__init__(f"every backend failed: {reasons}")
        self.causes = dict(causes)


class UnknownPolicy(PenstockError):
    """The name asked for is neither a policy nor a backend of models.yaml."""
