"""Who may call a backend now: so many at once, a bounded queue behind them, nobody while it is left alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from ..backends import BackendError, BackendSpec
from ..backends.turns import Turns
from .circuit import Circuit
from .errors import BackendBusy

_SOON_S = 1.0  # when to come back to a backend that has as many calls as it takes


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """How a gate stands at one moment."""

    in_flight: int
    waiting: int
    concurrency: int  # most calls at once
    circuit: str  # one of CIRCUIT_STATES
    refusal: str | None  # why no call would be let through


class Gate(Protocol):
    """Lets calls to one backend through. Its state is in this process here; replicas might share it."""

    def refusal(self) -> BackendBusy | None:
        """Returns why no call would be let through now, None where one would."""

    def state(self) -> GateState:
        """Returns how it stands, for people to see."""

    def has_room(self) -> bool:
        """Returns whether a guest may come now: it is let through, nobody waits, and half of the slots stay free."""

    def passage(self, *, wait_s: float) -> AbstractAsyncContextManager[None]:
        """Returns a context to make one call in, entered within `wait_s` and left with what comes of the call.

        Raises:
            BackendBusy: on entering, where no call is let through.
        """


class LocalGate:
    """A gate for the calls of this process, all on one event loop. Threads may ask for its `refusal`."""

    def __init__(self, spec: BackendSpec, *, clock: Callable[[], float]) -> None:
        self._spec = spec
        self._clock = clock
        self._circuit = Circuit(spec.breaker)
        self._slots = Turns(spec.limits.concurrency)
        self._n_inside = 0  # without guests
        self._n_waiting = 0
        self._guests: list[Callable[[], object]] = []  # what makes each give way

    def refusal(self) -> BackendBusy | None:
        """Returns why no call would be let through now, None where one would."""
        circuit, limits = self._circuit, self._spec.limits
        if circuit.is_open:
            now = self._clock()
            wait_s = circuit.wait_s(now)
            if wait_s > 0:
                return BackendBusy(circuit.why(now), backend=self._spec.name, retry_after_s=wait_s)
        if self._n_inside >= limits.concurrency and self._n_waiting >= limits.queue:
            return self._busy(f"busy with {limits.concurrency} calls, and {limits.queue} wait")
        return None

    def state(self) -> GateState:
        """Returns how it stands, for people to see."""
        refusal = self.refusal()
        return GateState(
            in_flight=self._n_inside,
            waiting=self._n_waiting,
            concurrency=self._spec.limits.concurrency,
            circuit=self._circuit.state,
            refusal=refusal.reason if refusal else None,
        )

    def passage(self, *, wait_s: float) -> AbstractAsyncContextManager[None]:
        """Returns a context to make one call in."""
        return _Passage(self, wait_s)

    def has_room(self) -> bool:
        """Returns whether a guest may come now: it is let through, nobody waits, and half of the slots stay free."""
        most = self._spec.limits.concurrency // 2
        return self._n_inside + len(self._guests) < most and not self._n_waiting and self.refusal() is None

    @contextlib.asynccontextmanager
    async def guest(self, give_way: Callable[[], object]) -> AsyncIterator[None]:
        """A context for one call that nobody waits for; `give_way` is called as soon as another call has to wait.

        Guests are not counted in `refusal`, and how they end tells the circuit nothing.
        """
        self._guests.append(give_way)
        try:
            async with self._slots:
                yield
        finally:
            with contextlib.suppress(ValueError):  # it was made to give way
                self._guests.remove(give_way)

    def take_now(self) -> bool:
        """Returns whether there was a slot, which is the caller's then.

        Raises:
            BackendBusy: no call is let through.
        """
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        return self._slots.take_now()

    def enter(self) -> int:
        """Notes that a call begins, in a slot of its own; returns the ticket of the circuit."""
        self._n_inside += 1
        return self._circuit.begin()

    def leave(self, ticket: int, outcome: BaseException | None) -> None:
        """Makes room for the next call."""
        self._n_inside -= 1
        self._slots.give()
        if outcome is None or isinstance(outcome, BackendError):
            self._circuit.end(ticket, outcome, self._clock())
        else:
            self._circuit.forget(ticket)

    async def take(self, wait_s: float) -> None:
        """Waits until there is a slot, which is the caller's then."""
        if self._guests:
            self._guests.pop()()
        self._n_waiting += 1
        patience_s = min(wait_s, self._spec.limits.queue_s)
        try:
            async with asyncio.timeout(patience_s):
                await self._slots.take()
        except TimeoutError:
            raise self._busy(f"busy: no turn came within {patience_s:g} s") from None
        finally:
            self._n_waiting -= 1
        refusal = self.refusal()
        if refusal is not None:  # it has begun to fail meanwhile
            self._slots.give()
            raise refusal

    def _busy(self, why: str) -> BackendBusy:
        return BackendBusy(why, backend=self._spec.name, retry_after_s=_SOON_S)


class _Passage:
    """One call through a gate; a class, since it is entered for every call."""

    __slots__ = ("_gate", "_ticket", "_wait_s")

    def __init__(self, gate: LocalGate, wait_s: float) -> None:
        self._gate = gate
        self._wait_s = wait_s

    async def __aenter__(self) -> None:
        gate = self._gate
        if not gate.take_now():
            await gate.take(self._wait_s)
        self._ticket = gate.enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.leave(self._ticket, error)
