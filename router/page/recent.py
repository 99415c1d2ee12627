"""The latest requests, kept for the page: what they cost and how they went, never what was asked or answered unless
models.yaml says that content may be kept.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass

from ..cascade import Step
from ..decision import Decision
from ..exchange import GONE, Exchange
from ..formats import FORMATS
from ..keys import Key

MOST = 300  # requests that are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to a backend, without what was said."""

    backend: str
    error: str | None = None  # its kind
    confidence: float = 0.0
    cost_usd: float = 0.0
    latency_s: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that asked for an answer."""

    number: int
    began_at: float
    key: Key
    trace_id: str
    path: str  # of the sidecar
    status: int
    model: str
    is_stream: bool
    text: str
    error: str | None  # its kind
    latency_s: float
    decision: Decision | None  # holds nothing of the query but its estimates
    calls: tuple[Call, ...]
    chosen: int | None  # the call whose answer was returned
    is_escalated: bool
    best_cost_usd: float  # as of an `Answer`; 0 without one

    @property
    def cost_usd(self) -> float:
        """What all calls cost together."""
        return sum(call.cost_usd for call in self.calls)


@dataclass(slots=True, kw_only=True)
class Totals:
    """Sums over all requests of a key since the start."""

    requests: int = 0
    failed: int = 0
    left: int = 0  # the client went first
    escalated: int = 0
    cost_usd: float = 0.0  # of all calls; a guess of those broken off
    best_cost_usd: float = 0.0  # that of the best backend, for those answered

    def add(self, request: Request) -> None:
        """Counts a request."""
        self.requests += 1
        self.failed += request.status >= 400 and request.status != GONE
        self.left += request.status == GONE
        self.cost_usd += request.cost_usd
        if request.chosen is not None:
            self.escalated += request.is_escalated
            self.best_cost_usd += request.best_cost_usd


class Recent:
    """An observer that keeps the last requests for an answer that were let in, and sums for every key."""

    def __init__(self, *, most: int = MOST) -> None:
        self._requests: deque[Request] = deque(maxlen=most)
        self._totals: dict[str, Totals] = {}  # by the key's id
        self._numbers = itertools.count(1)

    def see(self, exchange: Exchange) -> None:
        """Keeps a request, but nothing of what was said."""
        if exchange.key is None or exchange.path not in FORMATS:
            return
        request = _request_of(next(self._numbers), exchange, exchange.key)
        self._requests.append(request)
        self._totals.setdefault(request.key.id, Totals()).add(request)

    def requests_for(self, key: Key) -> list[Request]:
        """Returns the requests that a key may see, the oldest first."""
        return [request for request in self._requests if key.sees_all or request.key.id == key.id]

    def totals_for(self, key: Key) -> Totals:
        """Returns the sums that a key may see."""
        if not key.sees_all:
            return self._totals.get(key.id, Totals())
        return Totals(**{name: sum(getattr(one, name) for one in self._totals.values()) for name in Totals.__slots__})


def _request_of(number: int, exchange: Exchange, key: Key) -> Request:
    answer, error = exchange.answer, exchange.error
    return Request(
        number=number,
        began_at=exchange.began_at,
        key=key,
        trace_id=exchange.trace_id,
        path=exchange.path,
        status=exchange.status,
        model=exchange.model,
        is_stream=exchange.is_stream,
        text=exchange.text,
        error=type(error).__name__ if error is not None else None,
        latency_s=exchange.latency_s,
        decision=exchange.decision,
        calls=tuple(_call_of(step) for step in exchange.steps),
        is_escalated=sum(step.error is None and not step.is_beside for step in exchange.steps) > 1,
        chosen=answer.outcome.chosen if answer is not None else None,
        best_cost_usd=answer.best_cost_usd if answer is not None else 0.0,
    )


def _call_of(step: Step) -> Call:
    completion = step.completion
    if completion is None:
        return Call(backend=step.backend, error=type(step.error).__name__, cost_usd=step.cost_usd)
    usage = completion.usage
    return Call(
        backend=step.backend,
        confidence=step.confidence,
        cost_usd=step.cost_usd,
        latency_s=completion.latency_s,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
    )
