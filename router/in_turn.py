"""Requests that came together begin one after the other, and what is under way is served in between."""

from __future__ import annotations

import asyncio
from collections import deque


class InTurn:
    """Lets one caller of `wait` go on at each turn of the event loop, in the order in which they came.

    A turn reads all that has come, works on all of it, and sends all that is to be sent. Were sixteen requests begun in
    one, each would reach its backend when the last one did; and as their replies then came together too, so would
    the requests after them.
    """

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None  # in a turn of which somebody went on; None: nobody did

    async def wait(self) -> None:
        """Returns when it is the caller's turn, mostly at once."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_soon(self._next)
            return
        turn = loop.create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # else who waited has left
                turn.set_result(None)
                turn.get_loop().call_soon(self._next)
                return
        self._loop = None
