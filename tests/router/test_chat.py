"""`router.chat.completions`: calls written for an OpenAI client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai.types.chat
import pytest

from penstock.backends import Completion, ConfigError, FakeBackend, InvalidRequest
from penstock.router import Router, UnknownPolicy
from penstock.router.chat import Record

from .serving import HELLO, PATIENCE_S, WaitingBackend, make_router

TOOL_CALL = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}}


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    with make_router(tmp_path) as router:
        yield router


def test_a_completion_reads_like_that_of_a_client(router: Router) -> None:
    done = router.chat.completions.create(model="auto", messages=HELLO, temperature=0)
    assert done.choices[0].message.content == "It is 391."
    assert done.choices[0].message.tool_calls is None
    assert done.choices[0].finish_reason == "stop"
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens
    assert done.model == done.penstock.backend == "small"
    assert done.id == f"chatcmpl-{done.penstock.trace_id}"


def test_a_completion_is_valid_for_the_clients_own_type(tmp_path: Path) -> None:
    answer = Completion(text="", tool_calls=(TOOL_CALL,), finish_reason="tool_calls", tokens=("a",), logprobs=(-0.5,))
    with make_router(tmp_path, small=FakeBackend(answer=answer)) as router:
        body = router.chat.completions.create(messages=HELLO).model_dump()
        chunks = [chunk.model_dump() for chunk in router.chat.completions.create(messages=HELLO, stream=True)]
    done = openai.types.chat.ChatCompletion.model_validate(body, strict=True)
    assert done.choices[0].message.tool_calls is not None
    assert done.choices[0].message.tool_calls[0].id == "a"
    for chunk in chunks:
        openai.types.chat.ChatCompletionChunk.model_validate(chunk, strict=True)
    assert chunks[0]["choices"][0]["delta"]["tool_calls"] == [{"index": 0, **TOOL_CALL}]


def test_a_refusal_stands_where_a_client_looks_for_it(tmp_path: Path) -> None:
    answer = Completion(text="I will not.", finish_reason="content_filter", is_refusal=True)
    with make_router(tmp_path, small=FakeBackend(answer=answer)) as router:
        choice = router.chat.completions.create(messages=HELLO).choices[0]
        chunks = list(router.chat.completions.create(messages=HELLO, stream=True))
    assert (choice.message.content, choice.message.refusal, choice.finish_reason) == (None, "I will not.", "stop")
    assert "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks) == "I will not."
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_what_a_completion_does_not_have_is_none_as_with_a_client(router: Router) -> None:
    done = router.chat.completions.create(model="auto", messages=HELLO)
    assert done.system_fingerprint is done.service_tier is done.choices[0].message.annotations is None


def test_a_stream_reads_like_that_of_a_client(router: Router) -> None:
    with router.chat.completions.create(model="auto", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is 391."
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert chunks[-1].penstock.path == "small"
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stream_ends_with_its_usage_when_asked(router: Router) -> None:
    options = {"include_usage": True}
    *_, last = router.chat.completions.create(messages=HELLO, stream=True, stream_options=options)
    assert last.choices == []
    assert last.usage.completion_tokens > 0


def test_closing_a_stream_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()
    with make_router(tmp_path, small=small) as router:
        with router.chat.completions.create(messages=HELLO, stream=True) as stream:
            assert next(stream).choices[0].delta.content == "One"
        assert small.was_left.wait(PATIENCE_S)
        stream.close()
        assert list(stream) == []


def test_a_stream_that_is_never_read_asks_nobody(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    with make_router(tmp_path, small=small) as router:
        router.chat.completions.create(messages=HELLO, stream=True).close()
    assert not small.queries


def test_the_async_calls_give_the_same(router: Router) -> None:
    async def run() -> tuple[str, str]:
        done = await router.chat.completions.acreate(model="best", messages=HELLO)
        stream = await router.chat.completions.acreate(model="best", messages=HELLO, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return done.choices[0].message.content, text

    assert asyncio.run(run()) == ("Surely 391.", "Surely 391.")


@pytest.mark.parametrize(
    "given",
    [
        {"penstock": {"deny": ["small"]}},
        {"extra_body": {"penstock": {"deny": ["small"]}}},
        {"extra_headers": {"X-Penstock-Deny": "small"}},
        {"extra_headers": {"x-penstock-deny": "lrm"}, "penstock": {"deny": ["small"]}},
    ],
)
def test_wishes_come_as_with_a_client(router: Router, given: dict[str, Any]) -> None:
    assert router.chat.completions.create(messages=HELLO, **given).model == "lrm"


def test_only_the_fields_of_the_request_reach_the_backend(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    with make_router(tmp_path, small=small) as router:
        router.chat.completions.create(
            messages=HELLO,
            model="auto",
            stream=False,
            stream_options=None,
            seed=7,
            timeout=30,
            extra_headers={"a": "b"},
            extra_query={"c": "d"},
            extra_body={"top_k": 3, "penstock": {"lam": 1}},
        )
    assert dict(small.queries[0].params) == {"seed": 7, "top_k": 3}


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"model": "gpt"}, UnknownPolicy),
        ({"penstock": {"speed": 1}}, ConfigError),
        ({"extra_headers": {"x-penstock-speed": "1"}}, ConfigError),
        ({"stream_options": 7}, InvalidRequest),
        ({"messages": []}, InvalidRequest),
    ],
)
def test_a_wrong_call_is_refused(router: Router, given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        router.chat.completions.create(**{"messages": HELLO, **given})


def test_a_record_is_a_dict_with_attributes() -> None:
    record: Record = Record.of({"choices": [{"delta": {"text": "a"}}], "model": "small"})
    assert record["choices"][0]["delta"]["text"] == record.choices[0].delta.text == "a"
    assert record.model_dump() == {"choices": [{"delta": {"text": "a"}}], "model": "small"}
    assert type(record.model_dump()["choices"][0]) is dict
    assert record.usage is None
    assert json.loads(record.model_dump_json()) == record.to_dict() == record.model_dump()
    with pytest.raises(AttributeError, match="no field 'chioces'; there are choices, model"):
        _ = record.chioces
