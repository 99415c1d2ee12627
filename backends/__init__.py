"""Talks to models; knows nothing of routing."""

from typing import TYPE_CHECKING

from .errors import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    BackendUnreachable,
    ConfigError,
    ContextTooLong,
    InvalidRequest,
    MalformedReply,
    PenstockError,
    RateLimited,
    ServerFailed,
)
from .pricing import cost_usd
from .registry import BACKENDS, create_backend, resolve
from .spec import CAPABILITIES, TIERS, BackendSpec, Breaker, Hedging, Limits, Price, Tier, Timeouts
from .types import Backend, Chunk, Completion, Message, Original, Query, Usage, text_of

if TYPE_CHECKING:
    from .fake import FakeBackend
    from .prices import price_of, price_table_version
    from .replay import ReplayBackend
else:
    # Loaded when they are asked for: with asyncio and package metadata they take as long as all the rest.
    _HOMES = {
        "FakeBackend": "fake",
        "ReplayBackend": "replay",
        "price_of": "prices",
        "price_table_version": "prices",
    }

    def __getattr__(name):
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f".{_HOMES[name]}", __name__), name)


__all__ = [
    "BACKENDS",
    "CAPABILITIES",
    "TIERS",
    "AuthenticationFailed",
    "Backend",
    "BackendError",
    "BackendSpec",
    "BackendTimeout",
    "BackendUnreachable",
    "Breaker",
    "Chunk",
    "Completion",
    "ConfigError",
    "ContextTooLong",
    "FakeBackend",
    "Hedging",
    "InvalidRequest",
    "Limits",
    "MalformedReply",
    "Message",
    "Original",
    "PenstockError",
    "Price",
    "Query",
    "RateLimited",
    "ReplayBackend",
    "ServerFailed",
    "Tier",
    "Timeouts",
    "Usage",
    "cost_usd",
    "create_backend",
    "price_of",
    "price_table_version",
    "resolve",
    "text_of",
]
