"""Thinking of earlier answers, over sockets: nobody is sent what it would refuse, or kept from what it demands."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from ...backends.loopback import Asked, Canned, event_reply, json_reply
from .conftest import Talk, talking
from .upstreams import Between, chat_events, chat_reply, message_events, message_reply

MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
backends:
  ann: {{type: anthropic, model: claude-a, base_url: "{claude}", tier: mid, price: {{input: 1, output: 1}}, retries: 0}}
  bob: {{type: anthropic, model: claude-b, base_url: "{claude}", tier: mid, price: {{input: 1, output: 1}}, retries: 0}}
  gpt: {{type: openai, model: gpt-x, base_url: "{gpt}", tier: mid, price: {{input: 1, output: 1}}, retries: 0}}
  deep: {{type: openai, model: deep-r, base_url: "{gpt}", tier: mid, price: {{input: 1, output: 1}}, retries: 0}}
"""
ASKED: dict[str, Any] = {"role": "user", "content": "What is 17 * 23?"}
AGAIN: dict[str, Any] = {"role": "user", "content": "And 18 * 23?"}
TOOL = {"name": "add", "description": "adds", "input_schema": {"type": "object"}}
THINK = {"type": "enabled", "budget_tokens": 2000}
numbers = itertools.count()


def refusal(message: str) -> Canned:
    return json_reply({"type": "error", "error": {"type": "invalid_request_error", "message": message}}, status=400)


def signing(asked: Asked) -> Canned:
    """A provider of two models that sign their thinking, and refuse what the other one has signed."""
    body = asked.json
    model, last = body["model"], body["messages"][-2:-1]
    for place, turn in enumerate(body["messages"]):
        for block in turn["content"] if isinstance(turn["content"], list) else ():
            if block["type"] == "thinking" and block["signature"] != f"of {model}":
                return refusal(f"messages.{place}.content.0: Invalid `signature` in `thinking` block")
            if block["type"] == "redacted_thinking" and block["data"] != f"of {model}":
                return refusal(f"messages.{place}.content.0: Invalid `data` in `redacted_thinking` block")
    kinds = [block["type"] for block in last[0]["content"]] if last and isinstance(last[0]["content"], list) else []
    if (body.get("thinking") or {}).get("type") == "enabled" and "tool_use" in kinds and "thinking" not in kinds[0]:
        return refusal("messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`")
    thought = {"type": "thinking", "thinking": "carry", "signature": f"of {model}"}
    redacted = {"type": "redacted_thinking", "data": f"of {model}"}
    text = {"type": "text", "text": f"Answer {next(numbers)}"}
    use = {"type": "tool_use", "id": f"toolu_{next(numbers)}", "name": "add", "input": {"x": next(numbers)}}
    content = [thought, redacted, use if "tools" in body and not kinds else text]
    stop = "tool_use" if content[-1] is use else "end_turn"
    if not body.get("stream"):
        return json_reply(message_reply(*content, stop=stop))
    blocks: list[Any] = [
        (
            {"type": "thinking", "thinking": "carry", "signature": ""},
            {"type": "signature_delta", "signature": thought["signature"]},
        ),
        (redacted, {"type": "none"}),
        (text | {"text": ""}, {"type": "text_delta", "text": text["text"]}),
    ]
    return event_reply(*message_events(*blocks))


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Returns a way to talk through one sidecar over four backends, those of Anthropic's kind behind `signing`."""
    with talking(tmp_path_factory.mktemp("sidecar"), models=MODELS) as talk:
        yield partial(talk, claude=signing)


async def message(sidecar: Between, to: str, *messages: Any, is_stream: bool = False, **fields: Any) -> Any:
    """Returns what one backend of `auto` says, as the real client has it."""
    given: dict[str, Any] = {"model": "auto", "max_tokens": 4000, "thinking": THINK, "messages": list(messages)}
    given |= fields | {"extra_headers": {"x-penstock-allow": to}}
    if not is_stream:
        return await sidecar.anthropic.messages.create(**given)
    async with sidecar.anthropic.messages.stream(**given) as stream:
        return await stream.get_final_message()


