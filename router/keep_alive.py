"""Signs of life while an answer is held back, so that nobody on the way takes the connection for dead."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType


class KeepAlive:
    """A context in which `send` is called every so many seconds, until `stop`.

    What `send` raises is raised by `stop`, or at the end of the context.
    """

    def __init__(self, send: Callable[[], Awaitable[None]], *, every_s: float) -> None:
        self._send = send
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None  # most answers come before a task is worth having

    @property
    def is_on(self) -> bool:
        """Whether it was not stopped yet."""
        return self._timer is not None

    async def stop(self) -> None:
        """Ends it; nothing is being sent any more when this returns. May be called twice."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def __aenter__(self) -> KeepAlive:
        self._timer = asyncio.get_running_loop().call_later(self._every_s, self._begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await self._send()
            await asyncio.sleep(self._every_s)
