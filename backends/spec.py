"""What models.yaml says of one backend, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Tier = Literal["small", "mid", "lrm"]
TIERS: tuple[Tier, ...] = ("small", "mid", "lrm")
DEFAULT_RETRIES = 2
CAPABILITIES = ("tools", "json_schema", "logprobs", "vision", "streaming")

# The format that a built-in type speaks: a request that came in it can be passed on in its own words.
_FORMATS = {"openai": "chat", "anthropic": "messages"}
_BUDGETED = ("anthropic", "local")  # types whose reasoning can be given an end
# What a built-in type cannot do, whichever model is behind it.
_NEVER: Mapping[str, frozenset[str]] = {
    "anthropic": frozenset({"logprobs"}),
    "local": frozenset({"json_schema", "vision"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """USD per million tokens. Reasoning tokens are billed as output."""

    usd_per_1m_input: float
    usd_per_1m_output: float
    usd_per_1m_cached_input: float | None = None  # None: as input
    usd_per_1m_cache_write: float | None = None  # None: as input
    usd_per_1m_cache_write_1h: float | None = None  # of what is kept for an hour; None: as other writing


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a backend takes. None: no limit known."""

    context_tokens: int | None = None
    max_output_tokens: int | None = None
    concurrency: int = 64  # calls at once
    queue: int = 1000  # calls of a router that wait for their turn; more are refused
    queue_s: float = 30.0  # for how long one may wait
    reply_mb: float = 32.0  # of one reply: times `concurrency`, what replies may take of the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When a router leaves a backend alone, so that requests go elsewhere at once while it is down."""

    failures: int = 5  # in a row; 0: never
    rest_s: float = 5.0  # then a single call tries it again; doubles each time that fails, too


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedging:
    """When a router makes a second call beside one that is late."""

    after_quantile: float | None = None  # of the times that the last calls took; None: never


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a call may take, in seconds."""

    first_token_s: float = 60.0
    total_s: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendSpec:
    """One backend: a model at an endpoint, at one reasoning effort and in one prompt style.

    `options` are the keys of models.yaml that only this type knows, as listed in its `OPTIONS`.
    """

    name: str
    type: str
    model: str = ""
    base_url: str | None = None
    api_key_env: str | None = None
    tier: Tier = "mid"
    effort: str | None = None
    instruction: str = ""  # of its prompt style: what it is told beside the query
    checks_draft: bool = False  # its prompt style is to check another's answer, so it is never the first to be asked
    draw: int = 0  # which sample of the model this is; all but the first are drawn with chance
    price: Price | None = None
    limits: Limits = Limits()
    supports: frozenset[str] | None = None  # of CAPABILITIES; None: nobody said, so it is tried
    timeout: Timeouts = Timeouts()
    retries: int = DEFAULT_RETRIES  # of a router, on the same backend, before it goes on to the next best
    breaker: Breaker = Breaker()
    hedge: Hedging = Hedging()
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def format(self) -> str:
        """The format that the endpoint speaks, as in `Original.format`; "" where that is not known."""
        return _FORMATS.get(self.type, "")

    @property
    def heeds_budget(self) -> bool:
        """Whether `Query.reasoning_budget` holds here: it does not reason, or can be told when to stop."""
        if self.tier != "lrm" and self.effort is None:
            return True
        return self.type in _BUDGETED or "budget_field" in self.options

    @property
    def mind(self) -> str:
        """What thinks, whatever the effort and the endpoint: backends of one mind can read each other's thinking."""
        return f"{self.type} {self.model or self.name}"

    def lacking(self, needed: frozenset[str]) -> frozenset[str]:
        """Returns those of the needed capabilities that this backend is known not to have.

        One of them is no word of models.yaml: `n`, several answers to one request. A completion has no place for them,
        so that they come only in the words of chat completions.

        >>> sorted(BackendSpec(name="big", type="anthropic").lacking(frozenset({"tools", "logprobs"})))
        ['logprobs']
        """
        never = needed & _NEVER.get(self.type, frozenset())
        if self.format != "chat":
            never |= needed & {"n"}
        return never if self.supports is None else never | (needed & frozenset(CAPABILITIES)) - self.supports