def turn(reply: Any) -> dict[str, Any]:
    """Returns a reply as the client sends it back."""
    return {"role": "assistant", "content": [block.model_dump() for block in reply.content]}


def kinds(asked: Asked) -> list[str]:
    """Returns the kinds of blocks of the assistant's turns."""
    turns = [turn for turn in asked.json["messages"] if turn["role"] == "assistant"]
    return [block["type"] for one in turns for block in one["content"]]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_switch_between_models_leaves_the_thinking_of_the_other_behind(talk: Talk, is_stream: bool) -> None:
    async def what(sidecar: Between) -> Any:
        one = await message(sidecar, "ann", ASKED, is_stream=is_stream)
        assert [block.type for block in one.content][:2] == ["thinking", "redacted_thinking"]
        two = await message(sidecar, "bob", ASKED, turn(one), AGAIN, is_stream=is_stream)
        three = await message(sidecar, "bob", ASKED, turn(one), AGAIN, turn(two), AGAIN, is_stream=is_stream)
        await message(
            sidecar, "ann", ASKED, turn(one), AGAIN, turn(two), AGAIN, turn(three), AGAIN, is_stream=is_stream
        )
        return sidecar.claude.asked

    first, second, third, fourth = talk(what)  # nobody was asked twice
    assert kinds(first) == []
    assert kinds(second) == ["text"]
    assert kinds(third) == ["text", "thinking", "redacted_thinking", "text"]
    assert kinds(fourth) == ["thinking", "redacted_thinking", "text", "text", "text"]
    assert [asked.json["thinking"] for asked in (first, second, third, fourth)] == [THINK] * 4


