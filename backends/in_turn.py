"""Those who could go on all at once go on a few at a time, and what is new is looked at in between."""

from __future__ import annotations

import asyncio
from collections import deque


class InTurn:
    """Lets `n` go on at each turn of the event loop, in the order in which they came.

    A turn of the loop reads all that has come and then works on all of it: whatever comes meanwhile, the reply to the
    first of sixteen requests, say, waits until the last of them was worked on. So those that can wait do it here.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._n_left = n  # who may go on in this turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # in a turn of which somebody went on; None: nobody did

    async def wait(self) -> None:
        """Returns when it is the caller's turn, mostly at once."""
        waiter = asyncio.get_running_loop().create_future()
        self.wake(waiter)
        await waiter

    def wake(self, waiter: asyncio.Future[None]) -> None:
        """Wakes who waits for a future, when it is their turn, mostly at once."""
        loop = waiter.get_loop()
        if self._loop is not loop:
            self._loop, self._n_left = loop, self._n
            self._waiting.clear()  # of a loop that has ended in between
            loop.call_soon(self._next)
        if self._n_left:
            self._n_left -= 1
            waiter.set_result(None)
        else:
            self._waiting.append(waiter)

    def _next(self) -> None:
        self._n_left = self._n
        while self._waiting and self._n_left:
            waiter = self._waiting.popleft()
            if not waiter.done():  # else who waited has left
                self._n_left -= 1
                waiter.set_result(None)
        if self._n_left < self._n and self._loop is not None:
            self._loop.call_soon(self._next)
        else:
            self._loop = None
