"""One event loop in a thread of its own, so that the synchronous SDK is a thin shell around the asynchronous one."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from ..backends import PenstockError

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
Submit = Callable[[Coroutine[Any, Any, _Result]], concurrent.futures.Future[_Result]]

CLOSED = "the router is closed; make another one"
FORKED = "this process was forked from one that uses this router; make one here, with Router.from_config"
_PATIENCE_S = 5.0  # for calls that are slow to be cancelled
_END = object()


class BackgroundLoop:
    """Runs coroutines on a loop that is started at the first use and lives until `close`.

    `at_end` makes what is run there last, after every call that was still under way has been cancelled.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._process = os.getpid()  # where the thread is; a fork has none
        self._is_closed = False
        self._is_stopping = False
        self.at_end: Callable[[], Coroutine[Any, Any, None]] | None = None

    @property
    def is_here(self) -> bool:
        """Whether the caller runs on this loop."""
        return self._thread is threading.current_thread()

    def submit(self, coroutine: Coroutine[Any, Any, _Result]) -> concurrent.futures.Future[_Result]:
        """Returns the future of a coroutine that runs there from now on.

        Raises:
            PenstockError: it was closed, or runs in the process that this one was forked from.
        """
        if self._thread is not None and self._process != os.getpid():
            coroutine.close()
            raise PenstockError(FORKED)
        # Under the lock, so that whatever gets in is there before `close` begins and is cancelled by it.
        with self._lock:
            if self._is_closed:
                coroutine.close()
                raise PenstockError(CLOSED)
            return asyncio.run_coroutine_threadsafe(coroutine, self._started())

    def close(self) -> None:
        """Cancels what runs, runs `at_end`, stops the thread; may be called twice."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            if self._loop is None and self.at_end is None:
                return
            loop = self._started()
        loop.call_soon_threadsafe(self._stop)
        thread = self._thread
        if thread is None or self.is_here:  # here: a router was dropped in the middle of the loop's own work
            return
        thread.join(timeout=_PATIENCE_S)
        if thread.is_alive():
            logger.warning("a call did not end within %g s of being cancelled", _PATIENCE_S)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._process = os.getpid()
            self._thread = threading.Thread(target=self._live, args=(self._loop,), name="penstock", daemon=True)
            self._thread.start()
        return self._loop

    def _stop(self) -> None:
        """Ends what the thread does first; called on the loop, which might else be stopped while it closes backends."""
        assert self._loop is not None  # it is running
        self._is_stopping = True
        self._loop.stop()

    def _live(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            while not self._is_stopping:
                with contextlib.suppress(SystemExit):  # of one task, whose caller gets it; the others go on
                    loop.run_forever()
            loop.run_until_complete(self._end())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.at_end is not None:
            await self.at_end()


def wait_for(submit: Submit[_Result], coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Returns the result of a coroutine that runs on another loop; Ctrl-C here cancels it there."""
    future = submit(coroutine)
    try:
        return future.result()
    except concurrent.futures.CancelledError:
        raise PenstockError(CLOSED) from None  # nobody but `close` cancels it
    except BaseException:
        future.cancel()
        raise


async def await_on(submit: Submit[_Result], coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Returns the result of a coroutine that runs on another loop; cancelling here cancels it there."""
    future = submit(coroutine)
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and not task.cancelling():  # nobody cancelled the caller: it was `close`, over there
            raise PenstockError(CLOSED) from None
        raise


def iterate(submit: Submit[None], generator: Callable[[], AsyncGenerator[_Result, None]]) -> Iterator[_Result]:
    """Yields what an asynchronous generator yields on another loop; closing this one closes that one."""
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()
    future = submit(_pump(generator, items.put))
    future.add_done_callback(lambda _: items.put(_END))
    try:
        while (item := items.get()) is not _END:
            yield item
        future.result()
    except concurrent.futures.CancelledError:
        raise PenstockError(CLOSED) from None
    finally:
        future.cancel()


async def aiterate(
    submit: Submit[None], generator: Callable[[], AsyncGenerator[_Result, None]]
) -> AsyncIterator[_Result]:
    """Yields what an asynchronous generator yields on another loop, to a consumer on this one."""
    here = asyncio.get_running_loop()
    items: asyncio.Queue[Any] = asyncio.Queue()

    def put(item: object) -> None:
        with contextlib.suppress(RuntimeError):  # the consumer's loop was closed, with nobody left to read
            here.call_soon_threadsafe(items.put_nowait, item)

    future = submit(_pump(generator, put))
    future.add_done_callback(lambda _: put(_END))
    try:
        while (item := await items.get()) is not _END:
            yield item
        if future.cancelled():
            raise PenstockError(CLOSED)
        future.result()
    finally:
        future.cancel()


async def _pump(generator: Callable[[], AsyncGenerator[Any, None]], put: Callable[[Any], None]) -> None:
    """Hands every item over, from one task, so that time limits inside the generator keep their meaning."""
    async with contextlib.aclosing(generator()) as source:
        async for item in source:
            put(item)
