"""One connection to a provider: HTTP/1.1 straight on the transport, one request at a time, read by llhttp.

`python benchmarks/http_client.py` shows why it is our own: a call takes a small part of the CPU that a general client
spends on it, and calling is most of what the sidecar does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable
from typing import cast

import httptools

from .in_turn import InTurn

_PIECE_BYTES = 1 << 18  # of a large request, after which others get their turn; and of a reply that nobody reads yet
_MAX_HEAD_BYTES = 1 << 16
_TICK_S = 0.001  # by which a timer may be early

Headers = list[tuple[bytes, bytes]]  # names in lower case


class WireError(Exception):
    """What came over the connection is no good."""


class NotHttp(WireError):
    """What came is no HTTP."""


class Cut(WireError):
    """The reply broke off."""


class Wire(asyncio.Protocol):
    """A connection. The reply to a request is read to its end before the next one is sent, or the connection closed.

    The parser calls the methods `on_...`. Who has read the beginning of a reply reads on `in_turn`.
    """

    def __init__(self, in_turn: InTurn) -> None:
        self._in_turn = in_turn
        self._loop = asyncio.get_running_loop()
        self._parser: httptools.HttpResponseParser | None = None  # None: nothing was asked
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = math.inf  # of what is waited for
        self._timer: asyncio.TimerHandle | None = None
        self._looks_at = math.inf  # when that runs
        self._is_blocked = False  # the other end does not take what we write
        self._is_paused = False  # we do not take what the other end writes
        self._is_open = True
        self._is_used = False  # for an earlier request
        self._is_begun = False  # whether some of the reply's body was read
        self.idle_since = 0.0

    async def ask(self, head: bytes, body: bytes, *, deadline: float) -> None:
        """Sends a request; returns once the head of the reply is there.

        Raises:
            WireError: the reply is none.
            OSError: the connection was lost.
            TimeoutError: `deadline`, in the time of the event loop, has passed.
        """
        self.status = 0
        self.headers: Headers = []
        self.has_head = self.is_complete = self._is_begun = False
        self._is_sent = True  # all of the request
        self._n_received = self._n_kept = 0
        self._pieces: list[bytes] = []
        self._error: Exception | None = None
        self._parser = httptools.HttpResponseParser(self)
        if not self._is_open:
            raise ConnectionResetError("the server has closed the connection")
        if len(body) <= _PIECE_BYTES:
            self._transport.write(head + body)
        else:
            await self._write_slowly(head, body, deadline)
        while not self.has_head:
            await self._wait(deadline)

    async def read(self, *, deadline: float) -> bytes:
        """Returns what has come of the body since the last time, waiting for something; empty at the end.

        Raises:
            WireError, OSError, TimeoutError: as for `ask`.
        """
        while not self._pieces:
            if self.is_complete:
                return b""
            await self._wait(deadline)
        return self.taken()

    def taken(self) -> bytes:
        """Returns what has come of the body since the last time, without waiting."""
        pieces, self._pieces = self._pieces, []
        self._n_kept, self._is_begun = 0, True
        if self._is_paused and self._is_open:
            self._is_paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def header(self, name: bytes) -> str:
        """Returns the value of a header of the reply, "" where there is none."""
        for found, value in self.headers:
            if found == name:
                return value.decode("latin-1")
        return ""

    @property
    def is_reusable(self) -> bool:
        """Whether another request may be sent."""
        if not self._is_open or self._parser is None:
            return self._is_open
        return self.is_complete and self._is_kept and self._is_sent and not self._pieces

    @property
    def was_left(self) -> bool:
        """Whether the server has closed a connection that was kept, having said nothing to the latest request."""
        return self._is_used and not self._is_open and not self._n_received

    @property
    def transport(self) -> asyncio.Transport:
        """What it writes to."""
        return self._transport

    def rest(self) -> None:
        """Notes that nothing is asked for now."""
        self._parser, self._is_used = None, True
        self.idle_since = self._loop.time()

    def close(self) -> None:
        """Closes the connection at once; may be called twice."""
        if self._is_open:
            self._is_open = False
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the reply: well, where it was to end with the connection."""
        self._is_open = False
        if self._timer is not None:
            self._timer.cancel()
        if self._parser is None or self.is_complete:
            return
        if exc is not None:
            self._fail(exc if isinstance(exc, OSError) else ConnectionResetError(str(exc)))
        elif not self.has_head:
            self._fail(ConnectionResetError("the server closed the connection without a reply"))
        elif self._ends_with_connection:
            self.is_complete = True
            self._wake()
        else:
            self._fail(Cut("the server closed the connection before the end"))

    def data_received(self, data: bytes) -> None:
        """Reads on."""
        if self._parser is None or self.is_complete:  # nobody asked for this
            self.close()
            return
        if not self.has_head:
            self._n_received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(NotHttp(str(error) or type(error).__name__))
        if not self.has_head and self._n_received > _MAX_HEAD_BYTES:
            self._fail(NotHttp(f"its head is larger than {_MAX_HEAD_BYTES >> 10} KB"))
        self._wake()

    def pause_writing(self) -> None:
        """Holds a large request back."""
        self._is_blocked = True

    def resume_writing(self) -> None:
        """Lets it go on."""
        self._is_blocked = False
        self._wake()

    def on_message_begin(self) -> None:
        """Keeps a connection from being used again on which a second reply begins, to no question of ours."""
        if self.is_complete:
            self._is_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header."""
        if not self.has_head:  # and no trailer
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Lets `ask` return, unless it is the head of an interim reply."""
        assert self._parser is not None  # it is calling
        if self.is_complete:
            return
        status = self._parser.get_status_code()
        if status < 100:
            raise NotHttp(f"its status is {status}")
        if status < 200:
            self.headers = []
            return
        self.status, self.has_head = status, True
        is_chunked = "chunked" in self.header(b"transfer-encoding").lower()
        self._ends_with_connection = not is_chunked and not self.header(b"content-length")

    def on_body(self, body: bytes) -> None:
        """Keeps a piece, and has the server wait where nobody reads."""
        if self.is_complete:
            return
        self._pieces.append(body)
        self._n_kept += len(body)
        if self._n_kept > _PIECE_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        """Notes the end, unless it is that of an interim reply."""
        assert self._parser is not None  # it is calling
        if not self.is_complete:
            self.is_complete = self.has_head
            self._is_kept = self._parser.should_keep_alive()

    async def _write_slowly(self, head: bytes, body: bytes, deadline: float) -> None:
        """Sends a large request, or as much of it as the server wants to have before it replies."""
        self._transport.write(head)
        for piece in _cut(body):
            while self._is_blocked and not self.has_head:
                await self._wait(deadline)
            if self.has_head or not self._is_open:  # a refusal comes early: what is left need not be sent
                self._is_sent = False
                return
            self._transport.write(piece)
            await asyncio.sleep(0)

    async def _wait(self, deadline: float) -> None:
        """Returns when something has happened."""
        if self._error is not None:
            raise self._error
        self._deadline = deadline
        if deadline < self._looks_at:
            self._look_at(deadline)
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None
        if self._error is not None and not self._pieces:
            raise self._error

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        if self._is_begun:
            self._in_turn.wake(waiter)
        else:
            waiter.set_result(None)

    def _look_at(self, when: float) -> None:
        """Looks at a time whether a deadline has passed. A connection has one timer, set anew only for one that comes
        before; most waits are over long before theirs, and a timer for each would cost more than all the rest of them.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._looks_at = self._loop.call_at(when, self._look), when

    def _look(self) -> None:
        self._timer, self._looks_at = None, math.inf
        if self._waiter is None or self._waiter.done():
            return  # the next wait sees to its own deadline
        if self._loop.time() + _TICK_S < self._deadline:
            self._look_at(self._deadline)
        else:
            self._waiter.set_exception(TimeoutError())

    def _fail(self, error: Exception) -> None:
        self._error = self._error or error
        self._wake()
        self.close()


def _cut(body: bytes) -> Iterable[memoryview]:
    """Yields a large body in pieces."""
    view = memoryview(body)
    for start in range(0, len(view), _PIECE_BYTES):
        yield view[start : start + _PIECE_BYTES]
