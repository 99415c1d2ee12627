"""Every way that a provider may fail on the wire, with another one to fall back on: one answer, or one clear error."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from penstock.router import Pool, Router, read_config
from penstock.router.server import Sidecar

from ..backends.loopback import PATIENCE_S, Canned, Loopback, data, event_reply, json_reply
from .serving import Got, ListSink, acall, write_models

MODELS = """
backends:
  first:
    type: openai
    model: m
    base_url: {first}
    tier: small
    price: {{input: 0.04, output: 0.1}}
    timeout: {{first_token_s: 0.2, total_s: 0.3}}
    retries: 1
    {more}
  spare: {{type: openai, model: m, base_url: "{spare}", tier: mid, price: {{input: 1, output: 100}}}}
"""
Fault = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def piece(text: str | None, *, finish: str | None = None) -> bytes:
    """Returns an event of a stream."""
    return data({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]})


WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "spared"}, "finish_reason": "stop"}]}
PIECES = (piece("spa"), piece("red"), piece(None, finish="stop"), b"data: [DONE]\n\n")


# No numbers in it, so that nobody judges the answer and its stream is not held back for that.
ASKED = [{"role": "user", "content": "Who was Ada Lovelace?"}]


def head(content_type: str = "application/json", status: str = "200 OK", **more: str) -> bytes:
    """Returns the head of a reply that ends with the connection, unless `content_length` says otherwise."""
    lines = [f"HTTP/1.1 {status}", f"content-type: {content_type}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in more.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def sends(*parts: bytes) -> Fault:
    """Returns a provider that sends these bytes and hangs up."""

    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()

    return fault


def hangs(*parts: bytes) -> Fault:
    """Returns a provider that sends these bytes, and then nothing until it is left."""

    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await sends(*parts)(reader, writer)
        async with asyncio.timeout(PATIENCE_S):
            await reader.read(1)

    return fault


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a reset, not with an end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends an answer so slowly that it would take a minute."""
    writer.write(head())
    with contextlib.suppress(ConnectionError):
        for byte in orjson.dumps(WHOLE):
            writer.write(bytes((byte,)))
            await writer.drain()
            await asyncio.sleep(0.02)


BODY = orjson.dumps(WHOLE)
SSE = "text/event-stream"
FAULTS: dict[str, tuple[Fault, int]] = {  # and how often it is asked
    "reset": (resets, 2),
    "closed without a word": (sends(), 2),
    "hangs before the reply": (hangs(), 1),
    "hangs in the body": (hangs(head(), BODY[:20]), 1),
    "slow drip": (drips, 1),
    "429 to be waited for": (sends(head(status="429 Slow", retry_after="0.01"), b"{}"), 2),
    "429 for long": (sends(head(status="429 Slow", retry_after="60"), b"{}"), 1),
    "500": (sends(head(status="500 Oops"), b'{"error": "oops"}'), 2),
    "503 in HTML": (sends(head("text/html", status="503 Busy"), b"<h1>busy</h1>"), 2),
    "400": (sends(head(status="400 No"), b'{"error": {"message": "no"}}'), 1),
    "no HTTP": (sends(b"SSH-2.0-OpenSSH\r\n\r\n"), 2),
    "malformed JSON": (sends(head(), b'{"choices": [}'), 2),
    "JSON of another shape": (sends(head(), b'{"choices": []}'), 2),
    "cut short of its length": (sends(head(content_length=str(len(BODY))), BODY[:30]), 2),
    "longer than its length": (sends(head(content_length="30"), BODY), 2),
    "malformed event": (sends(head(SSE), b"data: {oops\n\n"), 2),
    "stream of nothing": (sends(head(SSE)), 2),
    "stream that hangs before its first token": (hangs(head(SSE), b": wait\n\n"), 1),
}


