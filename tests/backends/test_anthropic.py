from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.backends import (
    BackendSpec,
    Completion,
    ConfigError,
    InvalidRequest,
    Limits,
    MalformedReply,
    Message,
    Original,
    Query,
    create_backend,
)
from penstock.backends.anthropic import THINKING_BUDGETS, AnthropicBackend
from penstock.backends.anthropic_request import request_of

from .loopback import Asked, Canned, Loopback, json_reply
from .shapes import ANTHROPIC

USER: Message = {"role": "user", "content": "17 * 23?"}
TOOL = {"type": "function", "function": {"name": "add", "description": "adds", "parameters": {"type": "object"}}}
CALL = {"id": "t1", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}


def outcome(
    query: Query, answer: Callable[[Asked], Canned] | None = None, *, n_calls: int = 1, **spec: Any
) -> tuple[Completion, list[Asked]]:
    """Returns the completion and what the server was asked."""

    async def run() -> tuple[Completion, list[Asked]]:
        async with Loopback(answer or json_reply(ANTHROPIC.whole)) as server:
            backend = create_backend(
                BackendSpec(
                    **{"name": "big", "type": "anthropic", "model": "claude-sonnet-4-5", "base_url": server.url} | spec
                )
            )
            try:
                for _ in range(n_calls):
                    completion = await backend.complete(query)
            finally:
                await backend.aclose()
            return completion, server.asked

    return asyncio.run(run())


def asking(*messages: Any, **params: Any) -> Query:
    return Query.from_messages(messages or [USER], params=params)


def sent(query: Query, **spec: Any) -> Any:
    """Returns the body of the request that a query becomes."""
    return outcome(query, **spec)[1][0].json


def test_request_goes_to_the_messages_api_with_key_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIG_KEY", "abcdef")
    _, asked = outcome(asking(), api_key_env="BIG_KEY", options={"headers": {"anthropic-beta": "x"}})
    assert asked[0].path == "/v1/messages"
    wanted = ("x-api-key", "anthropic-version", "anthropic-beta")
    assert [asked[0].headers[name] for name in wanted] == ["abcdef", "2023-06-01", "x"]


@pytest.mark.parametrize(
    ("ending", "asked"),
    [
        ("", "/v1/messages"),
        ("/v1", "/v1/messages"),
        ("?api-version=1", "/v1/messages?api-version=1"),
        ("/v1/?api-version=1", "/v1/messages?api-version=1"),
    ],
)
def test_version_is_added_to_the_address_where_it_is_missing(ending: str, asked: str) -> None:
    async def run() -> str:
        async with Loopback(json_reply(ANTHROPIC.whole)) as server:
            url = server.url.removesuffix("/v1") + ending
            backend = create_backend(BackendSpec(name="big", type="anthropic", base_url=url))
            await backend.complete(asking())
            await backend.aclose()
            return server.asked[0].path

    assert asyncio.run(run()) == asked


def test_smallest_request_has_a_limit() -> None:
    assert sent(asking()) == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": "17 * 23?"}],
    }


def test_system_messages_become_the_system_prompt() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "No jokes."}, USER]
    assert request_of(messages, {})["system"] == "Be brief.\n\nNo jokes."


def test_cache_marks_are_kept() -> None:
    mark = {"type": "ephemeral"}
    part = {"type": "text", "text": "Be brief.", "cache_control": mark}
    body = request_of([{"role": "system", "content": [part]}, {"role": "user", "content": [part]}], {})
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert body["messages"][0]["content"][0]["cache_control"] == mark


def test_images_come_as_data_or_address() -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]
    assert request_of([{"role": "user", "content": parts}], {})["messages"][0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]


