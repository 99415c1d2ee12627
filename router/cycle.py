"""One request on a connection and its reply: what an ASGI application receives, and what it sends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

from .asgi import ON_GONE, Event, Scope

if TYPE_CHECKING:
    from .connection import Connection

_PIECE_BYTES = 64 << 10  # of a body that nobody has read yet, after which the client waits; and of one to copy

logger = logging.getLogger(__name__)


class Cycle:
    """One request and its reply."""

    task: asyncio.Task[None]
    is_read = False  # all of the request came
    is_ended = False  # all of the reply was sent, or the client has gone
    has_begun = False  # some of the reply was sent
    _size = 0  # of the pieces of the body
    _has_told_end = False
    _is_invited = False  # to send its body
    _is_chunked = False
    _gone: Callable[[], None] | None = None  # to be called where the client leaves before its reply was sent
    _head: Event | None = None  # of the reply: it goes out with what comes first of the body, as ASGI asks
    _waiter: asyncio.Future[None] | None = None

    def __init__(self, connection: Connection, scope: Scope, *, is_kept: bool) -> None:
        self._connection = connection
        self._scope = scope
        self._pieces: list[bytes] = []  # of the body, that came and were not received
        self.is_kept = is_kept  # whether the connection may be used again

    async def run(self) -> None:
        """Has the request answered."""
        connection, scope = self._connection, self._scope
        scope["extensions"] = {ON_GONE: self.on_gone}
        try:
            await connection.app(scope, self.receive, self.send)
        except Exception:  # an outer edge: what the application lets through must not end the others
            logger.exception("the application failed")
        finally:
            del scope["extensions"]  # which know us: else only a collection would free both
            connection.server.tasks.discard(self.task)
            if not self.is_ended:
                connection.close()

    async def receive(self) -> Event:
        """Returns what came next: a piece of the body, or that the client has gone."""
        while not (self.is_ended or self._pieces or self.is_read != self._has_told_end):
            await self._next()
        if self.is_ended:
            return {"type": "http.disconnect"}
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._connection.resume()  # also where no more is to come: else it would not be seen that the client leaves
        self._has_told_end = self.is_read
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return {"type": "http.request", "body": body, "more_body": not self.is_read}

    async def send(self, message: Event) -> None:
        """Sends what comes next; nothing where the client has gone."""
        connection = self._connection
        if connection.is_blocked:
            await connection.unblocked.wait()
        if self.is_ended:
            return
        if message["type"] == "http.response.start":
            self._head = message
            return
        body, has_more = message.get("body", b""), message.get("more_body", False)
        head, self._head = b"" if self._head is None else self._encoded(self._head), None
        if self._scope["method"] == "HEAD":
            body = b""
        elif self._is_chunked:
            body = b"%b%b" % (b"%x\r\n%b\r\n" % (len(body), body) if body else b"", b"" if has_more else b"0\r\n\r\n")
        if len(body) > _PIECE_BYTES:
            connection.transport.write(head)
            head = b""
        connection.transport.write(head + body if head else body)
        if not has_more:
            self.end()
            connection.ended(self)

    def on_gone(self, call: Callable[[], None] | None) -> None:
        """Has that called as soon as the client leaves, and not what it was before."""
        self._gone = call
        if self.is_ended and call is not None:
            call()

    def take(self, body: bytes) -> None:
        """Takes a piece of the body."""
        if self.is_ended:
            return
        self._pieces.append(body)
        self._size += len(body)
        if self._size > _PIECE_BYTES:
            self._connection.pause()
        self._wake()

    def take_end(self) -> None:
        """Takes the end of the body."""
        self.is_read = True
        self._wake()

    def end(self) -> None:
        """Notes that nothing more is to be sent or received."""
        self.is_ended = True
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()
        self._wake()

    async def _next(self) -> None:
        """Waits until something has happened."""
        connection = self._connection
        if self._awaits_word():
            self._is_invited = True
            connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        waiter = self._waiter = connection.loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None

    def _awaits_word(self) -> bool:
        """Returns whether the client may wait for word before it sends its body."""
        if self.is_read or self._is_invited:
            return False
        return any(name == b"expect" and value.lower() == b"100-continue" for name, value in self._scope["headers"])

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _encoded(self, head: Event) -> bytes:
        """Returns the head of the reply."""
        status: int = head["status"]
        self.has_begun = True
        if self._awaits_word():  # and gets another: whether its body comes all the same, nobody knows
            self.is_kept = False
        headers = [*self._connection.server.default_headers, *head["headers"]]
        if not self.is_kept:
            headers.append((b"connection", b"close"))
        # A client of another version sees the end of the reply in that of the connection.
        if b"content-length" not in dict(headers) and self._scope["http_version"] == "1.1":
            self._is_chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        encoded = b"%b%b\r\n\r\n" % (status_line(status), b"\r\n".join(map(b": ".join, headers)))
        if encoded.count(b"\r") + encoded.count(b"\n") > 2 * (len(headers) + 2):
            raise ValueError("a header holds a line break")
        return encoded


@cache
def status_line(status: int) -> bytes:
    """Returns how a reply of this status begins.

    >>> status_line(404), status_line(529)
    (b'HTTP/1.1 404 Not Found\\r\\n', b'HTTP/1.1 529 \\r\\n')
    """
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:  # as some providers have their own
        phrase = ""
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())
