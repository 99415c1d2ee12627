"""Real clients of every format, over sockets, to providers of both kinds: text, tools, images, schemas, counts."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pydantic
import pytest

from ...backends.loopback import json_reply
from .conftest import Talk
from .upstreams import CLAUDE_CALLS, GPT_CALLS, GPT_DECLINES, Between

BACKENDS = ("gpt", "claude")
FORMATS = ("chat", "messages", "responses")
ASKED = "What is 17 * 23?"
IMAGE = "data:image/png;base64,AAAA"
SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], "additionalProperties": False}


async def ask(sidecar: Between, format: str, backend: str, *, is_stream: bool, **fields: Any) -> Any:
    """Returns a reply in a format as its client reads it, put together by the client where it comes as a stream."""
    if format == "messages":
        given: dict[str, Any] = {"model": backend, "max_tokens": 100, "messages": [{"role": "user", "content": ASKED}]}
        if not is_stream:
            return await sidecar.anthropic.messages.create(**given | fields)
        async with sidecar.anthropic.messages.stream(**given | fields) as stream:
            return await stream.get_final_message()
    if format == "responses":
        given = {"model": backend, "input": ASKED} | fields
        if not is_stream:
            return await sidecar.openai.responses.create(**given)
        async with sidecar.openai.responses.stream(**given) as events:
            return await events.get_final_response()
    given = {"model": backend, "messages": [{"role": "user", "content": ASKED}]} | fields
    if not is_stream:
        return await sidecar.openai.chat.completions.create(**given)
    async with sidecar.openai.chat.completions.stream(**given, stream_options={"include_usage": True}) as chunks:
        return await chunks.get_final_completion()


def text_of(reply: Any, format: str) -> str:
    if format == "messages":
        return "".join(block.text for block in reply.content if block.type == "text")
    return str(reply.output_text if format == "responses" else reply.choices[0].message.content)


def call_of(reply: Any, format: str) -> tuple[str, str, Any]:
    """Returns the id, the name and the arguments of the one tool call, without white space."""
    if format == "messages":
        (block,) = [block for block in reply.content if block.type == "tool_use"]
        return block.id, block.name, str(block.input).replace("'", '"').replace(" ", "")
    if format == "responses":
        (item,) = [item for item in reply.output if item.type == "function_call"]
        return item.call_id, item.name, item.arguments.replace(" ", "")
    (call,) = reply.choices[0].message.tool_calls
    return call.id, call.function.name, call.function.arguments.replace(" ", "")


def reason_of(reply: Any, format: str) -> str:
    return str(
        {
            "messages": lambda: reply.stop_reason,
            "responses": lambda: reply.status,
            "chat": lambda: reply.choices[0].finish_reason,
        }[format]()
    )


EVERY_WAY = [
    pytest.param(format, backend, is_stream, id=f"{format}-{backend}-{'stream' if is_stream else 'whole'}")
    for format in FORMATS
    for backend in BACKENDS
    for is_stream in (False, True)
]


@pytest.mark.parametrize(("format", "backend", "is_stream"), EVERY_WAY)
def test_text_usage_and_the_reason_to_stop_arrive(talk: Talk, format: str, backend: str, is_stream: bool) -> None:
    reply = talk(lambda sidecar: ask(sidecar, format, backend, is_stream=is_stream))
    assert text_of(reply, format) == "It is 391."
    assert reply.model == backend
    if not is_stream:
        assert reply.penstock["path"] == backend
    assert reason_of(reply, format) == {"chat": "stop", "messages": "end_turn", "responses": "completed"}[format]
    usage = reply.usage
    if format == "chat":
        counts = (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens)
    elif format == "responses":
        counts = (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens)
    else:
        counts = (usage.input_tokens + 8, usage.cache_read_input_tokens, usage.output_tokens)
    assert counts == (12, 8, 5)


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_reasoning_of_another_format_is_translated(talk: Talk, format: str, is_stream: bool) -> None:
    reply = talk(lambda sidecar: ask(sidecar, format, "claude", is_stream=is_stream))
    told = {
        "messages": lambda: reply.content[0].thinking,
        "responses": lambda: reply.output[0].summary[0].text,
        "chat": lambda: reply.choices[0].message.reasoning_content,
    }[format]()
    assert told == "carry"


TOOLS: dict[str, Any] = {
    "chat": [{"type": "function", "function": {"name": "add", "description": "adds", "parameters": SCHEMA}}],
    "messages": [{"name": "add", "description": "adds", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "add", "description": "adds", "parameters": SCHEMA, "strict": False}],
}
CALLED: dict[str, Any] = {
    "chat": {
        "messages": [
            {"role": "user", "content": ASKED},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"x":1}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        ]
    },
    "messages": {
        "messages": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "add", "input": {"x": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "2"}]},
        ]
    },
    "responses": {
        "input": [
            {"role": "user", "content": ASKED},
            {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"x":1}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "2"},
        ]
    },
}


@pytest.mark.parametrize(("format", "backend", "is_stream"), EVERY_WAY)
def test_a_tool_is_called(talk: Talk, format: str, backend: str, is_stream: bool) -> None:
    async def what(sidecar: Between) -> tuple[Any, Any]:
        reply = await ask(sidecar, format, backend, is_stream=is_stream, tools=TOOLS[format])
        return reply, sidecar.asked(backend).json["tools"]

    reply, (tool,) = talk(what, gpt=GPT_CALLS, claude=CLAUDE_CALLS)
    assert call_of(reply, format) == ("call_1", "add", '{"x":1}')
    assert reason_of(reply, format) == {"chat": "tool_calls", "messages": "tool_use", "responses": "completed"}[format]
    told = tool if backend == "claude" else tool["function"]
    schema = told["input_schema" if backend == "claude" else "parameters"]
    assert (told["name"], told["description"], schema) == ("add", "adds", SCHEMA)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_call_and_its_result_reach_the_provider(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, tools=TOOLS[format], **CALLED[format])
        return sidecar.asked(backend).json["messages"]

    asked, called, result = talk(what)
    assert asked == {"role": "user", "content": ASKED}
    if backend == "claude":
        assert called["content"] == [{"type": "tool_use", "id": "call_1", "name": "add", "input": {"x": 1}}]
        assert result["content"] == [{"type": "tool_result", "tool_use_id": "call_1", "content": "2"}]
    else:
        (call,) = called["tool_calls"]
        assert (call["id"], call["function"]) == ("call_1", {"name": "add", "arguments": '{"x":1}'})
        assert (result["role"], result["tool_call_id"], result["content"]) == ("tool", "call_1", "2")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_a_refusal_in_so_many_words_is_told_where_the_client_looks_for_it(
    talk: Talk, format: str, is_stream: bool
) -> None:
    reply = talk(lambda sidecar: ask(sidecar, format, "gpt", is_stream=is_stream), gpt=GPT_DECLINES)
    told = {
        "messages": lambda: (reply.stop_reason, reply.content[0].text),
        "responses": lambda: (reply.status, reply.output[0].content[0].refusal),
        "chat": lambda: (reply.choices[0].finish_reason, reply.choices[0].message.refusal),
    }[format]()
    reason = {"chat": "stop", "messages": "refusal", "responses": "completed"}[format]
    assert told == (reason, "I will not.")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_refusal_is_not_taken_for_the_json_that_was_asked_for(talk: Talk, is_stream: bool) -> None:
    class Answer(pydantic.BaseModel):
        x: int

    async def what(sidecar: Between) -> Any:
        given: dict[str, Any] = {"model": "gpt", "input": ASKED, "text_format": Answer}
        if not is_stream:
            return await sidecar.openai.responses.parse(**given)
        async with sidecar.openai.responses.stream(**given) as events:
            assert "response.refusal.done" in [event.type async for event in events]
            return await events.get_final_response()

    reply = talk(what, gpt=GPT_DECLINES)
    assert reply.output_parsed is None
    assert reply.output[0].content[0].refusal == "I will not."


PICTURED: dict[str, Any] = {
    "chat": {
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]}],
    },
    "messages": {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}],
            }
        ],
    },
    "responses": {
        "input": [{"role": "user", "content": [{"type": "input_image", "image_url": IMAGE, "detail": "auto"}]}],
    },
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_an_image_reaches_the_provider_and_nobody_fetches_it(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, **PICTURED[format])
        return sidecar.asked(backend).json["messages"][0]["content"][0]

    part = talk(what)
    if backend == "claude":
        assert part == {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    else:
        assert part["image_url"]["url"] == IMAGE


SHAPED: dict[str, Any] = {
    "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    "messages": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "responses": {"text": {"format": {"type": "json_schema", "name": "x", "schema": SCHEMA}}},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_the_shape_of_an_answer_reaches_the_provider(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, **SHAPED[format])
        return sidecar.asked(backend).json

    body = talk(what)
    if backend == "claude":
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    else:
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA


SYSTEM: dict[str, Any] = {
    "chat": {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASKED}]},
    "messages": {"system": [{"type": "text", "text": "Be"}, {"type": "text", "text": "brief."}]},
    "responses": {"instructions": "Be brief."},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_system_prompt_reaches_the_provider(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, **SYSTEM[format])
        return sidecar.asked(backend).json

    body = talk(what)
    blocks = SYSTEM["messages"]["system"]
    if backend == "claude":
        assert body["system"] == (blocks if format == "messages" else "Be brief.")
    else:
        text = "Be\n\nbrief." if format == "messages" else "Be brief."
        assert body["messages"][0] == {"role": "system", "content": text}


THINKING: dict[str, Any] = {
    "chat": {"reasoning_effort": "low"},
    "messages": {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 20_000},
    "responses": {"reasoning": {"effort": "low"}},
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_wish_to_think_reaches_the_provider(talk: Talk, format: str, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        await ask(sidecar, format, backend, is_stream=False, **THINKING[format])
        return sidecar.asked(backend).json

    body = talk(what)
    if backend == "claude":
        assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000 if format == "messages" else 4000}
    else:
        assert body["reasoning_effort"] == "low"


def test_tokens_are_counted_by_the_provider_where_it_counts_and_estimated_elsewhere(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        given: dict[str, Any] = {"messages": [{"role": "user", "content": ASKED}], "tools": TOOLS["messages"]}
        counts = [
            (await sidecar.anthropic.messages.count_tokens(model=name, **given)).input_tokens for name in BACKENDS
        ]
        return counts, sidecar.asked("claude"), len(sidecar.gpt.asked)

    (estimated, counted), asked, n_asked = talk(what, claude=json_reply({"input_tokens": 1234}))
    assert counted == 1234
    assert asked.path.startswith("/v1/messages/count_tokens")
    assert set(asked.json) == {"model", "messages", "tools"}
    assert asked.json["model"] == "claude-x"
    assert n_asked == 0
    assert 10 < estimated < 200


def test_models_are_listed_and_found_by_clients_of_both_kinds(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        names = [model.id async for model in sidecar.openai.models.list()]
        others = [model.id async for model in sidecar.anthropic.models.list()]
        found = await sidecar.openai.models.retrieve("gpt")
        other = await sidecar.anthropic.models.retrieve("claude")
        return names, others, (found.id, found.owned_by), (other.id, other.type)

    names, others, found, other = talk(what)
    assert names == others == ["auto", "gpt", "claude"]
    assert found == ("gpt", "openai")
    assert other == ("claude", "model")


def test_a_model_that_is_not_there_is_not_found_in_the_words_of_either_client(talk: Talk) -> None:
    async def what(sidecar: Between) -> None:
        with pytest.raises(openai.NotFoundError, match="expected one of auto, gpt, claude"):
            await sidecar.openai.models.retrieve("nope")
        with pytest.raises(anthropic.NotFoundError, match="expected one of auto, gpt, claude") as caught:
            await sidecar.anthropic.models.retrieve("nope")
        assert caught.value.body["error"]["type"] == "not_found_error"

    talk(what)


@pytest.mark.parametrize("status", [404, 405, 501])
def test_tokens_are_estimated_where_the_provider_has_no_count(talk: Talk, status: int) -> None:
    async def what(sidecar: Between) -> int:
        asked = [{"role": "user", "content": "seventeen"}]
        counted = await sidecar.anthropic.messages.count_tokens(model="claude", messages=asked)
        assert len(sidecar.claude.asked) == 1
        return counted.input_tokens

    assert talk(what, claude=json_reply({"detail": "Not Found"}, status=status)) > 0