def test_tools_calls_and_results_are_translated() -> None:
    messages: list[Message] = [
        USER,
        {"role": "assistant", "content": "Let me add.", "tool_calls": [CALL, {**CALL, "id": "t2"}]},
        {"role": "tool", "tool_call_id": "t1", "content": "2"},
        {"role": "tool", "tool_call_id": "t2", "content": [{"type": "text", "text": "3"}]},
        {"role": "user", "content": "And?"},
    ]
    body = request_of(messages, {"tools": [TOOL], "tool_choice": "required", "parallel_tool_calls": False})
    assert body["tools"] == [{"name": "add", "description": "adds", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me add."},
                {"type": "tool_use", "id": "t1", "name": "add", "input": {"x": 1}},
                {"type": "tool_use", "id": "t2", "name": "add", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "2"},
                {"type": "tool_result", "tool_use_id": "t2", "content": "3"},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_text_of_nothing_but_space_which_the_api_refuses_is_left_out() -> None:
    messages: list[Message] = [
        {"role": "system", "content": " "},
        {"role": "user", "content": [{"type": "text", "text": "\n"}, {"type": "text", "text": "17 * 23?"}]},
        {"role": "assistant", "content": "\n\n", "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "t1", "content": "2"},
    ]
    body = request_of(messages, {"tools": [TOOL]})
    assert "system" not in body
    assert body["messages"][0] == USER
    assert [block["type"] for block in body["messages"][1]["content"]] == ["tool_use"]


def test_how_an_answer_begins_ends_without_space_as_the_api_demands() -> None:
    messages: list[Message] = [USER, {"role": "assistant", "content": "It is: "}]
    assert request_of(messages, {})["messages"][1] == {"role": "assistant", "content": "It is:"}


def test_what_the_assistant_refused_with_is_what_it_said() -> None:
    messages: list[Message] = [USER, {"role": "assistant", "content": None, "refusal": "I will not."}, USER]
    assert request_of(messages, {})["messages"][1] == {"role": "assistant", "content": "I will not."}


def test_ids_of_calls_that_the_api_would_refuse_are_written_in_its_characters() -> None:
    calls = [{**CALL, "id": id} for id in ("functions.add:0", "functions-add:0", "t1")]
    results = [{"role": "tool", "tool_call_id": call["id"], "content": "2"} for call in calls]
    _, called, answered = request_of([USER, {"role": "assistant", "tool_calls": calls}, *results], {})["messages"]
    ids = [block["id"] for block in called["content"]]
    assert [block["tool_use_id"] for block in answered["content"]] == ids
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[a-zA-Z0-9_-]+", id) for id in ids)
    assert ids[2] == "t1"


@pytest.mark.parametrize(("tier", "expected"), [("auto", "auto"), ("default", "standard_only"), (None, None)])
def test_service_tier_is_translated(tier: str | None, expected: str | None) -> None:
    assert request_of([USER], {"service_tier": tier}).get("service_tier") == expected


def test_a_field_that_is_null_is_not_there() -> None:
    nothing = dict.fromkeys(("temperature", "top_p", "service_tier", "tools", "stop", "user", "response_format", "n"))
    assert request_of([USER], nothing) == {"messages": [USER]}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        ({"type": "function", "function": {"name": "add"}}, {"type": "tool", "name": "add"}),
    ],
)
def test_tool_choice_is_translated(choice: Any, expected: Any) -> None:
    assert request_of([USER], {"tools": [TOOL], "tool_choice": choice})["tool_choice"] == expected


def test_other_params_are_translated_ignored_or_passed_on() -> None:
    schema = {"type": "object"}
    params = {
        "stop": "END",
        "user": "ann",
        "seed": 1,
        "logprobs": False,
        "n": 1,
        "frequency_penalty": 0,
        "top_k": 5,
        "temperature": 0.5,
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}},
    }
    assert request_of([USER], params) == {
        "messages": [USER],
        "stop_sequences": ["END"],
        "metadata": {"user_id": "ann"},
        "top_k": 5,
        "temperature": 0.5,
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (asking(n=2), "n: the Messages API has no counterpart"),
        (asking(logprobs=True), "logprobs: the Messages API has no counterpart"),
        (asking(verbosity="low"), "verbosity: the Messages API has no counterpart"),
        (asking(service_tier="flex"), "service_tier: unknown 'flex'; expected one of auto, default"),
        (asking(reasoning_effort="huge"), "reasoning_effort: unknown 'huge'"),
        (asking(presence_penalty=0.5), "presence_penalty"),
        (asking(logit_bias={"1": 2}), "logit_bias"),
        (asking(response_format={"type": "json_object"}), "use json_schema"),
        (asking(tools=[{"type": "web_search"}]), "tools: type 'web_search'"),
        (asking(tools=[TOOL], tool_choice="always"), "tool_choice: unknown 'always'"),
        (asking({"role": "system", "content": "x"}), "one that is not from the system"),
        (asking({"role": "function", "content": "x"}), "role 'function' is unknown"),
        (asking({"role": "user", "content": [{"type": "input_audio"}]}), "type 'input_audio'"),
        (asking({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}]}), "http"),
        (asking({"role": "assistant", "tool_calls": [{**CALL, "function": {"name": "f", "arguments": "{"}}]}), "JSON"),
        (asking({"role": "tool", "content": "2"}), "unknown shape"),
    ],
)
def test_what_cannot_be_translated_is_refused_with_a_sentence(query: Query, message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        outcome(query)
    assert message in str(caught.value)
    assert str(caught.value).startswith("big: ")


@pytest.mark.parametrize(
    ("params", "cap", "expected"),
    [({}, None, 4096), ({}, 9000, 9000), ({"max_tokens": 50}, 9000, 50), ({"max_completion_tokens": 99}, 20, 20)],
)
def test_output_limit_is_always_there_and_capped(params: dict[str, Any], cap: int | None, expected: int) -> None:
    assert sent(asking(**params), limits=Limits(max_output_tokens=cap))["max_tokens"] == expected


def test_effort_becomes_a_budget_on_top_of_the_answer() -> None:
    body = sent(asking(temperature=0, top_k=3, top_p=0.5), effort="medium")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": THINKING_BUDGETS["medium"]}
    assert body["max_tokens"] == THINKING_BUDGETS["medium"] + 4096
    assert (body["top_p"], "temperature" in body, "top_k" in body) == (0.95, False, False)


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-sonnet-5", "claude-fable-5-1"])
def test_effort_is_told_by_name_where_the_model_decides_how_much_to_think(model: str) -> None:
    body = sent(asking(), effort="minimal", model=model)
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "low"}


