"""Talks to models; knows nothing of routing."""

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
from .fake import FakeBackend
from .prices import price_of, price_table_version
from .pricing import cost_usd
from .registry import BACKENDS, create_backend, resolve
from .replay import ReplayBackend
from .spec import CAPABILITIES, TIERS, BackendSpec, Limits, Price, Tier, Timeouts
from .types import Backend, Chunk, Completion, Message, Query, Usage, text_of

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
    "Chunk",
    "Completion",
    "ConfigError",
    "ContextTooLong",
    "FakeBackend",
    "InvalidRequest",
    "Limits",
    "MalformedReply",
    "Message",
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