class Faulty:
    """A provider that reads each request and then goes wrong; a server, used with `async with`."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._tasks: set[asyncio.Task[None]] = set()
        self.n_asked = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def answer(self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Goes wrong."""
        await self._fault(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                text = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                body = await reader.readexactly(int(text.partition("content-length:")[2].split("\r\n")[0]))
                self.n_asked += 1
                await self.answer(body, reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def beside_a_spare(folder: Path, first: str, *, more: str = "") -> AsyncIterator[tuple[Sidecar, Loopback]]:
    """Yields a sidecar that asks `first`, and the provider that it may fall back on."""

    def answer(asked: Any) -> Canned:
        return event_reply(*PIECES) if asked.json.get("stream") else json_reply(WHOLE)

    async with Loopback(answer) as spare:
        models = MODELS.format(first=first, spare=spare.url, more=more)
        router = Router.from_config(write_models(folder, models))
        router.live_on(asyncio.get_running_loop())
        try:
            yield Sidecar(router), spare
        finally:
            await router.aclose()


async def asked(app: Sidecar, *, is_stream: bool, model: str = "auto") -> Got:
    body = {"messages": ASKED, "stream": is_stream, "model": model}
    return await acall(app, "/v1/chat/completions", body)


def text_of(got: Got) -> str:
    """Returns the text of an answer, whole or in pieces."""
    if not got.headers["content-type"].startswith(SSE):
        return str(got.json["choices"][0]["message"]["content"])
    assert got.events[-1] == "[DONE]"
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in got.chunks if chunk["choices"])


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_before_the_first_piece_is_made_up_for_with_one_answer(
    tmp_path: Path, fault: str, is_stream: bool
) -> None:
    fails, n_asked = FAULTS[fault]
    provider = Faulty(fails)

    async def run() -> None:
        async with provider, beside_a_spare(tmp_path, provider.url) as (app, spare):
            got = await asked(app, is_stream=is_stream)
            assert (got.status, got.is_complete) == (200, True)
            assert got.headers["x-penstock-backend"] == "spare"
            assert text_of(got) == "spared"
            assert (provider.n_asked, len(spare.asked)) == (n_asked, 1)

    asyncio.run(run())


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    "place", ["http://127.0.0.1:9/v1", "http://nowhere.invalid/v1"], ids=["refused", "no such name"]
)
def test_a_provider_that_cannot_be_reached_is_made_up_for(tmp_path: Path, place: str, is_stream: bool) -> None:
    async def run() -> None:
        async with beside_a_spare(tmp_path, place) as (app, spare):
            assert text_of(await asked(app, is_stream=is_stream)) == "spared"
            assert len(spare.asked) == 1

    asyncio.run(run())


BEGUN = head(SSE) + piece("One")
AFTER: dict[str, Fault] = {
    "hangs": hangs(BEGUN),
    "cut": sends(BEGUN),
    "malformed": sends(BEGUN, b"data: {oops\n\n"),
    "failure": sends(BEGUN, data({"error": {"message": "fell over", "type": "server_error"}})),
}


@pytest.mark.parametrize("fault", AFTER)
def test_a_fault_after_the_first_piece_is_the_last_event_and_nobody_else_is_asked(tmp_path: Path, fault: str) -> None:
    provider = Faulty(AFTER[fault])

    async def run() -> None:
        async with provider, beside_a_spare(tmp_path, provider.url) as (app, spare):
            got = await asked(app, is_stream=True)
        assert (got.status, got.is_complete) == (200, True)
        *before, last = got.chunks
        assert "error" in last
        assert "[DONE]" not in got.events
        assert [chunk["choices"][0]["delta"].get("content") for chunk in before if chunk["choices"]] == ["One"]
        assert (provider.n_asked, len(spare.asked)) == (1, 0)

    asyncio.run(run())


