"""What a client is told when something goes wrong: a status, and words that hold neither secrets nor stack traces."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backends import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    BackendUnreachable,
    ConfigError,
    ContextTooLong,
    InvalidRequest,
    PenstockError,
    RateLimited,
)
from .errors import AllBackendsFailed, NoFeasibleBackend, UnknownPolicy
from .openai_format import error_body

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class HttpError(PenstockError):
    """A request ends with this status; the text is for the client."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = tuple(headers)

    @property
    def body(self) -> dict[str, Any]:
        """The error in OpenAI's form."""
        kind = _KINDS.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return error_body(str(self), kind=kind, code=self.code)


def http_error_of(error: PenstockError) -> HttpError:
    """Returns how an error of ours is told to a client."""
    if isinstance(error, HttpError):
        return error
    if isinstance(error, AllBackendsFailed):
        return _failed_calls(list(error.causes.values()))
    if isinstance(error, BackendError):
        return _failed_calls([error])
    if isinstance(error, UnknownPolicy):
        return HttpError(400, str(error), code="model_not_found")
    if isinstance(error, NoFeasibleBackend):
        return HttpError(400, str(error), code="no_feasible_backend")
    if isinstance(error, ConfigError):
        return HttpError(400, str(error), code="invalid_wish")
    return HttpError(503, str(error))


def _failed_calls(causes: Sequence[BackendError]) -> HttpError:
    """Returns the error for calls that all failed: what the client could do about it decides the status."""
    words = "; ".join(map(_told, causes))
    message = f"every backend failed: {words}" if len(causes) > 1 else words
    if all(isinstance(cause, InvalidRequest) for cause in causes):
        is_too_long = all(isinstance(cause, ContextTooLong) for cause in causes)
        return HttpError(400, message, code="context_length_exceeded" if is_too_long else None)
    # A request that one backend cannot take, or a key that it refuses, says nothing about trying again later.
    passing = [cause for cause in causes if not isinstance(cause, InvalidRequest | AuthenticationFailed)]
    if passing and all(isinstance(cause, RateLimited) for cause in passing):
        waits = [cause.retry_after_s for cause in passing if cause.retry_after_s is not None]
        headers = [("retry-after", str(math.ceil(min(waits))))] if waits else []
        return HttpError(429, message, code="rate_limit_exceeded", headers=headers)
    if passing and all(isinstance(cause, BackendTimeout) for cause in passing):
        return HttpError(504, message, code="upstream_timeout")
    if passing and all(isinstance(cause, BackendUnreachable) for cause in passing):
        return HttpError(503, message, code="upstream_unreachable")
    return HttpError(502, message, code="upstream_failed" if passing else "upstream_authentication_failed")


def _told(cause: BackendError) -> str:
    """Returns a cause as the client may know it; what a provider says of a key is for the log only."""
    if isinstance(cause, AuthenticationFailed):
        status = f" (HTTP {cause.status})" if cause.status else ""
        return f"{cause.backend}: the provider refuses the key that this sidecar is configured with{status}"
    return str(cause)
