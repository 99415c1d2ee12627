"""One backend's HTTP connections: bounded in number, time and size, with errors of our own."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from urllib.parse import urlsplit

from .errors import BackendError, BackendTimeout, BackendUnreachable, InvalidRequest, MalformedReply
from .failures import Refusal, failure, read_refusal
from .hiding import one_line, redact
from .options import extended
from .spec import BackendSpec, Timeouts
from .turns import Turns
from .wire import Wire, WireError
from .wires import CONNECT_S, NoConnection, Wires

MAX_REFUSAL_BYTES = 64 << 10  # of the body of an error
DRAIN_S = 0.2

# What goes wrong below; of a host's name, what cannot be one is a ValueError.
_AT_ONCE_S = 0.5  # some round trips: as long as word may take that a connection was closed before it was used again
_BROKEN = (WireError, OSError, ValueError, zlib.error)


class CallClock:
    """Measures one call and says by when the next piece of its reply must have come, in the event loop's time."""

    __slots__ = ("_end", "_loop", "_start", "_timeouts", "deadline", "first_token_s")

    def __init__(self, timeouts: Timeouts, *, waits_for_first_token: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._start = self._loop.time()
        self._end = self.deadline = self._start + timeouts.total_s
        if waits_for_first_token:
            self.deadline = min(self._start + timeouts.first_token_s, self._end)
        self.first_token_s: float | None = None

    def see_token(self) -> None:
        """Notes the first token: from now on only the total counts."""
        if self.first_token_s is None:
            self.first_token_s = self.elapsed_s
            self.deadline = self._end

    def expect_whole(self) -> None:
        """Notes that no first token will come ahead of the rest."""
        self.deadline = self._end

    @property
    def now(self) -> float:
        """The event loop's time."""
        return self._loop.time()

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call began."""
        return self.now - self._start

    def timeout(self, backend: str) -> BackendTimeout:
        """Returns the error for a deadline that has passed."""
        if self.deadline < self._end:
            return BackendTimeout(f"no first token within {self._timeouts.first_token_s:g} s", backend=backend)
        return BackendTimeout(f"no complete answer within {self._timeouts.total_s:g} s", backend=backend)


class Reply:
    """An accepted reply whose body is still to be read."""

    def __init__(self, wire: Wire, connections: Connections, clock: CallClock) -> None:
        self._wire = wire
        self._connections = connections
        self._clock = clock
        self._size = 0
        coding = wire.header(b"content-encoding").lower()
        self._inflate = _inflater(coding, connections.backend) if coding else None

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events, as opposed to one JSON value."""
        return self._wire.header(b"content-type").lower().startswith("text/event-stream")

    def expect_whole(self) -> None:
        """Notes that no first token will come ahead of the rest."""
        self._clock.expect_whole()

    async def read(self) -> bytes:
        """Returns what has arrived of the body, waiting for something; empty at the end.

        Raises:
            BackendError: it stops, takes too long or grows too large.
        """
        connections, clock = self._connections, self._clock
        try:
            piece = await self._wire.read(deadline=clock.deadline)
            if self._inflate is not None:
                piece = await self._inflated(self._inflate, piece)
        except _BROKEN as error:
            raise connections.broken(error, clock, has_begun=True) from error
        return self._counted(piece)

    async def drain(self) -> None:
        """Reads what little follows the last event, so that the connection can serve another call."""
        loop = asyncio.get_running_loop()
        end = loop.time() + DRAIN_S
        with suppress(*_BROKEN):
            while await self._wire.read(deadline=end) and loop.time() < end:
                pass

    async def body(self) -> bytes:
        """Returns the whole body.

        Raises:
            BackendError: as for `read`.
        """
        if self._wire.is_complete and self._inflate is None:  # as a small reply is, which comes with its head
            return self._counted(self._wire.taken())
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)

    def _counted(self, piece: bytes) -> bytes:
        """Returns a piece of a body that is not too large with it."""
        self._size += len(piece)
        connections = self._connections
        if self._size > connections.most_bytes:
            raise MalformedReply(f"the reply is larger than {connections.most_mb:g} MB", backend=connections.backend)
        return piece

    async def _inflated(self, inflate: zlib._Decompress, piece: bytes) -> bytes:
        """Returns a piece as it was before it was compressed, and not much more than is allowed of a reply."""
        text = b""
        while piece and not text:  # else it would look like the end
            text = inflate.decompress(inflate.unconsumed_tail + piece, self._connections.most_bytes + 1)
            if not text:
                piece = await self._wire.read(deadline=self._clock.deadline)
        return text


