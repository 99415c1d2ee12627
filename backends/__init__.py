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
from .pricing import cost_usd
from .registry import BACKENDS, create_backend, resolve
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
    "InvalidRequest",
    "Limits",
    "MalformedReply",
    "Message",
    "PenstockError",
    "Price",
    "Query",
    "RateLimited",
    "ServerFailed",
    "Tier",
    "Timeouts",
    "Usage",
    "cost_usd",
    "create_backend",
    "resolve",
    "text_of",
]
