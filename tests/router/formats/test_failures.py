"""Failures in every format, whatever the provider: its form, its event, and calls that end when the client leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import anthropic
import openai
import orjson
import pytest

from ...backends.loopback import Canned, event_reply, json_reply
from ..serving import PATIENCE_S
from .conftest import Talk
from .upstreams import CLAUDE_TEXT_EVENTS, GPT_TEXT_EVENTS, Between, named

ASKED = [{"role": "user", "content": "x"}]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": ASKED}),
    "messages": ("/v1/messages", {"messages": ASKED, "max_tokens": 9}),
    "responses": ("/v1/responses", {"input": "x"}),
}
EVERY_WAY = [(format, backend) for format in REQUESTS for backend in ("gpt", "claude")]
FOREIGN = [("chat", "claude"), ("messages", "gpt"), ("responses", "gpt"), ("responses", "claude")]

GPT_REFUSES = {"error": {"message": "no such thing", "type": "invalid_request_error", "param": None, "code": None}}
CLAUDE_REFUSES = {"type": "error", "error": {"type": "invalid_request_error", "message": "no such thing"}}


@pytest.mark.parametrize(("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error")])
@pytest.mark.parametrize(("format", "backend"), FOREIGN)
def test_a_refusal_of_another_format_is_told_in_the_callers(
    talk: Talk, format: str, backend: str, status: int, kind: str
) -> None:
    path, body = REQUESTS[format]

    async def what(sidecar: Between) -> Any:
        return await sidecar.http.post(path, json={"model": backend, **body})

    gpt, claude = (
        json_reply(said, status=status, headers={"retry-after": "2"}) for said in (GPT_REFUSES, CLAUDE_REFUSES)
    )
    reply = talk(what, gpt=gpt, claude=claude)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (status, kind)
    assert error["message"] == f"{backend}: HTTP {status}: no such thing"
    assert reply.headers.get("retry-after") == ("2" if status == 429 else None)
    assert ("request_id" in reply.json()) == (format == "messages")


@pytest.mark.parametrize("format", REQUESTS)
def test_a_body_that_is_not_json_is_refused_in_the_callers_form(talk: Talk, format: str) -> None:
    async def what(sidecar: Between) -> Any:
        return await sidecar.http.post(REQUESTS[format][0], content=b'{"a": ')

    reply = talk(what)
    assert reply.status_code == 400
    assert "not JSON" in reply.json()["error"]["message"]
    assert (reply.json().get("type") == "error") == (format == "messages")


BROKEN = {
    "gpt": (*GPT_TEXT_EVENTS[:2], b'data: {"error": {"message": "fell over", "type": "server_error"}}\n\n'),
    "claude": (*CLAUDE_TEXT_EVENTS[:-3], named("error", error={"type": "overloaded_error", "message": "fell over"})),
}


@pytest.mark.parametrize(("format", "backend"), EVERY_WAY)
def test_a_failure_in_the_middle_ends_the_stream_with_an_error_event(talk: Talk, format: str, backend: str) -> None:
    path, body = REQUESTS[format]

    async def what(sidecar: Between) -> Any:
        return await sidecar.http.post(path, json={"model": backend, "stream": True, **body})

    reply = talk(what, **{name: event_reply(*events) for name, events in BROKEN.items()})
    assert reply.status_code == 200
    *before, last = reply.text.split("\n\n")[:-1]
    name, _, data = last.rpartition("data: ")
    error = orjson.loads(data)
    assert "It is" in "".join(before)
    assert name == ("" if format == "chat" else "event: error\n")
    assert "fell over" in str(error.get("message") or error["error"]["message"])
    if format == "responses":
        assert (error["type"], error["sequence_number"]) == ("error", len(before))


@pytest.mark.parametrize("backend", ["gpt", "claude"])
def test_a_failure_in_the_middle_is_an_error_to_the_clients(talk: Talk, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        texts: list[str | None] = []

        async def chat() -> None:
            async for chunk in await sidecar.openai.chat.completions.create(model=backend, messages=ASKED, stream=True):
                texts.append(chunk.choices[0].delta.content)

        async def messages() -> None:
            async with sidecar.anthropic.messages.stream(model=backend, messages=ASKED, max_tokens=9) as stream:
                async for text in stream.text_stream:
                    texts.append(text)

        with pytest.raises(openai.APIError, match="fell over"):
            await chat()
        with pytest.raises(anthropic.APIError, match="fell over"):
            await messages()
        events = [event async for event in await sidecar.openai.responses.create(model=backend, input="x", stream=True)]
        assert events[-1].type == "error"
        return texts

    texts = talk(what, **{name: event_reply(*events) for name, events in BROKEN.items()})
    assert "".join(text or "" for text in texts).startswith("It is")
    assert "".join(text or "" for text in texts).count("It is") == 2


@pytest.mark.parametrize(("format", "backend"), EVERY_WAY)
def test_a_stream_that_is_cut_ends_with_an_error_event_and_no_end(talk: Talk, format: str, backend: str) -> None:
    path, body = REQUESTS[format]

    async def what(sidecar: Between) -> Any:
        return await sidecar.http.post(path, json={"model": backend, "stream": True, **body})

    gpt = event_reply(*GPT_TEXT_EVENTS[:2], ending="cut")
    text = talk(what, gpt=gpt, claude=event_reply(*CLAUDE_TEXT_EVENTS[:-3], ending="cut")).text
    assert "was cut" in text.split("\n\n")[-2]
    assert not any(end in text for end in ("[DONE]", "message_stop", "response.completed"))


HANGING: dict[bool, dict[str, Canned]] = {
    True: {
        "gpt": event_reply(*GPT_TEXT_EVENTS[:2], ending="hang"),
        "claude": event_reply(*CLAUDE_TEXT_EVENTS[:3], ending="hang"),
    },
    False: dict.fromkeys(("gpt", "claude"), Canned(body=b"{", ending="hang")),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("format", "backend"), EVERY_WAY)
def test_hanging_up_ends_the_call_upstream(talk: Talk, format: str, backend: str, is_stream: bool) -> None:
    path, fields = REQUESTS[format]

    async def what(sidecar: Between) -> None:
        provider = getattr(sidecar, backend)
        provider.has_been_asked.clear()
        provider.has_hung_up.clear()
        body = orjson.dumps({"model": backend, "stream": is_stream, **fields})
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
        port = int(sidecar.url.rpartition(":")[2])
        async with asyncio.timeout(PATIENCE_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head + body)
            await provider.has_been_asked.wait()
            if is_stream:
                await reader.readuntil(b"data: ")
            assert not provider.has_hung_up.is_set()
            writer.close()
            await writer.wait_closed()
            await provider.has_hung_up.wait()

    talk(what, **HANGING[is_stream])
