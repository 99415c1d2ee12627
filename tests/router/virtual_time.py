"""An event loop whose time passes only while everybody waits, and then at once, so that tests of waiting are quick."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that leaps to the next timer when there is nothing else to do. Threads and sockets must not be used."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        """Returns the virtual time, in seconds."""
        return self.now


class _Leaping(selectors.SelectSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns what is ready now; time leaps by `timeout`."""
        assert timeout is not None, "everybody waits for something that never comes"
        self._loop.now += timeout
        return super().select(0)


def run_virtually(what: Coroutine[Any, Any, _Result], loop: VirtualLoop | None = None) -> _Result:
    """Returns the result of a coroutine, with time that passes as it is waited for."""
    with asyncio.Runner(loop_factory=lambda: loop or VirtualLoop()) as runner:
        return runner.run(what)
