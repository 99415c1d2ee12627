"""What is to be done a little later, if it is still to be done then: one timer for all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

Task = Callable[[], None]


class Soon:
    """Calls what was put in once `after_s` have passed, and twice that at most, unless it was taken out again.

    Nearly all of it is taken out: what a request asks for in case that it takes long. A timer for each would cost more
    than all the rest of that.
    """

    def __init__(self, *, after_s: float) -> None:
        self._after_s = after_s
        self._old: dict[object, Task] = {}  # since before the timer was set
        self._new: dict[object, Task] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # that has a timer; None: there is none

    def put(self, key: object, task: Task, *, loop: asyncio.AbstractEventLoop) -> None:
        """Puts something in; `loop` is the one that runs."""
        self._new[key] = task
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(self._after_s, self._call)

    def take(self, key: object) -> None:
        """Takes something out; it may have been called."""
        if self._new.pop(key, None) is None:
            self._old.pop(key, None)

    def _call(self) -> None:
        due, self._old, self._new = self._old, self._new, {}
        if self._old and self._loop is not None:
            self._loop.call_later(self._after_s, self._call)
        else:
            self._loop = None
        for task in due.values():
            task()