def test_effort_may_be_a_number_of_tokens() -> None:
    assert sent(asking(), effort="2048")["thinking"]["budget_tokens"] == 2048


def test_no_effort_says_nothing_of_thinking() -> None:
    assert "thinking" not in sent(asking())


def test_effort_none_turns_thinking_off() -> None:
    assert sent(asking(), effort="none")["thinking"] == {"type": "disabled"}


def test_budget_leaves_room_for_the_answer() -> None:
    body = sent(asking(max_tokens=4096), effort="high")
    assert (body["thinking"]["budget_tokens"], body["max_tokens"]) == (2048, 4096)


@pytest.mark.parametrize(
    "query",
    [
        asking(max_tokens=100),
        asking(tools=[TOOL], tool_choice="required"),
        asking(
            USER, {"role": "assistant", "tool_calls": [CALL]}, {"role": "tool", "tool_call_id": "t1", "content": "2"}
        ),
    ],
)
def test_there_is_no_thinking_where_the_api_does_not_allow_it(query: Query) -> None:
    assert "thinking" not in sent(query, effort="high")


def test_unknown_effort_is_told_when_the_backend_is_built() -> None:
    with pytest.raises(ConfigError, match=r"backends\.big\.efforts: unknown 'huge'; expected one of none, minimal"):
        AnthropicBackend(BackendSpec(name="big", type="anthropic", effort="huge"))


def test_temperature_above_one_is_one() -> None:
    assert sent(asking(temperature=1.5))["temperature"] == 1


def refusing(field: str, message: str) -> Callable[[Asked], Canned]:
    """Returns a server that refuses requests with a field."""

    def answer(asked: Asked) -> Canned:
        if field in asked.body.decode():
            error = {"type": "invalid_request_error", "message": message}
            return json_reply({"type": "error", "error": error}, status=400)
        return json_reply(ANTHROPIC.whole)

    return answer


def test_refused_budget_is_replaced_by_adaptive_thinking_from_then_on() -> None:
    message = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
    _, asked = outcome(asking(), refusing("budget_tokens", message), n_calls=2, effort="low", model="mine")
    assert [one.json["thinking"]["type"] for one in asked] == ["enabled", "adaptive", "adaptive"]


def test_of_two_that_exclude_each_other_temperature_stays() -> None:
    message = "`temperature` and `top_p` cannot both be specified for this model."
    _, asked = outcome(asking(temperature=0, top_p=0.9), refusing("top_p", message))
    assert asked[1].json["temperature"] == 0


def test_refused_temperature_is_left_out() -> None:
    _, asked = outcome(asking(temperature=0), refusing("temperature", "`temperature` is deprecated for this model."))
    assert "temperature" not in asked[1].json


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_stop_reason_is_translated(given: str, expected: str) -> None:
    reply = {"model": "m", "content": [{"type": "text", "text": "391"}], "stop_reason": given}
    assert outcome(asking(), lambda asked: json_reply(reply))[0].finish_reason == expected


def test_there_are_no_logprobs() -> None:
    assert outcome(asking())[0].logprobs is None


