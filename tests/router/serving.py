"""What the tests of the SDK and the sidecar have in common: backends that wait or break, and ways to ask."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import uvicorn

from penstock.backends import Backend, BackendSpec, Chunk, Completion, FakeBackend, Query, ServerFailed
from penstock.classifiers import Escalation, no_escalation
from penstock.router import Pool, Router, TraceSink, read_config
from penstock.router.commands.serve import listen
from penstock.router.connection import Connection
from penstock.router.server import Sidecar

PATIENCE_S = 20.0  # after which a test that waits in vain gives up

MODELS = """
policies:
  auto: {objective: utility, lam: 20}
  best: {objective: utility, lam: 0}
backends:
  small: {type: fake, tier: small, price: {input: 0.04, output: 0.10}, answer: "It is 391."}
  lrm: {type: fake, tier: lrm, price: {input: 1.0, output: 200}, answer: "Surely 391.", supports: [streaming, tools]}
"""
HELLO = [{"role": "user", "content": "What is 17 * 23?"}]


def write_models(folder: Path, text: str = MODELS) -> Path:
    """Returns the path of a models.yaml."""
    path = folder / "models.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def make_router(folder: Path, **backends: Backend) -> Router:
    """Returns a cold router over `small` and `lrm`; `auto` asks `small` first, `best` asks `lrm`."""
    return Router.from_config(write_models(folder), backends=backends)


class JudgingPool(Pool):
    """A pool that can tell how good answers are: `confidence_of` says it of a text. Errors of its backends have nothing
    to do with each other.
    """

    def __init__(self, specs: Mapping[str, BackendSpec], confidence_of: Callable[[str], float]) -> None:
        super().__init__(specs, None)
        n = len(specs)
        self.escalation = replace(no_escalation(n), loading=np.zeros(n), power=np.full(n, 0.5))
        self._confidence_of = confidence_of

    def escalation_for(self, query: Query) -> Escalation:
        """Returns the same for every query."""
        return self.escalation

    def confidence(self, query: Query, completion: Completion, *, backend: str, estimate: float) -> float:
        """Returns what `confidence_of` says."""
        return self._confidence_of(completion.text)


def make_judging_router(folder: Path, backends: Mapping[str, Backend], *, sink: TraceSink | None = None) -> Router:
    """Returns a router that asks `small` first and `lrm` after every answer that does not begin with "right"."""
    config = read_config(write_models(folder, MODELS.replace("200", "10")))
    pool = JudgingPool(config.backends, _confidence_of)
    return Router(config, pool, sink=sink, backends=backends)


def _confidence_of(text: str) -> float:
    return {"right": 1.0, "maybe": 0.3}.get(text.partition(" ")[0], 0.0)


class WaitingBackend(FakeBackend):
    """Says one word of a stream, then nothing until it is left; a whole answer never comes."""

    def __init__(self) -> None:
        super().__init__(answer="never")
        self.has_begun = threading.Event()
        self.was_left = threading.Event()

    async def complete(self, query: Query) -> Completion:
        """Waits."""
        await self._wait()
        raise AssertionError("nobody left")

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields a word and waits."""
        yield Chunk(text="One")
        await self._wait()
        raise AssertionError("nobody left")

    async def _wait(self) -> None:
        self.has_begun.set()
        try:
            await asyncio.sleep(PATIENCE_S)
        finally:
            self.was_left.set()


class BreakingBackend(FakeBackend):
    """Says one word of a stream, then raises."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(answer="never")
        self._error = error or ServerFailed("the model fell over", backend="small")

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields a word and raises."""
        yield Chunk(text="One")
        raise self._error


class ListSink:
    """Keeps records in a list."""

    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []

    def write(self, record: Mapping[str, object]) -> None:
        """Keeps the record."""
        self.records.append(record)

    def close(self) -> None:
        """Has nothing to free."""


@dataclass(kw_only=True)
class Got:
    """A reply as the application sent it."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes] = field(default_factory=list)
    is_complete: bool = False

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return orjson.loads(self.body)

    @property
    def events(self) -> list[str]:
        """The data of every event."""
        parts = self.body.decode().split("\n\n")
        assert parts.pop() == ""
        assert all(part.startswith("data: ") for part in parts)
        return [part.removeprefix("data: ") for part in parts]

    @property
    def chunks(self) -> list[Any]:
        """The events that are JSON."""
        return [orjson.loads(event) for event in self.events if event != "[DONE]"]


async def acall(
    app: Sidecar,
    path: str,
    body: Any = None,
    *,
    method: str | None = None,
    headers: Mapping[str, str] | None = None,
    gone: asyncio.Event | None = None,
    ends: Mapping[str, tuple[str, int]] | None = None,
) -> Got:
    """Returns the reply to one request; the client leaves when `gone` is set. `ends`: addresses of the connection."""
    content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
    halves = [content[: len(content) // 2], content[len(content) // 2 :]]
    got = Got()

    async def receive() -> dict[str, Any]:
        if halves:
            return {"type": "http.request", "body": halves.pop(0), "more_body": bool(halves)}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        assert not got.is_complete
        if event["type"] == "http.response.start":
            assert not got.status
            got.status = event["status"]
            got.headers = {name.decode("ascii"): value.decode("ascii") for name, value in event["headers"]}
            return
        got.pieces.append(event.get("body", b""))
        got.is_complete = not event.get("more_body", False)

    scope = {
        "type": "http",
        "method": method or ("GET" if body is None else "POST"),
        "path": path,
        "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
        **(ends or {}),
    }
    async with asyncio.timeout(PATIENCE_S):
        await app(scope, receive, send)
    return got


def call(app: Sidecar, path: str, body: Any = None, **options: Any) -> Got:
    """Returns the reply to one request, on an event loop of its own."""
    return asyncio.run(acall(app, path, body, **options))


def chat(app: Sidecar, *, headers: Mapping[str, str] | None = None, **fields: Any) -> Got:
    """Returns the reply to a chat completion request."""
    return call(app, "/v1/chat/completions", {"messages": HELLO, **fields}, headers=headers)


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    """Yields the address of a server on the loopback interface, in a thread of its own; `options` are uvicorn's."""
    config = uvicorn.Config(
        app, http=Connection, lifespan="on", log_config=None, timeout_graceful_shutdown=5, ws="none", **options
    )
    server = uvicorn.Server(config)
    listener = listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)
        listener.close()
        assert not thread.is_alive()
