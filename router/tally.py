"""What one request has used, call by call, whichever way it ends: bills and traces are written from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from ..backends import BackendError, Chunk, Completion, PenstockError, Usage
from ..backends.usage import BYTES_PER_TOKEN
from .answer import Answer
from .cascade import GivenUp, Released, Reply, Step
from .decision import Decision
from .errors import BrokenOff


class Entry:
    """One call. It is `sent` once it has left for the provider: until then it costs nothing."""

    __slots__ = ("backend", "beside", "draft_of", "has_begun", "is_hedge", "is_sent", "judged", "n_signs", "reply")

    def __init__(self, backend: str) -> None:
        self.backend = backend
        self.beside: tuple[Entry, ...] = ()  # second calls, which count from when they are sent
        self.draft_of: str | None = None  # whose answer it is to check
        self.judged: str | None = None  # whose answer it is to say of whether it is right
        self.is_hedge = False  # the slower of two calls of which one was enough
        self.is_sent = False
        self.has_begun = False  # whether anything has come of a stream
        self.n_signs = 0  # in that
        self.reply: Reply | None = None  # None: still under way, or broken off

    @property
    def completion(self) -> Completion | None:
        """The completion that came, or the beginning of one that was given up."""
        if isinstance(self.reply, Released | GivenUp):
            return self.reply.completion
        return self.reply if isinstance(self.reply, Completion) else None

    def sent(self) -> None:
        """Notes that the call leaves, perhaps again, after a failure."""
        self.is_sent, self.reply = True, None

    def again(self) -> Entry:
        """Returns the entry of a second call beside this one."""
        entry = Entry(self.backend)
        entry.is_hedge, entry.draft_of, entry.judged = True, self.draft_of, self.judged
        self.beside += (entry,)
        return entry

    def see(self, chunk: Chunk) -> None:
        """Takes a piece of a stream."""
        self.has_begun = True
        self.n_signs += len(chunk.text) + len(chunk.reasoning)
        if chunk.tool_calls:
            self.n_signs += len(str(chunk.tool_calls))


class Tally:
    """Tokens and cost of one request: those that providers told, and a guess for calls that were broken off.

    What a provider charges for a call that is broken off, nobody says. It counts as what the decision expected it to
    cost, or as what came of it where that is more: a client that hangs up before the end must not be served for free.
    A call that failed counts nothing, unless a part of its answer had come.
    """

    def __init__(self, decision: Decision, charge: Callable[[str, Completion], float]) -> None:
        self._decision = decision
        self._charge = charge
        self._begun: list[Entry] = []
        self.answer: Answer | None = None  # what came of them
        self.refusal: Callable[[], PenstockError | None] = none_refused  # why no further call may be made

    def begin(self, backend: str) -> Entry:
        """Returns the entry of a call that begins."""
        entry = Entry(backend)
        self._begun.append(entry)
        return entry

    def total(self) -> tuple[int, float]:
        """Returns tokens and cost in USD of all calls so far."""
        used = [self._used(entry) for entry in self._entries()]
        return sum(tokens for tokens, _ in used), sum(cost_usd for _, cost_usd in used)

    def path(self, answering: str) -> str:
        """Returns the path of an answer that begins now, with the marks of `Outcome.path`."""
        before = [entry for entry in self._entries() if entry.reply is not None and entry.backend != answering]
        return ">".join([*(self._step(entry).label for entry in before), answering])

    def steps(self) -> tuple[Step, ...]:
        """Returns every call so far, for a request that has ended without an answer."""
        return tuple([self._step(entry) for entry in self._entries()])

    def hedges(self) -> tuple[Step, ...]:
        """Returns the calls beside others that were enough."""
        return tuple([self.lost(second) for entry in self._begun for second in entry.beside if second.is_sent])

    def lost(self, entry: Entry) -> Step:
        """Returns a call whose answer is not needed, with what it has used until it was broken off."""
        if isinstance(entry.reply, BackendError):
            return Step(
                backend=entry.backend,
                completion=None,
                error=entry.reply,
                confidence=0.0,
                cost_usd=0.0,
                is_beside=True,
                draft_of=entry.draft_of,
                judged=entry.judged,
            )
        return Step(
            backend=entry.backend,
            completion=entry.completion or self._broken_off(entry),
            error=None,
            confidence=0.0,
            cost_usd=self._used(entry)[1],
            is_given_up=True,
            is_beside=True,
            draft_of=entry.draft_of,
            judged=entry.judged,
        )

    def _step(self, entry: Entry) -> Step:
        return Step(
            backend=entry.backend,
            completion=entry.completion,
            error=_error_of(entry),
            confidence=0.0,
            cost_usd=self._used(entry)[1],
            is_given_up=isinstance(entry.reply, GivenUp),
            is_beside=entry.is_hedge,
            draft_of=entry.draft_of,
            judged=entry.judged,
        )

    def _entries(self) -> Iterator[Entry]:
        """Yields every call that counts, each with those beside it."""
        for entry in self._begun:
            yield entry
            if entry.beside:
                yield from (second for second in entry.beside if second.is_sent)

    def _used(self, entry: Entry) -> tuple[int, float]:
        if entry.completion is not None:
            usage = entry.completion.usage
            return usage.input_tokens + usage.output_tokens, self._charge(entry.backend, entry.completion)
        if not entry.is_sent or (entry.reply is not None and not entry.has_begun):
            return 0, 0.0
        return self._guess(entry)

    def _broken_off(self, entry: Entry) -> Completion:
        """Returns what stands for the answer of a call that was broken off: nothing, for a guess of what it used."""
        n_tokens, cost_usd = self._used(entry)
        input_tokens = min(self._decision.estimates.input_tokens, n_tokens)
        usage = Usage(input_tokens=input_tokens, output_tokens=n_tokens - input_tokens, is_estimated=True)
        return Completion(text="", usage=usage, cost_usd=cost_usd)

    def _guess(self, entry: Entry) -> tuple[int, float]:
        estimates = self._decision.estimates
        place = estimates.backends.index(entry.backend)
        came = Usage(input_tokens=estimates.input_tokens, output_tokens=-(-entry.n_signs // BYTES_PER_TOKEN))
        costs = [float(estimates.cost_usd[place]), self._charge(entry.backend, Completion(text="", usage=came))]
        tokens = [float(estimates.output_tokens[place]), float(came.output_tokens)]
        return came.input_tokens + round(_most(tokens)), _most(costs)


def none_refused() -> None:
    """Returns nothing, as where further calls may be made."""


def _error_of(entry: Entry) -> BackendError | None:
    if entry.reply is None:
        return BrokenOff(entry.backend)
    return entry.reply if isinstance(entry.reply, BackendError) else None


def _most(values: list[float]) -> float:
    """Returns the greatest of what is known."""
    return max((value for value in values if math.isfinite(value)), default=0.0)
