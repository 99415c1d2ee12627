"""Everything that can go wrong while talking to a model, as one tree.

    PenstockError
    ├── ConfigError                 models.yaml, the environment or an option is wrong
    └── BackendError                one call to one backend failed
        ├── BackendUnreachable      no connection: refused, reset, DNS, TLS
        ├── BackendTimeout          the first token or the whole answer took too long
        ├── AuthenticationFailed    401, 403
        ├── RateLimited             429; `retry_after_s` when the provider said
        ├── InvalidRequest          400, 404, 413, 422: asking again would not help
        │   └── ContextTooLong      the query does not fit this backend's context window
        ├── ServerFailed            5xx, overloaded
        └── MalformedReply          the reply is not what the protocol promises

The other packages hang their own errors below `PenstockError`.
"""

from __future__ import annotations

from typing import Any

# What the code of others may raise: what is raised to leave a script would end the loop that all requests live on.
FOREIGN_ERRORS = (Exception, SystemExit)


class PenstockError(Exception):
    """The root of every error that Penstock raises on purpose; its text is one line for the user."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns how it is made anew, so that it reaches the caller from another process too."""
        return _made_anew, (type(self), self.args, self.__dict__)


def _made_anew(kind: type[PenstockError], args: tuple[Any, ...], state: dict[str, Any]) -> PenstockError:
    """Returns an error without its `__init__`, which may take other things than its text."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class ConfigError(PenstockError):
    """A configuration value is wrong; the text names the file, the path and what is allowed."""


class BackendError(PenstockError):
    """One call to one backend failed; `provider_message` holds the provider's own words.

    `body` is its whole reply, where that is a JSON object, in `format` (see `Original.format`).
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        backend: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        provider_message: str = "",
        body: bytes = b"",
        format: str = "",
    ) -> None:
        super().__init__(f"{backend}: {message}" if backend else message)
        self.backend = backend
        self.status = status
        self.retry_after_s = retry_after_s
        self.provider_message = provider_message
        self.body = body
        self.format = format


class BackendUnreachable(BackendError):
    """No connection could be made or kept."""

    retryable = True


class BackendTimeout(BackendError):
    """The first token or the whole answer took longer than the backend's `timeout` allows."""

    retryable = True


class AuthenticationFailed(BackendError):
    """The provider refused the key."""


class RateLimited(BackendError):
    """The provider asks to slow down; `retry_after_s` says for how long, where it told."""

    retryable = True


class InvalidRequest(BackendError):
    """The provider refuses this request and would refuse it again."""


class ContextTooLong(InvalidRequest):
    """The query does not fit the backend's context window."""


class ServerFailed(BackendError):
    """The provider failed on its own side."""

    retryable = True


class MalformedReply(BackendError):
    """The reply breaks the protocol: not JSON, a cut stream, a missing field."""

    retryable = True