def test_while_a_provider_is_down_requests_no_longer_wait_for_it(tmp_path: Path) -> None:
    provider = Faulty(hangs())

    async def run() -> None:
        async with provider, beside_a_spare(tmp_path, provider.url, more="breaker: {failures: 2}") as (app, spare):
            replies = [await asked(app, is_stream=True) for _ in range(6)]
            alone = await asked(app, is_stream=True, model="first")
        assert [text_of(got) for got in replies] == ["spared"] * 6
        assert (provider.n_asked, len(spare.asked)) == (2, 6)
        assert (alone.status, alone.json["error"]["code"]) == (503, "overloaded")
        assert 1 <= int(alone.headers["retry-after"]) <= 5

    asyncio.run(run())


def test_more_requests_than_there_is_room_for_are_each_answered_or_shed(tmp_path: Path) -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await sends(head(content_length=str(len(BODY))), BODY)(reader, writer)

    provider, limits = Faulty(slow), "limits: {concurrency: 4, queue: 4}"

    async def run() -> None:
        async with provider, beside_a_spare(tmp_path, provider.url, more=limits) as (app, _):
            replies = await asyncio.gather(*(asked(app, is_stream=False, model="first") for _ in range(40)))
        statuses = [got.status for got in replies]
        assert (statuses.count(200), statuses.count(503)) == (8, 32)
        assert provider.n_asked == 8
        assert {got.headers.get("retry-after") for got in replies if got.status == 503} == {"1"}

    asyncio.run(run())


PATIENT = """
backends:
  first:
    {{type: openai, model: m, base_url: "{first}", tier: small, price: {{input: 0.04, output: 0.1}}, retries: 1,
      breaker: {{failures: 0}}}}
  spare:
    {{type: openai, model: m, base_url: "{spare}", tier: mid, price: {{input: 1, output: 100}}, retries: 1,
      breaker: {{failures: 0}}}}
"""


def test_under_mixed_faults_every_request_gets_its_own_answer_once_and_every_call_is_in_the_trace(
    tmp_path: Path,
) -> None:
    quick = [fails for fault, (fails, _) in FAULTS.items() if "hangs" not in fault and "drip" not in fault]
    rng, answered = random.Random(0), Counter[str]()

    async def echo(question: str, writer: asyncio.StreamWriter) -> None:
        answered[question] += 1
        body = orjson.dumps({"choices": [{"index": 0, "message": {"content": question}, "finish_reason": "stop"}]})
        writer.write(head(content_length=str(len(body))) + body)

    class Moody(Faulty):
        async def answer(self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if rng.random() < 0.3:
                await rng.choice(quick)(reader, writer)
            else:
                await echo(orjson.loads(body)["messages"][0]["content"], writer)

    async def ask(app: Sidecar, number: int) -> Got:
        body = {"messages": [{"role": "user", "content": f"question {number}"}], "model": "auto"}
        return await acall(app, "/v1/chat/completions", body)

    sink = ListSink()

    async def run() -> list[Got]:
        async with Moody(resets) as first, Moody(resets) as spare:
            config = read_config(write_models(tmp_path, PATIENT.format(first=first.url, spare=spare.url)))
            router = Router(config, Pool(config.backends, None), sink=sink)
            router.live_on(asyncio.get_running_loop())
            try:
                return await asyncio.gather(*(ask(Sidecar(router), number) for number in range(200)))
            finally:
                await router.aclose()

    replies = asyncio.run(run())
    good = [(number, got) for number, got in enumerate(replies) if got.status == 200]
    bad = [got for got in replies if got.status != 200]
    assert len(good) > 150
    assert all(got.json["choices"][0]["message"]["content"] == f"question {number}" for number, got in good)
    assert all(got.status in (400, 429, 502, 503, 504) and got.json["error"]["message"] for got in bad)
    assert len(answered) == len(good)
    assert set(answered.values()) == {1}
    finals = Counter(record["query_id"] for record in sink.records if record["final"])
    assert finals == Counter(got.headers["x-penstock-trace-id"] for _, got in good)
    assert {record["query_id"] for record in sink.records} == {got.headers["x-penstock-trace-id"] for got in replies}
