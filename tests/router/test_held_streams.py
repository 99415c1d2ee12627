"""Held streams over real sockets, on both sides: when the first byte comes, and what becomes of an answer given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import Completion, FakeBackend, Query, ServerFailed
from penstock.router import Router
from penstock.router.server import Sidecar

from ..backends.loopback import data
from .early import make_holding_router
from .serving import HELLO, PATIENCE_S, ListSink, acall, make_judging_router, serving

MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
  eager: {{objective: utility, lam: 20, on_hold: release}}
backends:
  small: {{type: openai, model: m, base_url: "{small}", tier: small, price: {{input: 0.04, output: 0.10}}}}
  lrm: {{type: fake, tier: lrm, price: {{input: 1.0, output: 10}}, answer: "right by lrm"}}
"""
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
COMMENT = b": waiting\n\n"
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


def piece(text: str) -> bytes:
    """Returns an event of a provider's stream."""
    return data({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]})


END = data({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"


class Slow:
    """A provider that says one piece, then waits to be told to go on, or to be left."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces
        self.go_on = asyncio.Event()
        self.was_left = asyncio.Event()
        self.url = ""
        self.has_served = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one request."""
        try:
            await self._serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self.has_served.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + piece(self.pieces[0]))
        await writer.drain()
        waits = [asyncio.ensure_future(self.go_on.wait()), asyncio.ensure_future(self._until_left(reader))]
        await asyncio.wait(waits, timeout=PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not self.was_left.is_set():
            writer.write(b"".join(map(piece, self.pieces[1:])) + END)
            await writer.drain()

    async def _until_left(self, reader: asyncio.StreamReader) -> None:
        while await reader.read(1 << 16):  # the rest of the request
            pass
        self.was_left.set()


class Client:
    """The bytes of one streamed reply, as they come."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.got = b""

    async def until(self, wanted: bytes) -> None:
        """Reads until something has come."""
        async with asyncio.timeout(PATIENCE_S):
            while wanted not in self.got:
                more = await self._reader.read(1 << 16)
                assert more, f"{wanted!r} never came in {self.got!r}"
                self.got += more

    async def silent(self, seconds: float = 0.15) -> bool:
        """Returns whether nothing comes for a while."""
        try:
            self.got += await asyncio.wait_for(self._reader.read(1 << 16), seconds)
        except TimeoutError:
            return True
        return False


def told(client: Client) -> Any:
    """Returns what Penstock says of a chat completion at the end of its stream."""
    events = [line.removeprefix(b"data: ") for line in client.got.splitlines() if line.startswith(b"data: {")]
    return next(body["penstock"] for body in map(orjson.loads, events) if "penstock" in body)


@asynccontextmanager
async def asking(
    folder: Path,
    small: Slow,
    *,
    path: str = PATHS[0],
    model: str = "auto",
    sink: ListSink | None = None,
    lrm: FakeBackend | None = None,
    keep_alive_s: float = 30.0,
) -> AsyncIterator[Client]:
    """Yields a client that has asked for a stream, through a sidecar before a slow provider."""
    async with await asyncio.start_server(small.serve, "127.0.0.1", 0) as upstream:
        small.url = f"http://127.0.0.1:{upstream.sockets[0].getsockname()[1]}/v1"
        models = MODELS.format(small=small.url)
        router = make_holding_router(folder, {"lrm": lrm} if lrm else {}, models=models, sink=sink)
        with serving(Sidecar(router, keep_alive_s=keep_alive_s)) as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            asked = {"input": "hello"} if path == "/v1/responses" else {"messages": HELLO}
            body = orjson.dumps({"model": model, "stream": True, "max_tokens": 100, **asked})
            head = (f"POST {path} HTTP/1.1", "host: localhost", "connection: close", f"content-length: {len(body)}")
            writer.write("\r\n".join([*head, "", ""]).encode() + body)
            try:
                yield Client(reader)
                await small.has_served.wait()
            finally:
                writer.close()
                await writer.wait_closed()


def test_the_head_of_a_stream_is_released_once_it_is_sure_enough_while_the_rest_still_comes(tmp_path: Path) -> None:
    async def run() -> None:
        small = Slow("right from the start", " to the end")
        async with asking(tmp_path, small) as client:
            await client.until(b"right from the start")
            assert not small.go_on.is_set()
            small.go_on.set()
            await client.until(b"[DONE]")
            assert b" to the end" in client.got
            assert told(client)["path"] == "small"

    asyncio.run(run())


def test_an_answer_of_which_nothing_is_sure_is_held_to_its_end(tmp_path: Path) -> None:
    async def run() -> None:
        small = Slow("so so, or rather less than that", " and bad")
        async with asking(tmp_path, small) as client:
            assert await client.silent()
            small.go_on.set()
            await client.until(b"[DONE]")
            assert b" lrm" in client.got
            assert b"so so" not in client.got
            assert told(client)["path"] == "small>lrm"

    asyncio.run(run())


@pytest.mark.parametrize("path", PATHS)
def test_a_hopeless_answer_is_ended_upstream_before_another_is_asked_and_not_a_byte_of_it_sent(
    tmp_path: Path, path: str
) -> None:
    async def run() -> None:
        small = Slow("wrong from the start", " to the end")

        async def after_the_other(query: Query) -> str:
            # Were it only ended after this, the test would end without an answer.
            async with asyncio.timeout(PATIENCE_S):
                while not small.was_left.is_set():
                    await asyncio.sleep(0.005)
            return "right by lrm"

        async with asking(tmp_path, small, path=path, lrm=FakeBackend(answer=after_the_other)) as client:
            await client.until(b"small~>lrm")
            assert small.was_left.is_set()
            assert b" lrm" in client.got
            assert b"wrong" not in client.got

    asyncio.run(run())


def test_what_was_given_up_is_counted_in_the_bill_and_in_the_trace(tmp_path: Path) -> None:
    async def run() -> None:
        sink = ListSink()
        async with asking(tmp_path, Slow("wrong from the start"), sink=sink) as client:
            await client.until(b"[DONE]")
            bill = told(client)
        first, last = bill["steps"]
        assert first["given_up"]
        assert not last["given_up"]
        assert first["output_tokens"] == 5  # 20 signs
        assert first["cost_usd"] > 0
        assert bill["cost_usd"] == pytest.approx(first["cost_usd"] + last["cost_usd"])
        assert [(record["backend"], record["given_up"], record["final"]) for record in sink.records] == [
            ("small", True, False),
            ("lrm", False, True),
        ]
        assert sink.records[0]["cost_usd"] == first["cost_usd"]

    asyncio.run(run())


def test_on_hold_release_passes_on_what_would_be_held(tmp_path: Path) -> None:
    async def run() -> None:
        small = Slow("wrong from the start", " to the end")
        async with asking(tmp_path, small, model="eager") as client:
            await client.until(b"wrong from the start")
            small.go_on.set()
            await client.until(b"[DONE]")
            assert told(client)["path"] == "small"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("path", "sign"),
    [(PATHS[0], COMMENT), (PATHS[1], b'event: ping\ndata: {"type":"ping"}\n\n'), (PATHS[2], COMMENT)],
)
def test_a_held_stream_shows_signs_of_life_that_clients_pass_over(tmp_path: Path, path: str, sign: bytes) -> None:
    async def run() -> None:
        small = Slow("so so, or rather less than that", " and bad")
        async with asking(tmp_path, small, path=path, keep_alive_s=0.02) as client:
            await client.until(sign + b"\r\n")  # one is a chunk of the body
            assert client.got.startswith(b"HTTP/1.1 200")
            assert b"x-penstock-backend" not in client.got.partition(b"\r\n\r\n")[0]
            small.go_on.set()
            await client.until(b"0\r\n\r\n")
            _, _, answer = client.got.partition(b"by")
            assert b"lrm" in answer
            assert sign not in answer

    asyncio.run(run())


def test_an_error_after_a_sign_of_life_is_the_last_event(tmp_path: Path) -> None:
    class Failing(FakeBackend):
        async def complete(self, query: Query) -> Completion:
            await asyncio.sleep(0.1)
            raise ZeroDivisionError

    router = make_judging_router(tmp_path, {"small": Failing(answer=""), "lrm": FakeBackend(answer="right")})
    app = Sidecar(router, keep_alive_s=0.02)
    got = asyncio.run(acall(app, "/v1/chat/completions", {"messages": HELLO, "stream": True}))
    assert got.status == 200
    assert got.body.startswith(b": waiting\n\n")
    assert b"internal error" in got.body
    assert got.is_complete


def make_router(folder: Path, small: FakeBackend, lrm: FakeBackend) -> Router:
    """Returns a router over two backends in this process."""
    return make_holding_router(folder, {"small": small, "lrm": lrm})


def test_of_several_answers_held_to_their_end_the_one_returned_comes_in_its_pieces(tmp_path: Path) -> None:
    with make_router(tmp_path, FakeBackend(answer="so so all the way"), FakeBackend(answer="wrong")) as router:
        *pieces, last = router.stream("hello")
    assert [chunk.text for chunk in pieces] == ["so", " so", " all", " the", " way"]
    assert last.answer is not None
    assert last.answer.path == "small>lrm"
    assert last.answer.backend == "small"


def test_when_nobody_else_answers_what_was_given_up_is_asked_again(tmp_path: Path) -> None:
    small, lrm = FakeBackend(answer="wrong but all there is"), FakeBackend(answer=ServerFailed("down", backend="lrm"))
    with make_router(tmp_path, small, lrm) as router:
        *pieces, last = router.stream("hello")
    assert "".join(chunk.text for chunk in pieces) == "wrong but all there is"
    assert last.answer is not None
    assert last.answer.path == "small~>lrm!>small"
    assert len(last.answer.steps) == 3


def test_a_whole_answer_is_never_given_up(tmp_path: Path) -> None:
    with make_router(tmp_path, FakeBackend(answer="wrong from the start"), FakeBackend(answer="right")) as router:
        assert router.ask("hello").path == "small>lrm"