class Connections:
    """The connections of one backend, opened when first needed and kept.

    `secrets` are hidden from everything that leaves here as an error.
    """

    def __init__(self, spec: BackendSpec, base_url: str, headers: Mapping[str, str], *, secrets: Sequence[str]) -> None:
        self.backend = spec.name
        self._format = spec.format
        self._base_url = base_url
        self._headers = {
            "content-type": "application/json",
            "accept": "*/*",
            "accept-encoding": "identity",  # a proxy that compresses a stream holds tokens back
            "user-agent": "penstock",
            **{name.lower(): value for name, value in headers.items()},
        }
        self._secrets = tuple(secret for secret in secrets if secret)
        self.most_mb = spec.limits.reply_mb
        self.most_bytes = int(spec.limits.reply_mb * 2**20)  # of a reply
        self._connect_s = min(CONNECT_S, spec.timeout.total_s)
        self._heads: dict[str, bytes] = {}  # what requests begin with, by path
        self.slots = Turns(spec.limits.concurrency)  # every call is made inside one of these
        self._wires: Wires | None = None

    def post(self, path: str, body: bytes, clock: CallClock, *, headers: Mapping[str, str] | None = None) -> _Posted:
        """Returns a context in which there is the reply to a request, entered as soon as the provider has accepted it;
        leaving it before the end of the reply closes the connection, which ends the call there too.

        `headers` go over those of the backend.

        Raises:
            BackendError: on entering, where there is no connection, no reply in time, or a refusal.
        """
        return _Posted(self, self._head(path, headers) + b"content-length: %d\r\n\r\n" % len(body), body, clock)

    async def aclose(self) -> None:
        """Closes every connection; may be called twice."""
        wires, self._wires = self._wires, None
        if wires is not None:
            await wires.aclose()

    def hidden(self, text: str) -> str:
        """Returns `text` without secrets, in one line."""
        return one_line(redact(text, self._secrets))

    def reported(self, refusal: Refusal) -> BackendError:
        """Returns the error for a failure that a provider reports in a reply that began as a success."""
        return failure(refusal, backend=self.backend, status=None, secrets=self._secrets, format=self._format)

    def broken(self, error: Exception, clock: CallClock, *, has_begun: bool) -> BackendError:
        """Returns our error for what went wrong below; `has_begun` where the reply had."""
        words = self.hidden(str(error)) or type(error).__name__
        if isinstance(error, NoConnection):
            return BackendUnreachable(words, backend=self.backend)
        if isinstance(error, WireError | zlib.error):
            what = "the reply was cut" if has_begun else "the reply is not HTTP"
            return MalformedReply(f"{what}: {words}", backend=self.backend)
        if isinstance(error, TimeoutError):
            return clock.timeout(self.backend)
        return BackendUnreachable(f"the connection was lost: {words}" if has_begun else words, backend=self.backend)

    def opened(self) -> Wires:
        """Returns the connections, none of them opened before there is a call.

        Raises:
            BackendUnreachable: the way there leads through a proxy that cannot be used.
        """
        if self._wires is None:
            try:
                self._wires = Wires(self._base_url, connect_s=self._connect_s)
            except ValueError as error:
                raise BackendUnreachable(str(error), backend=self.backend) from error
        return self._wires

    async def refused(self, wire: Wire, reply: Reply) -> BackendError:
        """Returns the error for a status that is no success."""
        if 300 <= wire.status < 400:
            refusal = Refusal(message="redirects are not followed; give the final address as base_url")
        else:
            refusal = read_refusal(await _beginning(reply))
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in wire.headers}
        return failure(
            refusal,
            backend=self.backend,
            status=wire.status,
            headers=headers,
            secrets=self._secrets,
            format=self._format,
        )

    def _head(self, path: str, headers: Mapping[str, str] | None) -> bytes:
        """Returns what a request begins with, but for the length of its body."""
        if headers:
            return self._encoded_head(path, {**self._headers, **headers})
        head = self._heads.get(path)
        if head is None:
            head = self._heads[path] = self._encoded_head(path, self._headers)
        return head

    def _encoded_head(self, path: str, headers: Mapping[str, str]) -> bytes:
        wires = self.opened()
        parts = urlsplit(extended(self._base_url, path))
        target = wires.target(parts.path + (f"?{parts.query}" if parts.query else ""))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if lines.count("\r") + lines.count("\n") > 2 * len(headers):
            raise InvalidRequest("a header holds a line break", backend=self.backend)
        text = f"POST {target} HTTP/1.1\r\n{wires.head}{lines}"
        try:
            return text.encode("latin-1")
        except UnicodeEncodeError:
            return text.encode()


class _Posted:
    """One request under way; a class, since it is entered for every call."""

    __slots__ = ("_body", "_clock", "_connections", "_head", "_wire", "_wires")

    def __init__(self, connections: Connections, head: bytes, body: bytes, clock: CallClock) -> None:
        self._connections = connections
        self._head = head
        self._body = body
        self._clock = clock

    async def __aenter__(self) -> Reply:
        connections, clock = self._connections, self._clock
        wires = self._wires = connections.opened()
        wire: Wire | None = None
        try:
            wire = self._wire = wires.kept(clock.now) or await wires.open(deadline=clock.deadline)
            asked = time.monotonic()
            try:
                await wire.ask(self._head, self._body, deadline=clock.deadline)
            except OSError:
                # The server may give up a connection just as it is used again. That says nothing about how it is. One
                # that takes its time to hang up has worked on the request, and is not asked twice behind anyone's back.
                if not wire.was_left or time.monotonic() - asked > _AT_ONCE_S:
                    raise
                wires.give(wire)
                wire = self._wire = await wires.open(deadline=clock.deadline)
                await wire.ask(self._head, self._body, deadline=clock.deadline)
            reply = Reply(wire, connections, clock)
            if not 200 <= wire.status < 300:  # some gateways have 201 for every POST
                raise await connections.refused(wire, reply)
        except BaseException as error:
            if wire is not None:
                wires.give(wire)
            if isinstance(error, _BROKEN):
                raise connections.broken(error, clock, has_begun=False) from error
            raise
        return reply

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wires.give(self._wire)


def _inflater(coding: str, backend: str) -> zlib._Decompress | None:
    """Returns what undoes a compression that was not asked for.

    Raises:
        MalformedReply: it is another than gzip or deflate.
    """
    if coding == "identity":
        return None
    if coding not in ("gzip", "deflate"):
        raise MalformedReply(f"the reply is compressed as {coding!r:.40}, which was not asked for", backend=backend)
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # either, by what it begins with


async def _beginning(reply: Reply) -> bytes:
    """Returns as much of an error's body as is worth reading, or what came before it broke off."""
    read = b""
    with suppress(BackendError):
        while len(read) < MAX_REFUSAL_BYTES and (piece := await reply.read()):
            read += piece
    return read
