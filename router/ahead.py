"""Calls that are begun before their turn, and broken off where their turn does not come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType

from ..backends import BackendError, Completion
from .cascade import Step
from .tally import Entry, Tally


class Ahead:
    """A context for the calls of one request. Those whose turn has not come at its end are broken off and paid for."""

    def __init__(self, complete: Callable[[str, Entry], Awaitable[Completion]], tally: Tally) -> None:
        self._complete = complete
        self._tally = tally
        self._tasks: dict[str, asyncio.Task[Completion]] = {}
        self._entries: dict[str, Entry] = {}  # of those that have begun

    def begin(self, backend: str, *, after_s: float) -> None:
        """Begins a call after so many seconds, unless its turn comes before or the context ends, or it has begun."""
        if backend in self._tasks:  # as it may when another call failed since
            return
        self._tasks[backend] = asyncio.create_task(self._call(backend, after_s))

    def turn(self, backend: str) -> tuple[Entry, asyncio.Task[Completion] | None]:
        """Returns the entry of a call whose turn has come, and the call itself where it has begun already."""
        if not self._tasks:  # mostly
            return self._tally.begin(backend), None
        task, entry = self._tasks.pop(backend, None), self._entries.pop(backend, None)
        if task is None or entry is None:
            if task is not None:
                task.cancel()
            return self._tally.begin(backend), None
        return entry, task

    async def drop(self) -> None:
        """Breaks off what has begun; may be called twice."""
        tasks = self._tasks.values()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def lost(self) -> tuple[Step, ...]:
        """Returns what became of the calls whose turn did not come; to be asked for after `drop`."""
        return tuple([self._tally.lost(entry) for entry in self._entries.values()])

    async def __aenter__(self) -> Ahead:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._tasks:
            await self.drop()

    async def _call(self, backend: str, after_s: float) -> Completion:
        await asyncio.sleep(after_s)
        entry = self._entries[backend] = self._tally.begin(backend)
        try:
            completion = await self._complete(backend, entry)
        except BackendError as error:
            entry.reply = error
            raise
        entry.reply = completion
        return completion
