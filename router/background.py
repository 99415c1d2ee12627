"""One event loop in a thread of its own, so that the synchronous SDK is a thin shell around the asynchronous one."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_END = object()


class BackgroundLoop:
    """Runs coroutines on a loop that lives until `close`; started on first use."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="penstock", daemon=True)
                self._thread.start()
            return self._loop

    def run(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Returns the coroutine's result; Ctrl-C in the caller cancels it there too."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Stops the loop and its thread; may be called twice."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=5)
        if not thread.is_alive():
            loop.close()


def iterate(
    loop: asyncio.AbstractEventLoop, generator: Callable[[], AsyncGenerator[_Result, None]]
) -> Iterator[_Result]:
    """Yields what an asynchronous generator yields on another loop; closing this one closes that one."""
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    future = asyncio.run_coroutine_threadsafe(_pump(generator, items.put), loop)
    try:
        while (item := items.get()) is not _END:
            yield item
        future.result()
    finally:
        future.cancel()


async def aiterate(
    loop: asyncio.AbstractEventLoop, generator: Callable[[], AsyncGenerator[_Result, None]]
) -> AsyncIterator[_Result]:
    """Yields what an asynchronous generator yields on another loop, to a consumer on this one."""
    here = asyncio.get_running_loop()
    items: asyncio.Queue[Any] = asyncio.Queue()

    def put(item: object) -> None:
        here.call_soon_threadsafe(items.put_nowait, item)

    future = asyncio.run_coroutine_threadsafe(_pump(generator, put), loop)
    try:
        while (item := await items.get()) is not _END:
            yield item
        await asyncio.wrap_future(future)
    finally:
        future.cancel()


async def _pump(generator: Callable[[], AsyncGenerator[Any, None]], put: Callable[[Any], None]) -> None:
    """Hands every item over, from one task, so that time limits inside the generator keep their meaning."""
    source = generator()
    try:
        async for item in source:
            put(item)
    finally:
        await source.aclose()
        put(_END)
