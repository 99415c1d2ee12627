"""The backends of a router: built at the first use, called through their gates, on one loop, and closed together.

When models.yaml is read anew another crew takes over. Backends that both have stay as they are; one that has gone is
closed when the last request that may still ask it has ended.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import logging
import random
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..backends import Backend, BackendSpec, PenstockError, create_backend
from .background import CLOSED, BackgroundLoop, wait_for
from .caller import Caller
from .gate import LocalGate

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_CLOSE_S = 4.0  # for a backend to close; less than a background loop is waited for


@dataclass(slots=True, kw_only=True)
class Crew:
    """The backends of one models.yaml, by name."""

    specs: Mapping[str, BackendSpec]
    gates: Mapping[str, LocalGate]
    callers: dict[str, Caller] = field(default_factory=dict)  # requests hold on to it as long as they may call
    backends: dict[str, Backend] | None = None  # None: not built yet


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
        self._given = given or {}
        self._clock = clock
        gates = {name: LocalGate(spec, clock=clock) for name, spec in specs.items()}
        self._crew = Crew(specs=specs, gates=gates)
        self._open: dict[int, tuple[str, Backend]] = {}  # by identity: all that are to be closed
        self._rng = random.Random()  # of waiting times only
        self._lock = threading.Lock()
        self._errands: set[asyncio.Task[None]] = set()
        self._background = BackgroundLoop()
        self._home: asyncio.AbstractEventLoop | None = None  # None: the background's
        self.is_closed = False
        weakref.finalize(self, self._background.close)  # at the latest when the interpreter ends

    @property
    def is_home(self) -> bool:
        """Whether the running loop is the one that was told."""
        return self._home is asyncio.get_running_loop()

    @property
    def crew(self) -> Crew:
        """The backends that new requests may ask."""
        return self._crew

    def backends(self) -> Mapping[str, Backend]:
        """Returns every backend.

        Raises:
            ConfigError: one cannot be built, for instance because its key is not in the environment.
            PenstockError: the fleet is closed.
        """
        with self._lock:
            if self.is_closed:
                raise PenstockError(CLOSED)
            crew = self._crew
            if crew.backends is None:
                crew.backends = {name: self._made(spec) for name, spec in crew.specs.items()}
                self._admit(crew)
            return crew.backends

    def callers(self) -> Mapping[str, Caller]:
        """Returns what to call each backend with; raises as `backends` does."""
        self.backends()
        return self._crew.callers

    async def prepare(self, specs: Mapping[str, BackendSpec]) -> Crew:
        """Returns the crew that could take over; `swap` makes it, nothing has changed until then.

        Raises:
            ConfigError: a backend cannot be built.
        """
        now = self._crew
        kept = {name for name, spec in specs.items() if now.specs.get(name) == spec}
        gates = {
            name: now.gates[name] if name in kept else LocalGate(spec, clock=self._clock)
            for name, spec in specs.items()
        }
        crew = Crew(specs=specs, gates=gates)
        if now.backends is None:
            return crew
        made: dict[str, Backend] = {}
        try:
            for name, spec in specs.items():
                if name not in kept:
                    made[name] = await asyncio.to_thread(self._made, spec)  # may read files
        except BaseException:
            await _close_all([(name, backend) for name, backend in made.items() if name not in self._given], ())
            raise
        crew.backends = {name: now.backends[name] if name in kept else made[name] for name in specs}
        crew.callers = {name: now.callers[name] for name in specs if name in kept}
        return crew

    def swap(self, crew: Crew) -> None:
        """Lets new requests ask another crew; to be called on the loop of the backends.

        Raises:
            PenstockError: the fleet is closed.
        """
        loop = asyncio.get_running_loop()
        with self._lock:
            if self.is_closed:
                raise PenstockError(CLOSED)
            before, self._crew = self._crew, crew
            if crew.backends is not None:
                self._admit(crew)
        staying = {id(backend) for backend in (*(crew.backends or {}).values(), *self._given.values())}
        for caller in before.callers.values():
            if id(caller.backend) not in staying:
                # Runs when nobody can call any more, wherever that happens; it must take no lock.
                end = weakref.finalize(caller, _on_loop, loop, functools.partial(self._retire, caller.backend))
                end.atexit = False

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

    def _made(self, spec: BackendSpec) -> Backend:
        return self._given[spec.name] if spec.name in self._given else create_backend(spec)

    def _admit(self, crew: Crew) -> None:
        """Makes callers of those that have none, and sees to it that all are closed in the end."""
        for name, backend in (crew.backends or {}).items():
            self._open[id(backend)] = (name, backend)
            if name not in crew.callers:
                gate = crew.gates[name]
                crew.callers[name] = Caller(crew.specs[name], backend, gate, rng=self._rng, clock=self._clock)
        if self._home is None:
            self._background.at_end = functools.partial(_close_all, self._open.values(), self._errands)

    def _retire(self, backend: Backend) -> None:
        """Closes a backend that nobody asks any more."""
        if not self.is_closed and id(backend) in self._open:
            self.spawn(self._close(backend))

    async def _close(self, backend: Backend) -> None:
        await _close_all([self._open[id(backend)]], ())
        self._open.pop(id(backend), None)

    def _take_backends(self) -> list[tuple[str, Backend]]:
        """Returns the backends to close and lets nobody have them any more."""
        with self._lock:
            self.is_closed = True
            backends, self._open = list(self._open.values()), {}  # another one: the background's end reads the old
            return backends


def _on_loop(loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # it is closed, and so are all backends
        loop.call_soon_threadsafe(function)


async def _close_all(backends: Iterable[tuple[str, Backend]], errands: Iterable[asyncio.Task[None]]) -> None:
    """Ends the errands, then closes every backend, whether or not another one resists, or takes for ever."""
    ended = list(errands)
    for task in ended:
        task.cancel()
    await asyncio.gather(*ended, return_exceptions=True)
    closing = {asyncio.create_task(backend.aclose()): name for name, backend in backends}
    if closing:
        await asyncio.wait(closing, timeout=_CLOSE_S)
    for task, name in closing.items():
        if not task.done():
            task.cancel()
            logger.warning("%s: was not closed within %g s", name, _CLOSE_S)
        elif not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("%s: could not be closed: %s", name, error)
