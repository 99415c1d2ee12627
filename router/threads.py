"""Conversations that a provider is asked to keep: only their newest turn would come by here."""

from __future__ import annotations

from .config import Config
from .formats import Request
from .formats.messages import THREAD_UNSUPPORTED
from .http_error import HttpError


def refuse_thread(request: Request, config: Config) -> None:
    """Returns nothing where a request brings its whole conversation, or names a backend that speaks its format.

    Raises:
        HttpError: it would have the provider keep the conversation, and be routed, or translated. Anthropic's client
            then sends all of it.
    """
    original = request.query.original
    if original is None or original.format != "messages" or original.body.get("thread") is None:
        return
    spec = config.backends.get(request.model or "")
    if spec is None or spec.format != original.format:
        raise HttpError(
            400,
            "thread: this sidecar keeps no conversation; send all of it as `messages`, or name a backend of type"
            " anthropic",
            code=THREAD_UNSUPPORTED,
        )
