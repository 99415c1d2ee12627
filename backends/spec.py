"""What models.yaml says of one backend, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Tier = Literal["small", "mid", "lrm"]
TIERS: tuple[Tier, ...] = ("small", "mid", "lrm")
CAPABILITIES = ("tools", "json_schema", "logprobs", "vision", "streaming")


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens. Reasoning tokens are billed as output."""

    usd_per_1m_input: float
    usd_per_1m_output: float
    usd_per_1m_cached_input: float | None = None  # None: as input


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a backend takes. None: no limit known."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    concurrency: int = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a call may take, in seconds."""

    first_token_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """One backend: a model at an endpoint, at one reasoning effort.

    `options` are the keys of models.yaml that only this type knows, as listed in its `OPTIONS`.
    """

    name: str
    type: str
    model: str = ""
    base_url: str | None = None
    api_key_env: str | None = None
    tier: Tier = "mid"
    effort: str | None = None
    price: Price | None = None
    limits: Limits = Limits()
    supports: frozenset[str] = frozenset({"streaming"})
    timeout: Timeouts = Timeouts()
    options: Mapping[str, Any] = field(default_factory=dict)