def test_where_nobody_knows_whose_thinking_it_is_the_call_is_made_again_without(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        one = await sidecar.anthropic.messages.create(model="ann", max_tokens=100, messages=[ASKED])
        two = await message(sidecar, "bob", ASKED, turn(one), AGAIN)
        return two, sidecar.claude.asked

    two, asked = talk(what)
    assert two.model == "bob"
    assert [kinds(one) for one in asked] == [[], ["thinking", "redacted_thinking", "text"], ["text"]]


def test_its_own_thinking_stays_with_a_model_in_a_tool_loop(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        one = await message(sidecar, "ann", ASKED, tools=[TOOL])
        result = {"type": "tool_result", "tool_use_id": one.content[-1].id, "content": "2"}
        await message(sidecar, "ann", ASKED, turn(one), {"role": "user", "content": [result]}, tools=[TOOL])
        return sidecar.claude.asked

    first, second = talk(what)
    assert kinds(second) == ["thinking", "redacted_thinking", "tool_use"]
    assert second.json["thinking"] == first.json["thinking"] == THINK


def test_a_switch_within_a_tool_loop_does_without_thinking_until_the_loop_is_over(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        one = await message(sidecar, "ann", ASKED, tools=[TOOL])
        result = {"type": "tool_result", "tool_use_id": one.content[-1].id, "content": "2"}
        loop = [ASKED, turn(one), {"role": "user", "content": [result]}]
        two = await message(sidecar, "bob", *loop, tools=[TOOL])
        await message(sidecar, "bob", *loop, turn(two), AGAIN, tools=[TOOL])
        return sidecar.claude.asked

    _, second, third = talk(what)
    assert kinds(second) == ["tool_use"]
    assert "thinking" not in second.json
    assert third.json["thinking"] == THINK


CALL = {"id": "call_7", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}
CALLS = chat_reply({"content": None, "reasoning_content": "carry", "tool_calls": [CALL]}, finish="tool_calls")
CALLS_EVENTS = chat_events(
    {"role": "assistant", "reasoning_content": "carry"},
    {"tool_calls": [{"index": 0, **CALL}]},
    finish="tool_calls",
)


def with_reasoning(asked: Asked) -> list[str | None]:
    """Returns the reasoning beside each of the assistant's messages."""
    return [m.get("reasoning_content") for m in asked.json["messages"] if m["role"] == "assistant"]


def demanding(asked: Asked) -> Canned:
    """A provider that demands its reasoning back beside the calls of tools, as some do."""
    if any(m.get("tool_calls") and "reasoning_content" not in m for m in asked.json["messages"]):
        return refusal("thinking is enabled but reasoning_content is missing in assistant tool call message at index 1")
    if any(m["role"] == "tool" for m in asked.json["messages"]):
        return json_reply(chat_reply({"content": "It is 2."}))
    return event_reply(*CALLS_EVENTS) if asked.json.get("stream") else json_reply(CALLS)


RESULT = {"role": "tool", "tool_call_id": "call_7", "content": "2"}


async def chat(sidecar: Between, to: str, *messages: Any) -> Any:
    headers = {"x-penstock-allow": to}
    return await sidecar.openai.chat.completions.create(model="auto", messages=list(messages), extra_headers=headers)


def test_reasoning_goes_back_to_the_model_that_had_it(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        reply = await chat(sidecar, "deep", ASKED)
        await chat(sidecar, "deep", ASKED, reply.choices[0].message.model_dump(exclude_none=True), RESULT)
        return sidecar.gpt.asked

    _, second = talk(what, gpt=demanding)
    assert with_reasoning(second) == ["carry"]


@pytest.mark.parametrize("is_stream", [False, True])
def test_reasoning_goes_back_through_messages_and_responses_too(talk: Talk, is_stream: bool) -> None:
    async def what(sidecar: Between) -> Any:
        one = await message(sidecar, "deep", ASKED, is_stream=is_stream)
        result = {"type": "tool_result", "tool_use_id": one.content[-1].id, "content": "2"}
        await message(sidecar, "deep", ASKED, turn(one), {"role": "user", "content": [result]})
        given: dict[str, Any] = {"model": "auto", "extra_headers": {"x-penstock-allow": "deep"}}
        if is_stream:
            async with sidecar.openai.responses.stream(**given, input=[ASKED]) as events:
                reply = await events.get_final_response()
        else:
            reply = await sidecar.openai.responses.create(**given, input=[ASKED])
        output: Any = {"type": "function_call_output", "call_id": "call_7", "output": "2"}
        items = [item.model_dump(exclude_none=True) for item in reply.output]
        await sidecar.openai.responses.create(**given, input=[ASKED, *items, output])
        return sidecar.gpt.asked

    asked = talk(what, gpt=demanding)
    assert [with_reasoning(one) for one in asked] == [[], ["carry"], [], ["carry"]]


def test_reasoning_of_another_model_is_left_behind(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        reply = await chat(sidecar, "deep", ASKED)
        sidecar.gpt.says = json_reply(chat_reply({"content": "It is 2."}))
        await chat(sidecar, "gpt", ASKED, reply.choices[0].message.model_dump(exclude_none=True), RESULT)
        return sidecar.gpt.asked

    assert with_reasoning(talk(what, gpt=demanding)[-1]) == [None]


def test_a_model_that_demands_reasoning_which_another_one_had_is_given_none_but_the_field(talk: Talk) -> None:
    calls = {"role": "assistant", "content": None, "tool_calls": [CALL]}

    async def what(sidecar: Between) -> Any:
        reply = await chat(sidecar, "deep", ASKED, calls, RESULT)
        return reply.choices[0].message.content, sidecar.gpt.asked

    text, asked = talk(what, gpt=demanding)
    assert text == "It is 2."
    assert with_reasoning(asked[-1]) == [""]


def test_a_model_that_refuses_reasoning_is_not_sent_it_again(talk: Talk) -> None:
    def refusing(asked: Asked) -> Canned:
        if any("reasoning_content" in m for m in asked.json["messages"]):
            return refusal("property 'messages.1.reasoning_content' is unsupported")
        return json_reply(chat_reply({"content": "It is 391."}))

    thought = {"role": "assistant", "content": "391", "reasoning_content": "carry"}

    async def what(sidecar: Between) -> Any:
        for _ in range(2):
            await chat(sidecar, "gpt", ASKED, thought, AGAIN)
        return sidecar.gpt.asked

    assert [with_reasoning(one) for one in talk(what, gpt=refusing)] == [["carry"], [None], [None]]
