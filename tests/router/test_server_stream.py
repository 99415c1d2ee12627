"""Streams of the sidecar: what is sent when, and how they end."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import Chunk, Completion, FakeBackend, Query, RateLimited, ServerFailed
from penstock.router.answer import Answer
from penstock.router.server import Sidecar

from .serving import (
    HELLO,
    PATIENCE_S,
    BreakingBackend,
    WaitingBackend,
    acall,
    call,
    chat,
    make_judging_router,
    make_router,
    serving,
)
from .virtual_time import VirtualLoop, run_virtually


def texts(chunks: list[Any]) -> list[str]:
    """Returns the text of every chunk that has any."""
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return [delta["content"] for delta in deltas if "content" in delta]


def test_a_stream_is_chunks_and_a_done(tmp_path: Path) -> None:
    got = chat(Sidecar(make_router(tmp_path)), stream=True)
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert got.events[-1] == "[DONE]"
    assert got.events.count("[DONE]") == 1
    assert texts(got.chunks) == ["It", " is", " 391."]
    assert {chunk["model"] for chunk in got.chunks} == {"small"}
    assert {chunk["object"] for chunk in got.chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"]) for chunk in got.chunks}) == 1
    assert [chunk["choices"][0]["finish_reason"] for chunk in got.chunks] == [None, None, None, "stop"]
    assert got.chunks[0]["choices"][0]["delta"]["role"] == "assistant"


def test_the_first_byte_tells_what_is_known_and_the_last_chunk_the_rest(tmp_path: Path) -> None:
    got = chat(Sidecar(make_router(tmp_path)), stream=True)
    told = got.chunks[-1]["penstock"]
    assert got.headers["x-penstock-backend"] == told["backend"] == "small"
    assert got.headers["x-penstock-path"] == told["path"] == "small"
    assert got.headers["x-penstock-trace-id"] == told["trace_id"]
    assert got.headers["x-penstock-reason"] == told["reason"]
    assert float(got.headers["x-penstock-quality"]) == pytest.approx(told["quality"], abs=1e-6)
    assert told["cost_usd"] > 0
    assert got.chunks[0]["id"] == f"chatcmpl-{told['trace_id']}"


def test_usage_is_in_a_chunk_of_its_own_when_asked_for(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    *_, finish, usage = chat(app, stream=True, stream_options={"include_usage": True}).chunks
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] > 0
    assert usage["penstock"]["backend"] == "small"


def test_no_usage_where_nobody_asked(tmp_path: Path) -> None:
    chunks = chat(Sidecar(make_router(tmp_path)), stream=True).chunks
    assert not any("usage" in chunk for chunk in chunks)


def test_the_quality_told_is_that_of_the_backend_that_answers(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path, small=FakeBackend(answer=ServerFailed("down"))))
    got = chat(app, stream=True)
    assert got.headers["x-penstock-backend"] == "lrm"
    assert got.headers["x-penstock-path"] == "small!>lrm"
    assert float(got.headers["x-penstock-quality"]) > 0.9
    assert got.chunks[-1]["penstock"]["path"] == "small!>lrm"


class TellingBackend(FakeBackend):
    """Goes on with its stream when it is told to."""

    def __init__(self) -> None:
        super().__init__(answer="never")
        self.go_on = asyncio.Event()

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields a word, waits, and yields another."""
        yield Chunk(text="One")
        await self.go_on.wait()
        yield Chunk(text=" two")
        yield Chunk(completion=Completion(text="One two"))


def test_a_piece_is_sent_before_the_next_one_is_there(tmp_path: Path) -> None:
    small = TellingBackend()
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> list[bytes]:
        sent: list[bytes] = []
        events = [{"type": "http.request", "body": json.dumps({"messages": HELLO, "stream": True}).encode()}]

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop()
            await asyncio.Event().wait()
            raise AssertionError("the event is never set")

        async def send(event: Any) -> None:
            sent.append(event.get("body", b""))
            if b"One" in sent[-1]:
                assert not small.go_on.is_set()
                small.go_on.set()

        async with asyncio.timeout(PATIENCE_S):
            scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
            await app(scope, receive, send)
        return sent

    pieces = asyncio.run(run())
    assert b" two" in b"".join(pieces)


def test_an_answer_that_may_be_replaced_is_held_back(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="all wrong"), "lrm": FakeBackend(answer="right")}
    got = chat(Sidecar(make_judging_router(tmp_path, backends)), stream=True)
    assert texts(got.chunks) == ["right"]
    assert {chunk["model"] for chunk in got.chunks} == {"lrm"}
    assert got.headers["x-penstock-backend"] == "lrm"
    assert got.headers["x-penstock-path"] == got.chunks[-1]["penstock"]["path"] == "small>lrm"


def test_the_headers_of_an_answer_that_was_held_back_to_its_end_tell_all(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="right"), "lrm": FakeBackend(answer="right")}
    got = chat(Sidecar(make_judging_router(tmp_path, backends)), stream=True)
    told = got.chunks[-1]["penstock"]
    assert got.headers["x-penstock-path"] == told["path"] == "small"
    assert float(got.headers["x-penstock-confidence"]) == pytest.approx(told["confidence"], abs=1e-6)
    assert float(got.headers["x-penstock-cost-usd"]) == pytest.approx(told["cost_usd"], abs=1e-9)


