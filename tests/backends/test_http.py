"""What every backend behind HTTP does when the network or the provider misbehaves."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.backends import (
    Backend,
    BackendError,
    BackendSpec,
    BackendTimeout,
    BackendUnreachable,
    Chunk,
    Completion,
    InvalidRequest,
    Limits,
    MalformedReply,
    Original,
    Query,
    RateLimited,
    ServerFailed,
    Timeouts,
    create_backend,
)

from .loopback import Asked, Canned, Loopback, data, event_reply, json_reply
from .shapes import ANTHROPIC, DONE, OPENAI, VLLM_FIELD, Shape

QUERY = Query.from_text("17 * 23?")
KEY = "key-0123456789-very-secret"
BOTH = pytest.mark.parametrize("shape", [OPENAI, ANTHROPIC], ids=lambda shape: shape.name)
WAYS = pytest.mark.parametrize("way", ["complete", "stream"])
TEXT = data({"choices": [{"index": 0, "delta": {"content": "39"}}]})


async def ask(backend: Backend, way: str, query: Query = QUERY) -> Completion:
    if way == "complete":
        return await backend.complete(query)
    chunks = [chunk async for chunk in backend.stream(query)]
    assert chunks[-1].completion is not None
    return chunks[-1].completion


def outcome(
    answer: Callable[[Asked], Canned] | Canned,
    use: Callable[[Backend, Loopback], Awaitable[Any]],
    *,
    type: str = "openai",
    **spec: Any,
) -> Any:
    """Returns what `use` returns, given a backend of the spec and the server it talks to."""

    async def run() -> Any:
        async with Loopback(answer) as server:
            backend = create_backend(
                BackendSpec(**{"name": "small", "type": type, "model": "m", "base_url": server.url} | spec)
            )
            try:
                return await use(backend, server)
            finally:
                await backend.aclose()

    return asyncio.run(run())


def error_of(answer: Callable[[Asked], Canned] | Canned, way: str, **spec: Any) -> BackendError:
    """Returns the error that asking ends in."""

    async def use(backend: Backend, server: Loopback) -> BackendError:
        with pytest.raises(BackendError) as caught:
            await ask(backend, way)
        return caught.value

    error: BackendError = outcome(answer, use, **spec)
    return error


@WAYS
@BOTH
def test_refused_connection_is_unreachable(shape: Shape, way: str) -> None:
    error = error_of(Canned(), way, type=shape.type, base_url="http://127.0.0.1:9/v1")
    assert type(error) is BackendUnreachable
    assert error.backend == "small"
    assert str(error) == "small: no connection to 127.0.0.1, port 9: Connection refused"


def test_unknown_host_is_unreachable() -> None:
    error = error_of(Canned(), "complete", base_url="http://penstock.invalid/v1")
    assert type(error) is BackendUnreachable
    assert str(error).startswith("small: no connection to penstock.invalid, port 80: ")


@WAYS
def test_connection_that_ends_before_the_reply_is_unreachable(way: str) -> None:
    async def run() -> BackendError:
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            backend = create_backend(BackendSpec(name="small", type="openai", base_url=url))
            with pytest.raises(BackendError) as caught:
                await ask(backend, way)
            await backend.aclose()
            return caught.value

    assert type(asyncio.run(run())) is BackendUnreachable


def test_reply_that_is_no_http_is_malformed_and_hides_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_API_KEY", KEY)

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    async def run() -> BackendError:
        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            backend = create_backend(
                BackendSpec(name="small", type="openai", base_url=url, api_key_env="SMALL_API_KEY")
            )
            with pytest.raises(BackendError) as caught:
                await backend.complete(QUERY)
            await backend.aclose()
            return caught.value

    error = asyncio.run(run())
    assert type(error) is MalformedReply
    assert error.__cause__ is not None
    assert KEY not in repr(error) + repr(error.__cause__) + repr(vars(error.__cause__)) + repr(error.__cause__.args)


@WAYS
def test_query_of_the_address_stays_behind_the_path(way: str) -> None:
    async def use(_: Backend, server: Loopback) -> str:
        backend = create_backend(BackendSpec(name="small", type="openai", base_url=f"{server.url}/?api-version=1"))
        await ask(backend, way)
        await backend.aclose()
        return server.asked[0].path

    reply = OPENAI.reply(is_stream=way != "complete")
    assert outcome(reply, use) == "/v1/chat/completions?api-version=1"


@pytest.mark.parametrize("header", ["Authorization", "proxy-authorization"])
def test_key_that_stands_in_a_header_is_not_told(header: str) -> None:
    body = {"error": {"message": f"Incorrect API key provided: {KEY}"}}
    error = error_of(json_reply(body, status=401), "complete", options={"headers": {header: f"Basic {KEY}"}})
    assert str(error) == "small: HTTP 401: Incorrect API key provided: ***"


def test_key_that_stands_in_the_address_is_not_told() -> None:
    async def use(_: Backend, server: Loopback) -> str:
        backend = create_backend(BackendSpec(name="small", type="openai", base_url=f"{server.url}?key={KEY}"))
        with pytest.raises(InvalidRequest) as caught:
            await backend.complete(QUERY)
        await backend.aclose()
        return str(caught.value)

    reply = json_reply({"error": {"message": f"/v1/chat/completions?key={KEY}: no such path"}}, status=404)
    assert outcome(reply, use) == "small: HTTP 404: /v1/chat/completions?key=***: no such path"


def test_half_a_key_is_not_told_where_an_unreadable_reply_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_KEY", KEY)
    reply = Canned(body=b"x" * 190 + KEY.encode())
    error = error_of(reply, "complete", api_key_env="SMALL_KEY")
    assert str(error).endswith("x***")


@WAYS
@BOTH
@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"{}", b"", b'{"choices": []}', b'{"choices": 7}', b'{"content": 7}', b"\xff"]
)
def test_reply_of_another_shape_is_malformed(shape: Shape, way: str, body: bytes) -> None:
    assert type(error_of(Canned(body=body), way, type=shape.type)) is MalformedReply


@BOTH
@pytest.mark.parametrize(
    "event", [b"data: {\n\n", b"data: []\n\n", b'data: {"choices": 7, "type": "message_start"}\n\n']
)
def test_event_of_another_shape_is_malformed(shape: Shape, event: bytes) -> None:
    assert type(error_of(event_reply(event, *shape.events), "stream", type=shape.type)) is MalformedReply


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["choices", "delta", "message", "content", "tool_calls", "usage"]), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(content=JUNK, type=st.sampled_from(["openai", "anthropic"]))
def test_no_reply_raises_anything_but_a_backend_error(content: Any, type: str) -> None:
    async def use(backend: Backend, server: Loopback) -> int:
        for way in ("complete", "stream"):
            with suppress(BackendError):
                await ask(backend, way)
        return len(server.asked)

    choice = {"index": 0, "message": {"content": content, "tool_calls": content}, "delta": content, "logprobs": content}
    body = {"choices": [choice, content], "content": [content], "usage": content, "model": content}
    block = {"type": "content_block_start", "index": 0, "content_block": content}
    delta = {"type": "content_block_delta", "index": content, "delta": content}

    def answer(asked: Asked) -> Canned:
        if b'"stream":true' in asked.body:
            return event_reply(*(data(event) for event in (body, content, {"choices": [content]}, block, delta)), DONE)
        return json_reply(body)

    assert outcome(answer, use, type=type) == 2


@pytest.mark.parametrize("text", [True, 7, ["a"], {"a": 1}])
@pytest.mark.parametrize("kind", ["text", "thinking"])
def test_a_piece_of_text_of_another_type_is_malformed(kind: str, text: Any) -> None:
    delta = data({"type": "content_block_delta", "index": 0, "delta": {"type": f"{kind}_delta", kind: text}})
    block = data({"type": "content_block_start", "index": 0, "content_block": {"type": kind, kind: text}})
    for event in (delta, block):
        assert type(error_of(event_reply(event, *ANTHROPIC.events), "stream", type="anthropic")) is MalformedReply


@BOTH
@pytest.mark.parametrize("after", [b"data: [DONE]\n\n", b"data: bye\n\n", b"event: close\ndata: x\n\n"])
def test_what_follows_the_end_of_a_stream_is_not_held_against_it(shape: Shape, after: bytes) -> None:
    reply = event_reply(b"".join(shape.events) + after)
    assert outcome(reply, lambda backend, server: ask(backend, "stream"), type=shape.type).text == shape.text


def test_stream_of_several_choices_that_is_cut_before_the_last_one_ends_is_malformed() -> None:
    def choice(index: int, finish: str | None = None) -> bytes:
        return data({"choices": [{"index": index, "delta": {"content": "a"}, "finish_reason": finish}]})

    begun = (choice(0), choice(1), choice(0, "stop"))
    assert type(error_of(event_reply(*begun), "stream")) is MalformedReply
    whole = outcome(event_reply(*begun, choice(1, "stop")), lambda backend, server: ask(backend, "stream"))
    assert whole.text == "aa"


def test_the_kind_of_a_reply_is_known_in_capitals_too() -> None:
    reply = Canned(body=OPENAI.events, content_type="Text/Event-Stream; charset=UTF-8")
    assert outcome(reply, lambda backend, server: ask(backend, "stream")).text == OPENAI.text


@WAYS
def test_any_status_of_success_is_one(way: str) -> None:
    reply = replace(OPENAI.reply(is_stream=way != "complete"), status=201)
    assert outcome(reply, lambda backend, server: ask(backend, way)).text == OPENAI.text


@BOTH
def test_stream_that_is_cut_before_its_end_is_malformed(shape: Shape) -> None:
    events = shape.events[:3]
    for ending in ("proper", "cut"):
        error = error_of(event_reply(*events, ending=ending), "stream", type=shape.type)
        assert type(error) is MalformedReply, ending


def test_events_that_come_together_go_on_together_in_the_words_they_came_in() -> None:
    words = [data({"choices": [{"index": 0, "delta": {"content": word}}]}) for word in ("3", "9", "1")]
    reply = Canned(body=(b"".join(words), OPENAI.events[3], DONE), content_type="text/event-stream")
    original = Original(format="chat", body={"messages": QUERY.messages})

    async def use(backend: Backend, server: Loopback) -> list[Chunk]:
        return [chunk async for chunk in backend.stream(replace(QUERY, original=original))]

    chunks = outcome(reply, use)
    assert chunks[0].text == "391"
    assert [b"data: " + event.data + b"\n\n" for event in chunks[0].events][:3] == words
    assert chunks[-1].completion is not None
    assert chunks[-1].completion.text == "391"


def test_stream_that_is_cut_after_the_finish_reason_is_complete() -> None:
    reply = event_reply(*OPENAI.events[:4], ending="cut")
    completion = outcome(reply, lambda backend, server: ask(backend, "stream"))
    assert (completion.text, completion.usage.is_estimated) == ("391", True)


def test_whole_reply_that_is_cut_is_malformed() -> None:
    reply = Canned(body=orjson.dumps(OPENAI.whole), ending="cut")
    assert type(error_of(reply, "complete")) is MalformedReply


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (data({"error": {"message": "too many", "type": "rate_limit_error"}}), RateLimited),
        (data({"error": {"message": "engine died", "code": 500}}), ServerFailed),
        (data({"object": "error", "message": "engine died", "type": "x", "code": 500}), ServerFailed),
        (b'event: error\ndata: {"message": "died"}\n\n', ServerFailed),
        (b'error: {"code": 500, "message": "died"}\n\n', ServerFailed),
        (data({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}), ServerFailed),
        (data({"choices": [{"index": 0, "delta": {}, "error": {"code": 502, "message": "x"}}]}), ServerFailed),
    ],
)
def test_error_in_the_middle_of_a_stream_is_raised(event: bytes, kind: type[BackendError]) -> None:
    assert type(error_of(event_reply(TEXT, event, DONE), "stream")) is kind


def test_anthropic_error_in_the_middle_of_a_stream_is_raised() -> None:
    event = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n'
    error = error_of(event_reply(*ANTHROPIC.events[:4], event), "stream", type="anthropic")
    assert type(error) is ServerFailed
    assert error.provider_message == "Overloaded"


@WAYS
def test_error_in_a_reply_of_status_200_is_raised(way: str) -> None:
    reply = json_reply({"error": {"message": "no context", "code": 429}})
    assert type(error_of(reply, way)) is RateLimited


@WAYS
def test_redirect_is_refused_and_not_followed(way: str) -> None:
    async def use(backend: Backend, server: Loopback) -> int:
        with pytest.raises(InvalidRequest, match="redirects"):
            await ask(backend, way)
        return len(server.asked)

    assert outcome(Canned(status=307, headers={"location": "/v1/elsewhere"}), use) == 1


@WAYS
def test_retry_after_reaches_the_caller(way: str) -> None:
    error = error_of(json_reply({"error": "slow"}, status=503, headers={"Retry-After": "3"}), way)
    assert error.retry_after_s == 3.0
    assert error.retryable


@WAYS
def test_reply_that_grows_too_large_is_malformed(way: str) -> None:
    reply = Canned(body=(b" " * 600, b" " * 600), content_type="text/event-stream")
    error = error_of(reply, way, limits=Limits(reply_mb=1000 / 2**20))
    assert type(error) is MalformedReply
    assert "larger" in str(error)


def test_first_token_that_does_not_come_is_a_timeout() -> None:
    reply = event_reply(b": keep-alive\n\n", data({"choices": [{"delta": {"role": "assistant"}}]}), ending="hang")
    error = error_of(reply, "stream", timeout=Timeouts(first_token_s=0.1, total_s=30))
    assert type(error) is BackendTimeout
    assert "no first token within 0.1 s" in str(error)


def test_answer_that_does_not_end_is_a_timeout() -> None:
    error = error_of(event_reply(TEXT, ending="hang"), "stream", timeout=Timeouts(first_token_s=10, total_s=0.2))
    assert type(error) is BackendTimeout
    assert "no complete answer within 0.2 s" in str(error)


def test_whole_answer_knows_no_first_token() -> None:
    reply = Canned(body=b"{", ending="hang")
    error = error_of(reply, "complete", timeout=Timeouts(first_token_s=0.01, total_s=0.2))
    assert "no complete answer within 0.2 s" in str(error)


@WAYS
@BOTH
def test_cancelling_reaches_the_provider(shape: Shape, way: str) -> None:
    async def use(backend: Backend, server: Loopback) -> None:
        task = asyncio.ensure_future(ask(backend, way))
        await server.has_been_asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            await server.has_hung_up.wait()

    outcome(event_reply(*shape.events[:4], ending="hang"), use, type=shape.type)


@BOTH
def test_closing_the_stream_reaches_the_provider(shape: Shape) -> None:
    async def use(backend: Backend, server: Loopback) -> Chunk:
        stream = backend.stream(QUERY)
        first = await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        async with asyncio.timeout(10):
            await server.has_hung_up.wait()
        return first

    chunk = outcome(event_reply(*shape.events[:4], ending="hang"), use, type=shape.type)
    assert chunk.text or chunk.reasoning


def test_cancelled_call_gives_its_slot_back() -> None:
    async def use(backend: Backend, server: Loopback) -> Completion:
        task = asyncio.ensure_future(ask(backend, "stream"))
        await server.has_been_asked.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return await backend.complete(QUERY)

    def answer(asked: Asked) -> Canned:
        return event_reply(TEXT, ending="hang") if b'"stream":true' in asked.body else json_reply(OPENAI.whole)

    assert outcome(answer, use, limits=Limits(concurrency=1)).text == "391"


def test_concurrency_is_limited() -> None:
    async def use(backend: Backend, server: Loopback) -> tuple[int, int]:
        await asyncio.gather(*(backend.complete(QUERY) for _ in range(8)))
        return server.most_open, len(server.asked)

    body = orjson.dumps(OPENAI.whole)  # byte by byte, so that the second connection is open before the first is done
    slow = Canned(body=tuple(body[place : place + 1] for place in range(len(body))))
    most_open, n_asked = outcome(slow, use, limits=Limits(concurrency=2))
    assert (most_open, n_asked) == (2, 8)


@WAYS
@BOTH
def test_connection_is_used_again(shape: Shape, way: str) -> None:
    async def use(backend: Backend, server: Loopback) -> int:
        for _ in range(3):
            await ask(backend, way)
        return server.n_connections

    def answer(asked: Asked) -> Canned:
        return shape.reply(is_stream=asked.json.get("stream", False))

    assert outcome(answer, use, type=shape.type) == 1


def test_query_of_ten_megabytes_arrives() -> None:
    text = "word " * 2_000_000

    async def use(backend: Backend, server: Loopback) -> tuple[Completion, int]:
        completion = await backend.complete(Query.from_text(text))
        return completion, len(server.asked[0].json["messages"][0]["content"])

    completion, n_chars = outcome(json_reply(VLLM_FIELD.whole), use)
    assert (completion.text, n_chars) == ("391", len(text))


def test_query_that_cannot_be_written_as_json_is_invalid() -> None:
    async def use(backend: Backend, server: Loopback) -> None:
        with pytest.raises(InvalidRequest, match="JSON"):
            await backend.complete(replace(QUERY, params={"odd": object()}))
        with pytest.raises(InvalidRequest, match="JSON"):
            await backend.complete(Query.from_text("half a pair: \ud83d"))

    outcome(json_reply(OPENAI.whole), use)


@WAYS
@BOTH
def test_key_shows_nowhere(
    shape: Shape, way: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SMALL_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)

    async def use(backend: Backend, server: Loopback) -> tuple[str, Mapping[str, str]]:
        shown = repr(backend) + repr(vars(backend))
        with pytest.raises(BackendError) as caught:
            await ask(backend, way)
        error = caught.value
        shown += "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)) + repr(error.__cause__)
        return shown, server.asked[0].headers

    def answer(asked: Asked) -> Canned:
        sent = asked.headers.get("authorization", "") + asked.headers.get("x-api-key", "")
        return json_reply({"error": {"message": f"Incorrect key: {sent}"}}, status=401)

    shown, headers = outcome(answer, use, type=shape.type, api_key_env="SMALL_API_KEY")
    assert KEY in " ".join(headers.values())
    assert KEY not in shown + caplog.text
