"""The backends of a router: built at the first use, called through their gates, on one loop, and closed together."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import random
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from ..backends import Backend, BackendSpec, PenstockError, create_backend
from .background import CLOSED, BackgroundLoop, wait_for
from .caller import Caller
from .errors import BackendBusy
from .gate import GateState, LocalGate

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class Fleet:
    """Backends and the loop that they live on: one of its own in the background, or one that it is told.

    Safe to share among tasks and threads. `given` replaces backends that would be built.
    """

    def __init__(
        self,
        specs: Mapping[str, BackendSpec],
        *,
        given: Mapping[str, Backend] | None,
        clock: Callable[[], float],
    ) -> None:
        self._specs = specs
        self._given = given or {}
        self._clock = clock
        self._gates = {name: LocalGate(spec, clock=clock) for name, spec in specs.items()}
        self._callers: dict[str, Caller] = {}
        self._rng = random.Random()  # of waiting times only
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._background = BackgroundLoop()
        self._home: asyncio.AbstractEventLoop | None = None  # None: the background's
        self.is_closed = False
        weakref.finalize(self, self._background.close)  # at the latest when the interpreter ends

    @property
    def is_home(self) -> bool:
        """Whether the running loop is the one that was told."""
        return self._home is asyncio.get_running_loop()

    def refusals(self) -> Mapping[str, BackendBusy]:
        """Returns the backends that no call would be let through to now, and why."""
        return {name: refusal for name, gate in self._gates.items() if (refusal := gate.refusal()) is not None}

    def gates(self) -> Mapping[str, GateState]:
        """Returns of every backend how its gate stands."""
        return {name: gate.state() for name, gate in self._gates.items()}

    def backends(self) -> Mapping[str, Backend]:
        """Returns every backend.

        Raises:
            ConfigError: one cannot be built, for instance because its key is not in the environment.
            PenstockError: the fleet is closed.
        """
        with self._lock:
            if self.is_closed:
                raise PenstockError(CLOSED)
            if self._backends is None:
                self._backends = {
                    name: self._given[name] if name in self._given else create_backend(spec)
                    for name, spec in self._specs.items()
                }
                if self._home is None:
                    self._background.at_end = functools.partial(_close_all, self._backends, self._errands)
                self._callers = {name: self._caller(name, backend) for name, backend in self._backends.items()}
            return self._backends

    def callers(self) -> Mapping[str, Caller]:
        """Returns what to call each backend with; raises as `backends` does."""
        self.backends()
        return self._callers

    def gate(self, name: str) -> LocalGate:
        """Returns the gate of a backend."""
        return self._gates[name]

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Returns a task on the running loop, that of the backends; it is cancelled before these close."""
        task = asyncio.create_task(coroutine)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    def live_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes this loop the one that backends live on; to be called before the first use."""
        self._home = loop

    def submit(self, coroutine: Coroutine[Any, Any, _Result]) -> concurrent.futures.Future[_Result]:
        """Returns the future of a coroutine that runs where the backends live."""
        if self._home is None:
            return self._background.submit(coroutine)
        if self.is_closed:
            coroutine.close()
            raise PenstockError(CLOSED)
        return asyncio.run_coroutine_threadsafe(coroutine, self._home)

    def check_may_wait(self) -> None:
        """Refuses to block the very loop that would have to do the work.

        Raises:
            PenstockError: the caller runs on that loop.
        """
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return
        if here is self._home or self._background.is_here:
            raise PenstockError("this would wait for itself; use `aask`, `astream` and `aclose` where backends run")

    async def aclose(self) -> None:
        """Frees connections and threads; may be called twice."""
        if self.is_home:
            await _close_all(self._take_backends(), self._errands)
        # In a thread, since it waits for the background's.
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Frees connections and threads; may be called twice."""
        self.check_may_wait()
        backends = self._take_backends()
        if backends and self._home is not None and self._home.is_running():
            wait_for(self.submit, _close_all(backends, self._errands))
        self._background.close()

    def _caller(self, name: str, backend: Backend) -> Caller:
        return Caller(self._specs[name], backend, self._gates[name], rng=self._rng, clock=self._clock)

    def _take_backends(self) -> Mapping[str, Backend]:
        """Returns the backends to close and lets nobody have them any more."""
        with self._lock:
            self.is_closed = True
            backends, self._backends = self._backends, None
        return backends or {}


async def _close_all(backends: Mapping[str, Backend], errands: Iterable[asyncio.Task[None]]) -> None:
    """Ends the errands, then closes every backend, whether or not another one resists."""
    ended = list(errands)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    results = await asyncio.gather(*(backend.aclose() for backend in backends.values()), return_exceptions=True)
    for name, result in zip(backends, results, strict=True):
        if isinstance(result, Exception):
            logger.warning("%s: could not be closed: %s", name, result)