def test_an_error_before_the_first_piece_is_a_status(tmp_path: Path) -> None:
    limited = RateLimited("slow down", retry_after_s=3)
    got = chat(Sidecar(make_router(tmp_path, small=FakeBackend(answer=limited))), stream=True, model="small")
    assert (got.status, got.headers["retry-after"]) == (429, "3")
    assert got.headers["content-type"] == "application/json"


def test_an_error_after_the_first_piece_is_the_last_event(tmp_path: Path) -> None:
    got = chat(Sidecar(make_router(tmp_path, small=BreakingBackend())), stream=True)
    assert got.status == 200
    first, error = got.chunks
    assert texts([first]) == ["One"]
    assert error == {
        "error": {
            "message": "small: the model fell over",
            "type": "server_error",
            "param": None,
            "code": "upstream_failed",
        }
    }
    assert "[DONE]" not in got.events
    assert got.is_complete


def test_a_bug_after_the_first_piece_is_told_without_details(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got = chat(Sidecar(make_router(tmp_path, small=BreakingBackend(ZeroDivisionError("secret detail")))), stream=True)
    assert got.chunks[-1]["error"]["message"] == "internal error; the log of the sidecar says more"
    assert b"secret detail" not in got.body
    assert got.is_complete
    assert "secret detail" in caplog.text


def test_a_stream_that_outlives_the_server_is_told_that_it_stops(tmp_path: Path) -> None:
    small = WaitingBackend()
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> Any:
        request = asyncio.create_task(acall(app, "/v1/chat/completions", {"messages": HELLO, "stream": True}))
        while not small.has_begun.is_set():
            await asyncio.sleep(0.01)
        app.is_stopping = True
        request.cancel()
        return await request

    got = asyncio.run(run())
    assert got.chunks[-1]["error"]["message"] == "the sidecar is being stopped"
    assert got.is_complete


def test_cancelling_a_request_is_no_answer(tmp_path: Path) -> None:
    small = WaitingBackend()
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> None:
        request = asyncio.create_task(acall(app, "/v1/chat/completions", {"messages": HELLO}))
        while not small.has_begun.is_set():
            await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(run())
    assert small.was_left.is_set()


class FlowingBackend(FakeBackend):
    """Has as many words as anybody takes, and notes when it is left."""

    def __init__(self) -> None:
        super().__init__(answer="never")
        self.was_left = False

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields words."""
        try:
            while True:
                yield Chunk(text="more ")
        finally:
            self.was_left = True


@pytest.mark.parametrize("n_taken", [0, 1, 5])
def test_a_client_that_takes_nothing_more_counts_as_gone(tmp_path: Path, n_taken: int) -> None:
    small = FlowingBackend()
    app = Sidecar(make_router(tmp_path, small=small))
    loop = VirtualLoop()
    taken: list[Any] = []

    async def run() -> None:
        events = [{"type": "http.request", "body": json.dumps({"messages": HELLO, "stream": True}).encode()}]

        async def receive() -> dict[str, Any]:
            if events:
                return events.pop()
            await asyncio.Event().wait()
            raise AssertionError("the event is never set")

        async def send(event: Any) -> None:
            if len(taken) == n_taken:
                await asyncio.Event().wait()
            taken.append(event)

        await app({"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}, receive, send)

    started = loop.now
    run_virtually(run(), loop)
    assert small.was_left
    assert len(taken) == n_taken
    assert loop.now - started == pytest.approx(60, abs=0.1)


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[tuple[WaitingBackend, str]]:
    small = WaitingBackend()
    with serving(Sidecar(make_router(tmp_path, small=small))) as url:
        yield small, url


@pytest.mark.parametrize("is_stream", [False, True])
def test_hanging_up_ends_the_call_upstream(waiting: tuple[WaitingBackend, str], is_stream: bool) -> None:
    small, url = waiting
    body = json.dumps({"messages": HELLO, "stream": is_stream}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    port = int(url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as client:
        client.sendall(head + body)
        assert small.has_begun.wait(PATIENCE_S)
        assert not small.was_left.is_set()
    assert small.was_left.wait(PATIENCE_S)


def test_a_large_body_over_the_limit_gets_its_status_over_a_socket(tmp_path: Path) -> None:
    import httpx

    with (
        serving(Sidecar(make_router(tmp_path), max_body_bytes=1000)) as url,
        httpx.Client(timeout=PATIENCE_S) as client,
    ):
        assert client.post(url + "/v1/chat/completions", content=b"x" * 5_000_000).status_code == 413
        assert client.get(url + "/healthz").status_code == 200


def test_a_large_body_over_the_limit_gets_its_status_on_a_connection_that_is_not_kept(tmp_path: Path) -> None:
    with serving(Sidecar(make_router(tmp_path), max_body_bytes=1000)) as url:
        request = urllib.request.Request(url + "/v1/chat/completions", data=b"x" * 20_000_000)
        with pytest.raises(urllib.error.HTTPError) as refused:  # urllib asks for the connection to be closed
            urllib.request.urlopen(request, timeout=PATIENCE_S)
        assert refused.value.status == 413
        refused.value.close()


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_was_answered_is_freed_without_a_collection_of_garbage(tmp_path: Path, is_stream: bool) -> None:
    said = "free at once"
    app = Sidecar(make_router(tmp_path, small=FakeBackend(answer=said)))
    body = {"messages": HELLO, "model": "small", "stream": is_stream}
    call(app, "/v1/chat/completions", body)
    gc.collect()
    gc.disable()
    try:
        assert call(app, "/v1/chat/completions", body).status == 200
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [each for each in gc.garbage if isinstance(each, Completion | Answer)]  # of other tests, too
        assert [each for each in left if each.text == said] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
