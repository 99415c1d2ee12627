"""The words of ASGI that the sidecar uses: reading a body, and noticing that the client has gone."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from .http_error import HttpError

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]

OnGone = Callable[[Callable[[], None] | None], None]  # takes what is to be called if the client leaves; None: nothing
ON_GONE = "penstock.on_gone"  # the extension of ASGI under which our own server gives one


class ClientGone(Exception):
    """The client closed the connection; there is nobody left to answer."""


async def read_body(scope: Scope, receive: Receive, *, limit: int) -> bytes:
    """Returns the body of a request.

    Raises:
        HttpError: it is larger than `limit` bytes.
        ClientGone: it breaks off.
    """
    announced = dict(scope["headers"]).get(b"content-length", b"")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    pieces: list[bytes] = []
    size, has_more = 0, True
    while has_more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        pieces.append(event.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            raise _too_large(limit)
        has_more = event.get("more_body", False)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


@asynccontextmanager
async def taken_within(seconds: float) -> AsyncIterator[None]:
    """A context for sending something: a client that does not take it in this time counts as gone."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise ClientGone from error


class UntilGone:
    """A context whose work is cancelled, with ClientGone raised, as soon as the client leaves, or takes nothing of a
    stream for `patience_s`.

    To be entered once the body was read, and left before the last byte is sent: to a server, a reply that is complete
    looks like a client that has gone. Where the server cannot call us, a task watches.
    """

    def __init__(self, scope: Scope, receive: Receive, *, patience_s: float = math.inf) -> None:
        self._on_gone: OnGone | None = scope.get("extensions", {}).get(ON_GONE)
        self._receive = receive
        self._patience_s = patience_s
        self._given_at: float | None = None  # None: nothing waits to be taken
        self._is_gone = False
        self._watcher: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        # Asked for once: to see whether the process was forked, each time takes a system call.
        loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # coroutines run in tasks
        self._task = task
        self._n_cancels = task.cancelling()
        if self._on_gone is not None:
            self._on_gone(self._end)
        else:
            self._watcher = asyncio.create_task(self._watch())
        if self._patience_s < math.inf:
            self._timer = loop.call_later(self._patience_s, self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._on_gone is not None:
            self._on_gone(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None  # which knows us: else only a collection would free both
        if not self._is_gone:
            return
        is_cancelled_by_others_too = self._task.uncancel() > self._n_cancels
        if not is_cancelled_by_others_too and (error is None or isinstance(error, asyncio.CancelledError)):
            raise ClientGone from None

    async def give(self, sending: Awaitable[None]) -> None:
        """Sends a piece. Cheaper than a time limit on every single one."""
        self._given_at = self._loop.time()
        await sending
        self._given_at = None

    def _look(self) -> None:
        """Ends the work where a piece has waited for too long, else looks again when it will have."""
        now = self._loop.time()
        left_s = self._patience_s if self._given_at is None else self._given_at + self._patience_s - now
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self._end()

    def _end(self) -> None:
        if not self._is_gone:  # it may take nothing, and leave while its work is being ended
            self._is_gone = True
            self._task.cancel()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._end()


def _too_large(limit: int) -> HttpError:
    return HttpError(413, f"the body is larger than {limit} bytes", code="request_too_large")
