"""What a client is told when something goes wrong: a status, and words that hold neither secrets nor stack traces."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
from .errors import AllBackendsFailed, BackendBusy, NoBackendFree, NoFeasibleBackend, UnknownPolicy, told_of


class HttpError(PenstockError):
    """A request ends with this status; the text is for the client, who is told `verbatim` in its place if it is set."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        headers: Sequence[tuple[str, str]] = (),
        verbatim: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = tuple(headers)
        self.verbatim = verbatim


def http_error_of(error: PenstockError, *, format: str = "") -> HttpError:
    """Returns how an error of ours is told to a client that speaks a format.

    Where one provider alone was asked, and speaks it too, the client gets its reply as it came.
    """
    if isinstance(error, HttpError):
        return error
    if isinstance(error, AllBackendsFailed | BackendError):
        causes = list(error.causes.values()) if isinstance(error, AllBackendsFailed) else [error]
        told = _failed_calls(causes)
        return _in_its_words(causes[0], told) if len(causes) == 1 and causes[0].format == format else told
    if isinstance(error, UnknownPolicy):
        return HttpError(404, str(error), code="model_not_found")  # as OpenAI and Anthropic have it
    if isinstance(error, NoBackendFree):
        return HttpError(503, str(error), code="overloaded", headers=[("retry-after", _whole(error.retry_after_s))])
    if isinstance(error, NoFeasibleBackend):
        return HttpError(400, str(error), code="no_feasible_backend")
    if isinstance(error, ConfigError):
        return HttpError(400, str(error), code="invalid_wish")
    return HttpError(503, str(error))


def _failed_calls(causes: Sequence[BackendError]) -> HttpError:
    """Returns the error for calls that all failed: what the client could do about it decides the status."""
    words = "; ".join(map(told_of, causes))
    message = f"every backend failed: {words}" if len(causes) > 1 else words
    if all(isinstance(cause, InvalidRequest) for cause in causes):
        is_too_long = all(isinstance(cause, ContextTooLong) for cause in causes)
        return HttpError(400, message, code="context_length_exceeded" if is_too_long else None)
    # A request that one backend cannot take, or a key that it refuses, says nothing about trying again later.
    passing = [cause for cause in causes if not isinstance(cause, InvalidRequest | AuthenticationFailed)]
    if passing and all(isinstance(cause, BackendBusy) for cause in passing):
        return HttpError(503, message, code="overloaded", headers=_wait_header(passing))
    if passing and all(isinstance(cause, RateLimited) for cause in passing):
        return HttpError(429, message, code="rate_limit_exceeded", headers=_wait_header(passing))
    if passing and all(isinstance(cause, BackendTimeout) for cause in passing):
        return HttpError(504, message, code="upstream_timeout")
    if passing and all(isinstance(cause, BackendUnreachable) for cause in passing):
        return HttpError(503, message, code="upstream_unreachable")
    return HttpError(502, message, code="upstream_failed" if passing else "upstream_authentication_failed")


def _in_its_words(cause: BackendError, told: HttpError) -> HttpError:
    """Returns the error with the provider's own status and body, but for what it says of our key."""
    if not cause.body or isinstance(cause, AuthenticationFailed):
        return told
    headers = _wait_header([cause])
    return HttpError(cause.status or told.status, str(told), code=told.code, headers=headers, verbatim=cause.body)


def _wait_header(causes: Sequence[BackendError]) -> list[tuple[str, str]]:
    """Returns the header that says for how long to wait at least, where one of the causes does."""
    waits = [cause.retry_after_s for cause in causes if cause.retry_after_s is not None]
    return [("retry-after", _whole(min(waits)))] if waits else []


def _whole(seconds: float) -> str:
    return str(math.ceil(seconds))
