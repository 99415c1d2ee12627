"""A provider on the loopback interface that says what a test tells it to, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

import orjson

PATIENCE_S = 20.0  # after which a server that nobody leaves gives up


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came in."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return orjson.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """One reply. A tuple of pieces is sent piece by piece, as a chunked body."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | tuple[bytes, ...] = b""
    content_type: str = "application/json"
    ending: Literal["proper", "cut", "hang"] = "proper"


def json_reply(content: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Canned:
    """Returns a reply of one JSON value."""
    return Canned(status=status, body=orjson.dumps(content), headers=headers or {})


def event_reply(*events: bytes, ending: Literal["proper", "cut", "hang"] = "proper") -> Canned:
    """Returns a reply of events, each sent on its own."""
    return Canned(body=events, content_type="text/event-stream", ending=ending)


def data(content: Any) -> bytes:
    """Returns an event without a name."""
    return b"data: " + (content if isinstance(content, bytes) else orjson.dumps(content)) + b"\n\n"


class Loopback:
    """A server, used with `async with`; `answer` makes the reply to each request."""

    def __init__(self, answer: Callable[[Asked], Canned] | Canned) -> None:
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []
        self.n_connections = 0
        self.n_open = 0
        self.most_open = 0
        self.has_hung_up = asyncio.Event()  # the client left while it was being served
        self.has_been_asked = asyncio.Event()

    @property
    def url(self) -> str:
        """The address to give as base_url."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Loopback:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=1 << 26)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.n_connections += 1
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._serve(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass  # the test is over; the streams would log it
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; returns whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        asked = Asked(path=first.split()[1], headers=headers, body=body)
        self.asked.append(asked)
        self.has_been_asked.set()
        self.n_open += 1
        self.most_open = max(self.most_open, self.n_open)
        try:
            canned = self._answer(asked) if callable(self._answer) else self._answer
            await asyncio.sleep(0)
            return await self._send(canned, reader, writer)
        except ConnectionError:
            self.has_hung_up.set()
            raise
        finally:
            self.n_open -= 1

    async def _send(self, canned: Canned, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        is_whole = isinstance(canned.body, bytes)
        pieces = (canned.body,) if isinstance(canned.body, bytes) else canned.body
        size = sum(map(len, pieces)) + (canned.ending != "proper")
        framing = {"content-length": str(size)} if is_whole else {"transfer-encoding": "chunked"}
        headers = {"content-type": canned.content_type, **framing, **canned.headers}
        lines = [f"HTTP/1.1 {canned.status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for piece in pieces:
            writer.write(piece if is_whole else b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0)
        if canned.ending == "hang":
            async with asyncio.timeout(PATIENCE_S):
                if not await reader.read(1):
                    self.has_hung_up.set()
            return False
        if canned.ending == "cut":
            return False
        if not is_whole:
            writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True