@pytest.mark.parametrize(("effort", "budget"), [("low", 4000), ("high", 16_000)])
def test_an_effort_of_the_caller_becomes_thinking_where_the_backend_has_none(effort: str, budget: int) -> None:
    assert sent(asking(reasoning_effort=effort))["thinking"] == {"type": "enabled", "budget_tokens": budget}
    own = sent(asking(reasoning_effort=effort), effort="medium")["thinking"]
    assert own["budget_tokens"] == THINKING_BUDGETS["medium"]


def in_own_words(**body: Any) -> Query:
    """Returns a query that came as a request of the Messages API."""
    given = {"messages": [USER], "max_tokens": 20_000, **body}
    params = {"max_tokens": given["max_tokens"]}
    return replace(asking(**params), original=Original(format="messages", body=given))


def test_a_request_of_the_api_is_sent_as_it_came() -> None:
    body = {"temperature": 1.7, "novel": {"a": [1]}, "system": [{"type": "text", "text": "x"}], "top_k": 3}
    expected = {"messages": [USER], "max_tokens": 20_000, "model": "claude-sonnet-4-5"} | body
    assert sent(in_own_words(**body)) == expected


def test_an_answer_that_is_nothing_but_thinking_of_another_model_is_left_out() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": ""}
    cut_off = {"role": "assistant", "content": [thought]}
    body = sent(in_own_words(messages=[USER, cut_off, USER]))
    assert body["messages"] == [USER, USER]


def test_the_callers_thinking_holds_over_the_backends_effort() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    body = sent(in_own_words(thinking=thinking, temperature=1, top_p=0.99), effort="high")
    assert (body["thinking"], body["temperature"], body["top_p"]) == (thinking, 1, 0.99)


def test_an_effort_of_the_backend_makes_room_in_a_request_of_the_api_too() -> None:
    body = sent(in_own_words(temperature=0), effort="low")
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4000}
    assert "temperature" not in body


def test_the_callers_thinking_that_is_refused_is_not_asked_for_again_and_again() -> None:
    message = '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive".'
    with pytest.raises(InvalidRequest, match="not supported"):
        outcome(in_own_words(thinking={"type": "enabled", "budget_tokens": 1024}), refusing("budget_tokens", message))


def counted(answer: Canned, query: Query) -> tuple[int, list[Asked]]:
    """Returns what a server counts, and what it was asked."""

    async def run() -> tuple[int, list[Asked]]:
        async with Loopback(answer) as server:
            backend = AnthropicBackend(BackendSpec(name="big", type="anthropic", model="m", base_url=server.url))
            try:
                return await backend.count_tokens(query), server.asked
            finally:
                await backend.aclose()

    return asyncio.run(run())


def test_tokens_are_counted_without_what_is_about_the_answer() -> None:
    n_tokens, asked = counted(json_reply({"input_tokens": 7}), in_own_words(temperature=1, system="x"))
    assert (n_tokens, asked[0].path) == (7, "/v1/messages/count_tokens")
    assert asked[0].json == {"model": "m", "messages": [USER], "system": "x"}


def test_a_count_that_cannot_be_read_is_malformed() -> None:
    with pytest.raises(MalformedReply, match="cannot read the reply"):
        counted(json_reply({"tokens": 7}), in_own_words())


# A budget for the reasoning


def budgeted(query: Query, n_tokens: int) -> Query:
    return replace(query, reasoning_budget=n_tokens)


@pytest.mark.parametrize(
    ("budget", "thinking"),
    [
        (20_000, {"type": "enabled", "budget_tokens": 8000}),
        (2000, {"type": "enabled", "budget_tokens": 2000}),
        (1000, {"type": "disabled"}),
    ],
)
def test_thinking_is_held_to_a_budget(budget: int, thinking: dict[str, Any]) -> None:
    assert sent(budgeted(asking(), budget), effort="medium")["thinking"] == thinking


def test_a_budget_is_no_wish_to_think() -> None:
    assert "thinking" not in sent(budgeted(asking(), 5000))


@pytest.mark.parametrize(
    ("budget", "thinking"),
    [
        (9000, {"type": "enabled", "budget_tokens": 4000}),
        (2000, {"type": "enabled", "budget_tokens": 2000}),
        (10, {"type": "disabled"}),
    ],
)
def test_what_a_caller_asked_for_in_this_format_is_held_to_a_budget(budget: int, thinking: dict[str, Any]) -> None:
    body = {"messages": [USER], "max_tokens": 9000, "thinking": {"type": "enabled", "budget_tokens": 4000}}
    query = replace(asking(), original=Original(format="messages", body=body))
    assert sent(budgeted(query, budget))["thinking"] == thinking
    assert body["thinking"] == {"type": "enabled", "budget_tokens": 4000}
