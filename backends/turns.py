"""So many at once; the others wait for their turn."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType


class Turns:
    """What an `asyncio.Semaphore` is, at a small part of its cost as long as nobody has to wait. On one event loop."""

    __slots__ = ("_n_free", "_waiting")

    def __init__(self, n: int) -> None:
        self._n_free = n
        self._waiting: deque[asyncio.Future[None]] = deque()

    def take_now(self) -> bool:
        """Returns whether there was a turn without waiting; it is the caller's then."""
        if not self._n_free:
            return False
        self._n_free -= 1
        return True

    async def take(self) -> None:
        """Waits for a turn, in the order of those who wait."""
        if self.take_now():
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it came, and nobody is there to take it
                self.give()
            raise

    def give(self) -> None:
        """Gives a turn back, which goes to whoever has waited longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else who waited has left
                turn.set_result(None)
                return
        self._n_free += 1

    async def __aenter__(self) -> None:
        if not self.take_now():
            await self.take()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give()
