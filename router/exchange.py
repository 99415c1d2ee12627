"""What is noted of one request to the sidecar, for those who watch it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .answer import Answer
from .cascade import Step
from .decision import Decision
from .keys import Key
from .tally import Tally

GONE = 499  # the status, as nginx calls it, of a client that left before there was one


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and its reply, as far as they have come; the sidecar fills it in on the way."""

    method: str
    path: str  # that serves it, `other` where none does
    began_at: float  # in seconds since 1970
    key: Key | None = None  # None: not let in
    model: str = ""  # that was asked for; empty: the default policy
    is_stream: bool = False
    text: str = ""  # the beginning of the query, where models.yaml allows to keep content
    decision: Decision | None = None
    tally: Tally | None = None  # of its calls; None: none was to be made
    error: Exception | None = None
    status: int = 0
    trace_id: str = ""
    latency_s: float = 0.0
    first_piece_s: float | None = None  # of a streamed answer

    @property
    def answer(self) -> Answer | None:
        """The answer, where there was one."""
        return self.tally.answer if self.tally is not None else None

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every call that was made."""
        if self.tally is None:
            return ()
        return self.tally.answer.steps if self.tally.answer is not None else self.tally.steps()


class Observer(Protocol):
    """Told of every request when it has ended. Called on the event loop, so it must be quick and never raise."""

    def see(self, exchange: Exchange) -> None:
        """Takes note of a request. What is in it must not be kept: an answer may be large."""
        ...
