"""What is noted of one request to the sidecar, for those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..backends import Usage
from ..backends.quick import maker, quick
from .cascade import Step
from .decision import Decision
from .keys import Key
from .tally import Tally

GONE = 499  # the status, as nginx calls it, of a client that left before there was one


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class MadeCall:
    """One call to a backend, without what was said."""

    backend: str
    error: str | None  # its kind
    is_given_up: bool
    is_beside: bool  # as of a `Step`
    draft_of: str | None  # whose answer it was given to check
    judged: str | None  # whose answer it was asked for a verdict on
    confidence: float
    cost_usd: float
    latency_s: float
    usage: Usage


make_made_call = maker(MadeCall)


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its reply, as far as they have come; the sidecar fills it in on the way.

    Once it has ended it holds nothing that was asked or answered but the beginning of the query.
    """

    method: str
    path: str  # that serves it, `other` where none does
    began_at: float  # in seconds since 1970
    key: Key | None = None  # None: not let in
    model: str = ""  # that was asked for; empty: the default policy
    is_stream: bool = False
    text: str = ""  # the beginning of the query, where models.yaml allows to keep content
    decision: Decision | None = None  # holds nothing of the query but its estimates
    tally: Tally | None = None  # of its calls, until it has ended
    error: str | None = None  # its kind
    status: int = 0
    trace_id: str = ""
    latency_s: float = 0.0
    first_piece_s: float | None = None  # of a streamed answer
    calls: tuple[MadeCall, ...] = ()
    chosen: int | None = None  # the call whose answer was returned
    best_cost_usd: float = 0.0  # as of an `Answer`; 0 without one

    @property
    def cost_usd(self) -> float:
        """What all calls cost together."""
        return sum([call.cost_usd for call in self.calls])

    @property
    def is_escalated(self) -> bool:
        """Whether more than one backend answered, one after the other."""
        return (
            len(self.calls) > 1
            and sum(call.error is None and not (call.is_beside or call.judged) for call in self.calls) > 1
        )

    def end(self) -> None:
        """Notes every call that was made, and which one's answer was returned."""
        tally, self.tally = self.tally, None
        if tally is None:
            return
        answer = tally.answer
        steps = tally.steps() if answer is None else answer.steps
        self.calls = tuple([_made(step) for step in steps])
        if answer is not None:
            self.chosen, self.best_cost_usd = answer.outcome.chosen, answer.best_cost_usd


make_exchange = maker(Exchange)


class Observer(Protocol):
    """Told of every request when it has ended. Called on the event loop, so it must be quick and never raise."""

    def see(self, exchange: Exchange) -> None:
        """Takes note of a request."""
        ...


_UNUSED = Usage()


def _made(step: Step) -> MadeCall:
    completion, error = step.completion, step.error
    return make_made_call(
        backend=step.backend,
        error=type(error).__name__ if error is not None else None,
        is_given_up=step.is_given_up,
        is_beside=step.is_beside,
        draft_of=step.draft_of,
        judged=step.judged,
        confidence=step.confidence,
        cost_usd=step.cost_usd,
        latency_s=completion.latency_s if completion is not None else 0.0,
        usage=completion.usage if completion is not None else _UNUSED,
    )
