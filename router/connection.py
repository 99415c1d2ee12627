"""One connection of a client: HTTP/1.1 straight on the transport, read by llhttp, one request after the other.

uvicorn makes one for each (its option `http`). Its own protocol would do as well; a request here is two thirds of the
work of that one, and has to be there in time and within bounds.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from .cycle import Cycle, status_line
from .formats.chat import openai_error
from .formats.events import encode_json
from .http_error import HttpError
from .request_parser import asks_for_upgrade, make_parser, parts_of, without_upgrade

MAX_HEAD_BYTES = 64 << 10  # of the request line and headers; real ones have one or two KiB
PATIENCE_S = 30.0  # for all of a request to come,
SLOWEST = 8 << 10  # and for a large body a second more for so many bytes
STUCK_S = 60.0  # in which a client takes nothing of the last that it gets, after which it is cut off
_LINGER_S = 0.5  # for a request that is on its way when the server stops
_ASGI = {"version": "3.0", "spec_version": "2.3"}


class Connection(asyncio.Protocol):
    """Reads requests, and has the ASGI application answer them in their order. The parser calls the methods `on_...`.

    A request that comes before the one ahead of it is answered waits. Where no head of a request comes for as long as
    uvicorn's `timeout_keep_alive` says, the connection is closed. A request that comes drop by drop is refused: to have
    thousands of them waited for would cost their sender nothing.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not config.loaded:
            config.load()
        self.app = config.loaded_app
        self.loop = _loop or asyncio.get_running_loop()
        self.server = server_state
        self._app_state = app_state
        self._parser = make_parser(self)
        self._cycle: Cycle | None = None  # the one that is being answered
        self._read: Cycle | None = None  # the one whose body is being read, or was read last
        self._waiting: deque[Cycle] = deque()
        self._keep_alive_s = config.timeout_keep_alive
        self._idle_since = self.loop.time()
        self._is_head = False  # whether a head is being read, or what stands behind a body
        self._has_begun_here = False  # whether it began in what came last
        self._n_head_bytes = 0
        self._n_latest = 0  # bytes that came last
        self._is_too_long = False  # a head that was read to its end
        self._due = math.inf  # when the request that is being read has to be there
        self._is_last = False  # the request that is being answered, or the next one, is the last
        self._is_over = False  # nothing more is read
        self._timer: asyncio.TimerHandle  # of what is to be looked at next, from the first moment of the connection
        self._is_paused = False  # we do not take what the client sends
        self.is_blocked = False  # the client does not take what we send
        self.unblocked = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self.transport = cast(asyncio.Transport, transport)
        self.server.connections.add(self)  # type: ignore[arg-type]  # what uvicorn makes here is of any class
        is_tls = transport.get_extra_info("sslcontext") is not None
        self._known = {  # what all its requests have in common
            "type": "http",
            "asgi": _ASGI,
            "scheme": "https" if is_tls else "http",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "root_path": "",
        }
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the application that the client has gone."""
        self.server.connections.discard(self)
        self._waiting.clear()
        for cycle in (self._cycle, self._read):
            if cycle is not None:
                cycle.end()
        self.unblocked.set()
        self._timer.cancel()
        self._cycle = self._read = self._parser = None  # type: ignore[assignment]  # it knows us

    def data_received(self, data: bytes) -> None:
        """Reads on; refuses what is no request, and a head without end."""
        if self._is_over:
            return
        self._has_begun_here, self._n_latest = False, len(data)
        try:
            rest = data
            while rest:
                rest = self._feed(rest)
        except httptools.HttpParserError:
            if self._is_too_long:
                self._refuse_head()
            else:
                self._refuse(400, "the request is not HTTP/1.1")
            return
        if self._is_head and not self._has_begun_here:  # else most of it may have been a body
            self._n_head_bytes += len(data)
            if self._n_head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def pause_writing(self) -> None:
        """Has the application wait before it sends more."""
        self.is_blocked = True
        self.unblocked.clear()

    def resume_writing(self) -> None:
        """Lets it go on."""
        self.is_blocked = False
        self.unblocked.set()

    def shutdown(self) -> None:
        """Closes the connection, after the reply that is under way, or that to a request that is on its way here."""
        self._is_last = True
        if self._cycle is not None:
            self._cycle.is_kept = False
        else:
            self.loop.call_later(_LINGER_S, self._close_unasked)

    def _close_unasked(self) -> None:
        if self._cycle is None and not self.transport.is_closing():
            self.close()

    def close(self) -> None:
        """Closes the connection when the client has taken what was written, or takes no more of it."""
        self._is_over = True
        self.transport.close()
        self._timer.cancel()
        self._cut_off_if_stuck(math.inf)

    def on_message_begin(self) -> None:
        """Notes that a head begins."""
        self._begin_head()
        self._due = self.loop.time() + PATIENCE_S
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        """Keeps a part of the address."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keeps a header."""
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Has the request answered, or wait for its turn."""
        self._is_head = False
        parser = self._parser
        if self._n_head_bytes + self._n_latest > MAX_HEAD_BYTES:  # else it cannot be, and need not be counted
            self._is_too_long = (
                len(self._url) + sum(len(name) + len(value) for name, value in self._headers) > MAX_HEAD_BYTES
            )
            if self._is_too_long:
                raise ValueError("too long a head")
        if asks_for_upgrade(parser):  # it will be read again
            return
        path, raw_path, query = parts_of(self._url)
        version = parser.get_http_version()
        scope = self._known | {
            "method": parser.get_method().decode("ascii"),
            "http_version": version,
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "state": self._app_state.copy(),
        }
        self._headers = []  # what stands behind the body is none of these
        cycle = self._read = Cycle(
            self, scope, is_kept=version == "1.1" and parser.should_keep_alive() and not self._is_last
        )
        if self._cycle is None:
            self._begin(cycle)
        else:
            self._waiting.append(cycle)
            self.pause()

    def on_chunk_header(self) -> None:
        """Notes that a chunk begins; behind the last one, which is empty, stands what is bounded as a head is."""
        self._begin_head()

    def on_body(self, body: bytes) -> None:
        """Keeps a piece of a body."""
        self._is_head = False
        self._due += len(body) / SLOWEST
        if self._read is not None:
            self._read.take(body)

    def on_message_complete(self) -> None:
        """Notes the end of a body."""
        self._is_head, self._due = False, math.inf
        if asks_for_upgrade(self._parser):
            return
        if self._read is not None:
            self._read.take_end()

    def pause(self) -> None:
        """Has the client wait before it sends more."""
        if not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Lets it go on."""
        if self._is_paused and not self._waiting:
            self._is_paused = False
            if self._due < math.inf:
                self._due = max(self._due, self.loop.time() + PATIENCE_S)
            self.transport.resume_reading()

    def ended(self, cycle: Cycle) -> None:
        """Goes on to the next request once one is answered."""
        self.server.total_requests += 1
        self._cycle = None
        if not cycle.is_kept:
            if cycle.is_read or not self.transport.can_write_eof():
                self.close()
            else:
                self._close_slowly()
            return
        self._idle_since = self.loop.time()
        if self._waiting:
            self._begin(self._waiting.popleft())
        self.resume()

    def _close_slowly(self) -> None:
        """Closes the connection once the client, which still sends, has seen the end of its reply and does so too.

        With what it sends unread, it would be told of a reset in place of the reply.
        """
        self._is_over = True
        self.transport.write_eof()
        if self._is_paused:
            self.transport.resume_reading()
        self._timer.cancel()
        self._timer = self.loop.call_later(PATIENCE_S, self.close)

    def _begin_head(self) -> None:
        self._is_head = self._has_begun_here = True
        self._n_head_bytes = 0

    def _begin(self, cycle: Cycle) -> None:
        self._cycle = cycle
        cycle.task = self.loop.create_task(cycle.run())
        self.server.tasks.add(cycle.task)

    def _look(self) -> None:
        """Closes a connection on which nothing is asked, and refuses a request that takes too long to come.

        One timer for each connection, set anew when it is over: setting one for every request would be a good part of
        all its work.
        """
        now, left_s = self.loop.time(), min(PATIENCE_S, self._keep_alive_s)
        is_reading = self._due < math.inf
        if is_reading and not self._is_paused:
            left_s = self._due - now
        elif not is_reading and self._cycle is None:
            left_s = min(left_s, self._idle_since + self._keep_alive_s - now)
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._look)
        elif is_reading:
            self._refuse(408, f"not all of the request came within {PATIENCE_S:g} s, and a second for {SLOWEST} bytes")
        else:
            self.close()

    def _cut_off_if_stuck(self, n_left: float) -> None:
        """Cuts the connection where as much is left to be sent as there was, else looks again in a while."""
        n_left_now = self.transport.get_write_buffer_size()
        if n_left_now == n_left:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(STUCK_S, self._cut_off_if_stuck, n_left_now)

    def _feed(self, data: bytes) -> bytes:
        """Reads on; returns what is to be read next: a request that asks for an upgrade, to what we do not speak, is
        read again as if it did not.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        else:
            return b""
        asked, self._parser = self._parser, make_parser(self)
        return without_upgrade(asked, self._url, self._headers) + rest

    def _refuse_head(self) -> None:
        self._refuse(431, f"the request line and headers are larger than {MAX_HEAD_BYTES} bytes")

    def _refuse(self, status: int, message: str) -> None:
        """Ends the connection with an error, after the reply to a request that was read whole."""
        self._is_over = True
        if self._waiting and not self._waiting[-1].is_read:
            self._waiting.pop()
        if self._cycle is not None and self._cycle.is_read:
            last = self._waiting[-1] if self._waiting else self._cycle
            last.is_kept = False
            return
        if self._cycle is not None:
            self._cycle.end()
        if self._read is not None and self._read.has_begun and not self._read.is_read:  # it is answered all the same
            self.close()
            return
        body = encode_json(openai_error(HttpError(status, message)))
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self.transport.write(status_line(status) + head + body)
        self.close()
