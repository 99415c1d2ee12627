"""A second attempt beside one that is late, as a hedge: the first that comes wins.

Reference: J. Dean and L. A. Barroso, The Tail at Scale, Communications of the ACM 56(2), 2013, "Hedged requests".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

_Won = TypeVar("_Won")


async def sooner(
    attempt: Callable[[bool], Awaitable[_Won]],
    *,
    after_s: float,
    may_follow: Callable[[], bool],
    discard: Callable[[_Won], Awaitable[None]],
) -> tuple[_Won, bool]:
    """Returns what the first of two attempts comes to, and whether that is the second one.

    `attempt` is told whether it is the second; that one begins after so many seconds, if it `may_follow` then. The
    slower one is cancelled; should both have come, `discard` frees it.

    Raises:
        BackendError, TimeoutError: what the first attempt ended in, where none came to anything.
    """
    tasks = [asyncio.ensure_future(attempt(False))]
    won: asyncio.Future[_Won] | None = None
    try:
        await asyncio.wait(tasks, timeout=after_s)
        if not tasks[0].done() and may_follow():
            tasks.append(asyncio.ensure_future(attempt(True)))
        while won is None and not all(task.done() for task in tasks):
            await asyncio.wait([task for task in tasks if not task.done()], return_when=asyncio.FIRST_COMPLETED)
            won = next((task for task in tasks if task.done() and task.exception() is None), None)
        won = won or tasks[0]
        return won.result(), won is tasks[-1] and len(tasks) > 1
    finally:
        others = [task for task in tasks if task is not won]
        for task in others:
            task.cancel()
        for outcome in await asyncio.gather(*others, return_exceptions=True):
            if not isinstance(outcome, BaseException):
                await discard(outcome)
