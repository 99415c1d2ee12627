from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from penstock.backends import (
    BackendSpec,
    Chunk,
    Completion,
    ConfigError,
    InvalidRequest,
    Limits,
    Original,
    Query,
    ServerFailed,
    Usage,
    create_backend,
)
from penstock.backends.openai import OpenAIBackend

from .loopback import Asked, Canned, Loopback, data, event_reply, json_reply
from .shapes import DONE, OPENAI, PARALLEL_TOOLS, VLLM_TAGS

Answer = Callable[[Asked], Canned] | Canned


def outcome(
    answer: Answer, query: Query | None = None, *, n_calls: int = 1, is_stream: bool = False, **spec: Any
) -> tuple[list[Completion], list[Asked]]:
    """Returns the completions of asking `n_calls` times, and what the server was asked."""

    async def run() -> tuple[list[Completion], list[Asked]]:
        completions = []
        async with Loopback(answer) as server:
            backend = create_backend(
                BackendSpec(**{"name": "small", "type": "openai", "model": "m", "base_url": server.url} | spec)
            )
            try:
                for _ in range(n_calls):
                    asked = query or Query.from_text("17 * 23?")
                    if is_stream:
                        chunks: list[Chunk] = [chunk async for chunk in backend.stream(asked)]
                        assert chunks[-1].completion is not None
                        completions.append(chunks[-1].completion)
                    else:
                        completions.append(await backend.complete(asked))
            finally:
                await backend.aclose()
            return completions, server.asked

    return asyncio.run(run())


def sent(query: Query | None = None, *, is_stream: bool = False, **spec: Any) -> Any:
    """Returns the body of the request that a query becomes."""
    _, asked = outcome(OPENAI.reply(is_stream=is_stream), query, is_stream=is_stream, **spec)
    return asked[0].json


def read(message: Mapping[str, Any], *, finish: str = "stop", **rest: Any) -> Completion:
    """Returns the completion of a whole reply."""
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return outcome(json_reply({"choices": [choice], "model": "m"} | rest))[0][0]


def asking(**params: Any) -> Query:
    return Query.from_messages([{"role": "user", "content": "17 * 23?"}], params=params)


def test_request_holds_the_model_the_messages_and_the_params_untouched() -> None:
    query = Query.from_messages(
        [{"role": "user", "content": "x", "name": "ann"}], params={"temperature": 0.5, "guided_regex": "a+", "n": 1}
    )
    assert sent(query) == {
        "model": "m",
        "messages": [{"role": "user", "content": "x", "name": "ann"}],
        "temperature": 0.5,
        "guided_regex": "a+",
        "n": 1,
    }


def test_stream_asks_for_the_usage() -> None:
    body = sent(is_stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


def test_callers_stream_field_does_not_turn_a_whole_answer_into_a_stream() -> None:
    assert "stream" not in sent(asking(stream=True, stream_options={"include_usage": False}))


def test_effort_is_the_backends_own() -> None:
    assert sent(asking(reasoning_effort="high"), effort="low")["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("model", "params", "cap", "expected"),
    [
        ("m", {}, None, {}),
        ("m", {}, 100, {"max_tokens": 100}),
        ("m", {"max_tokens": 50}, 100, {"max_tokens": 50}),
        ("m", {"max_tokens": 500}, 100, {"max_tokens": 100}),
        ("m", {"max_completion_tokens": 50}, None, {"max_tokens": 50}),
        ("o4-mini", {"max_tokens": 50}, 100, {"max_completion_tokens": 50}),
        ("openai/gpt-5-mini", {}, 100, {"max_completion_tokens": 100}),
        ("gpt-4o", {"max_tokens": 50, "max_completion_tokens": 40}, 100, {"max_tokens": 40}),
        ("gpt-oss-20b", {}, 100, {"max_tokens": 100}),
        ("m", {"max_tokens": "many"}, 100, {"max_tokens": "many"}),
    ],
)
def test_output_limit_is_capped_and_named_as_the_model_wants_it(
    model: str, params: dict[str, Any], cap: int | None, expected: dict[str, Any]
) -> None:
    body = sent(asking(**params), model=model, limits=Limits(max_output_tokens=cap))
    assert {field: value for field, value in body.items() if field.startswith("max_")} == expected


def test_options_shape_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_KEY", "abcdef")
    options = {
        "extra_body": {"top_k": 5, "temperature": 1},
        "headers": {"X-Team": "ml"},
        "api_key_header": "api-key",
        "drop_params": ["seed"],
    }
    _, asked = outcome(
        OPENAI.reply(is_stream=False), asking(seed=1, temperature=0), options=options, api_key_env="AZURE_KEY"
    )
    assert (asked[0].json["top_k"], asked[0].json["temperature"], "seed" in asked[0].json) == (5, 1, False)
    assert (asked[0].headers["x-team"], asked[0].headers["api-key"]) == ("ml", "abcdef")
    assert "authorization" not in asked[0].headers


def test_key_is_sent_as_bearer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_API_KEY", " abcdef\n")
    _, asked = outcome(OPENAI.reply(is_stream=False), api_key_env="SMALL_API_KEY")
    assert asked[0].headers["authorization"] == "Bearer abcdef"
    assert asked[0].path == "/v1/chat/completions"


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"api_key_env": "SMALL_API_KEY"}, "backends.small.api_key_env: environment variable SMALL_API_KEY is not set"),
        ({"options": {"haeders": {}}}, "backends.small.haeders: unknown; expected one of extra_body, headers"),
        ({"options": {"headers": {"a": 1}}}, "backends.small.headers: expected names and texts"),
        ({"options": {"headers": {"a": "b\nc"}}}, "line break"),
        ({"options": {"thinking": "loud"}}, "backends.small.thinking: unknown 'loud'; expected one of tagged"),
        ({"options": {"drop_params": "seed"}}, "backends.small.drop_params: expected a list of names"),
        ({"base_url": "localhost:8000"}, "backends.small.base_url: expected a URL"),
        ({"base_url": "http://me:pw@host/v1"}, "no user name or password"),
        ({"base_url": "http://host/v1/chat/completions/"}, "base_url: /chat/completions is added to it; expected the"),
        ({"options": {"headers": {"a\nb": "c"}}}, r"backends.small.headers: 'a\nb': a line break is not allowed"),
    ],
)
def test_wrong_configuration_is_told_when_the_backend_is_built(
    spec: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SMALL_API_KEY", raising=False)
    with pytest.raises(ConfigError) as caught:
        OpenAIBackend(BackendSpec(name="small", type="openai", **spec))
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["", " \n", "two\nlines", "schlüssel"])
def test_key_that_cannot_be_one_is_refused_without_showing_it(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMALL_API_KEY", key)
    with pytest.raises(ConfigError, match="SMALL_API_KEY") as caught:
        OpenAIBackend(BackendSpec(name="small", type="openai", api_key_env="SMALL_API_KEY"))
    assert "two" not in str(caught.value)
    assert "schl" not in str(caught.value)


def refusing(field: str, message: str, *, status: int = 400) -> Callable[[Asked], Canned]:
    """Returns a server that refuses requests with a field."""

    def answer(asked: Asked) -> Canned:
        if field in asked.json:
            return json_reply({"error": {"message": message}}, status=status)
        return OPENAI.reply(is_stream=asked.json.get("stream", False))

    return answer


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("message", "status"),
    [
        ("You are not allowed to request logprobs from this model", 403),
        ("logprobs is not supported with tools + stream", 400),
        ("Unsupported parameter: 'logprobs' is not supported with this model.", 400),
        ("Unrecognized request argument supplied: logprobs", 400),
    ],
)
def test_refused_logprobs_are_left_out_from_then_on(message: str, status: int, is_stream: bool) -> None:
    completions, asked = outcome(
        refusing("logprobs", message, status=status),
        n_calls=2,
        is_stream=is_stream,
        supports=frozenset({"streaming", "logprobs"}),
    )
    assert [completion.text for completion in completions] == ["391", "391"]
    assert [one.json.get("logprobs") for one in asked] == [True, None, None]


@pytest.mark.parametrize(
    "message",
    [
        "Unrecognized request argument supplied: top_logprobs",
        "top_logprobs: expected at most 3",
        "Requested sample logprobs of 5, which is greater than max allowed: 0",
    ],
)
def test_log_probabilities_are_kept_where_alternatives_alone_are_refused(message: str) -> None:
    completions, asked = outcome(
        refusing("top_logprobs", message), n_calls=2, supports=frozenset({"streaming", "logprobs"})
    )
    assert [completion.text for completion in completions] == ["391", "391"]
    assert [one.json["logprobs"] for one in asked] == [True, True, True]
    assert [one.json.get("top_logprobs") for one in asked] == [5, None, None]


def test_a_refusal_of_alternatives_that_the_entry_asks_for_is_the_end_of_it() -> None:
    message = "top_logprobs must be less than or equal to 5, greater than max allowed"
    asked_for = {"logprobs": True, "top_logprobs": 20}
    with pytest.raises(InvalidRequest):
        outcome(refusing("top_logprobs", message), options={"extra_body": asked_for})


def test_concurrent_calls_all_learn_from_a_refusal() -> None:
    async def run() -> list[Completion]:
        async with Loopback(refusing("logprobs", "logprobs is not supported")) as server:
            backend = create_backend(
                BackendSpec(name="s", type="openai", base_url=server.url, supports=frozenset({"logprobs"}))
            )
            completions = await asyncio.gather(*(backend.complete(Query.from_text("x")) for _ in range(5)))
            await backend.aclose()
            return completions

    assert [completion.text for completion in asyncio.run(run())] == ["391"] * 5


def test_logprobs_that_the_caller_asked_for_are_not_left_out() -> None:
    with pytest.raises(InvalidRequest):
        outcome(refusing("logprobs", "logprobs is not supported"), asking(logprobs=True))


def test_refused_temperature_is_left_out() -> None:
    message = "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) is supported."
    completions, asked = outcome(refusing("temperature", message), asking(temperature=0, seed=1))
    assert completions[0].text == "391"
    assert "temperature" not in asked[1].json
    assert asked[1].json["seed"] == 1


def test_wrong_temperature_is_an_error_all_the_same() -> None:
    with pytest.raises(InvalidRequest, match="maximum"):
        outcome(refusing("temperature", "Invalid 'temperature': above the maximum value"), asking(temperature=9))


def test_refused_name_of_the_output_limit_is_changed() -> None:
    message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
    _, asked = outcome(refusing("max_tokens", message), asking(max_tokens=5), n_calls=2)
    assert [one.json.get("max_completion_tokens") for one in asked] == [None, 5, 5]


def test_field_of_extra_body_that_is_refused_is_an_error() -> None:
    with pytest.raises(InvalidRequest):
        outcome(refusing("temperature", "temperature is not supported"), options={"extra_body": {"temperature": 0}})


def test_missing_usage_is_estimated() -> None:
    assert read({"content": "391"}).usage == Usage(input_tokens=6, output_tokens=1, is_estimated=True)


def test_thinking_without_an_opening_tag_is_found_where_the_template_wrote_it() -> None:
    message = {"content": "carry\n</think>\n\n391"}
    reply = json_reply({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
    completion = outcome(reply, options={"thinking": "starts_inside"})[0][0]
    assert (completion.reasoning, completion.text) == ("carry", "391")


def test_tags_are_left_alone_where_they_mean_nothing() -> None:
    completion = outcome(json_reply(VLLM_TAGS.whole), options={"thinking": "untagged"})[0][0]
    assert (completion.reasoning, completion.text) == ("", "<think>carry</think>\n\n391")


def test_content_in_parts_is_joined_and_its_thinking_is_reasoning() -> None:
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "carry"}]},
        {"type": "text", "text": "39"},
        {"type": "text", "text": "1"},
    ]
    completion = read({"content": parts})
    assert (completion.reasoning, completion.text) == ("carry", "391")


def test_refusal_is_text_with_its_own_finish_reason() -> None:
    completion = read({"content": None, "refusal": "I cannot."})
    assert (completion.text, completion.finish_reason) == ("I cannot.", "content_filter")
    assert completion.is_refusal


@pytest.mark.parametrize(
    ("given", "expected"), [("eos", "stop"), ("model_length", "length"), ("SAFETY", "content_filter"), (None, "stop")]
)
def test_finish_reason_is_one_of_four(given: Any, expected: str) -> None:
    assert read({"content": "391"}, finish=given).finish_reason == expected


def test_generation_that_the_provider_gave_up_is_a_failure() -> None:
    with pytest.raises(ServerFailed, match="insufficient_system_resource"):
        read({"content": "39"}, finish="insufficient_system_resource")


def test_null_logprobs_are_none() -> None:
    content = [{"token": "39", "logprob": -0.5}, {"token": "1", "logprob": None}]
    choice = {"index": 0, "message": {"content": "391"}, "finish_reason": "stop", "logprobs": {"content": content}}
    assert outcome(json_reply({"choices": [choice]}))[0][0].logprobs is None


def calls_of(*deltas: Any) -> list[tuple[str, str, str]]:
    """Returns id, name and arguments of the calls that a stream of tool call deltas makes."""
    events = [data({"id": "r", "choices": [{"index": 0, "delta": {"tool_calls": [delta]}}]}) for delta in deltas]
    completion = outcome(event_reply(*events, DONE), is_stream=True)[0][0]
    return [(call["id"], call["function"]["name"], call["function"]["arguments"]) for call in completion.tool_calls]


def test_tool_calls_that_share_an_index_are_told_apart_by_id_and_name() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "add", "arguments": "{}"}}
    second = {"index": 0, "id": "b", "function": {"name": "now", "arguments": "{}"}}
    assert calls_of(first, second) == [("a", "add", "{}"), ("b", "now", "{}")]


def test_tool_calls_without_an_index_are_told_apart_by_name() -> None:
    deltas = (
        {"id": "a", "function": {"name": "add", "arguments": '{"x"'}},
        {"function": {"arguments": ":1}"}},
        {"id": "b", "function": {"name": "now", "arguments": "{}"}},
    )
    assert calls_of(*deltas) == [("a", "add", '{"x":1}'), ("b", "now", "{}")]


def test_new_ids_for_every_delta_do_not_make_new_calls() -> None:
    deltas = (
        {"index": 0, "id": "a", "function": {"name": "add", "arguments": "{"}},
        {"index": 0, "id": "b", "function": {"arguments": "}"}},
    )
    assert calls_of(*deltas) == [("a", "add", "{}")]


def test_tool_call_without_an_id_gets_one() -> None:
    assert calls_of({"index": 0, "function": {"name": "add", "arguments": {"x": 1}}}) == [
        ("call_r_0", "add", '{"x":1}')
    ]


def test_an_id_that_a_tool_call_gets_is_none_that_openai_would_refuse_later() -> None:
    call = {"function": {"name": "add", "arguments": "{}"}}
    completion = read({"content": None, "tool_calls": [call, call]}, id="chatcmpl-" + "a" * 32)
    first, second = (call["id"] for call in completion.tool_calls)
    assert len(first) <= 40
    assert first != second


def test_further_choices_of_a_stream_are_skipped() -> None:
    events = [
        data({"choices": [{"index": index, "delta": {"content": text}, "finish_reason": "stop"}]})
        for index, text in ((0, "391"), (1, "392"))
    ]
    assert outcome(event_reply(*events, DONE), is_stream=True)[0][0].text == "391"


def test_whole_reply_to_a_stream_is_taken_as_it_is() -> None:
    completion = outcome(json_reply(PARALLEL_TOOLS.whole), is_stream=True)[0][0]
    assert [call["function"]["name"] for call in completion.tool_calls] == ["add", "now"]


def test_backend_that_cannot_stream_is_asked_for_a_whole_answer() -> None:
    completions, asked = outcome(json_reply(OPENAI.whole), is_stream=True, supports=frozenset())
    assert "stream" not in asked[0].json
    assert completions[0].text == "391"


def test_stream_knows_when_its_first_token_came() -> None:
    completion = outcome(OPENAI.reply(is_stream=True), is_stream=True)[0][0]
    assert completion.first_token_s is not None
    assert 0 < completion.first_token_s <= completion.latency_s


CHAT = Original(format="chat", body={"messages": []})
MESSAGES = Original(format="messages", body={})


@pytest.mark.parametrize("is_stream", [False, True])
def test_logprobs_are_asked_for_only_where_it_is_said_that_they_are_there(is_stream: bool) -> None:
    assert "logprobs" not in sent(is_stream=is_stream, supports=None)
    assert sent(is_stream=is_stream, supports=frozenset({"streaming", "logprobs"}))["logprobs"] is True


def test_alternatives_are_asked_for_beside_log_probabilities_that_the_caller_left_to_us() -> None:
    supports = frozenset({"streaming", "logprobs"})
    assert sent(supports=supports)["top_logprobs"] == 5
    assert "top_logprobs" not in sent(asking(logprobs=True), supports=supports)
    assert "top_logprobs" not in sent(asking(logprobs=False), supports=supports)
    assert sent(asking(logprobs=True, top_logprobs=2), supports=supports)["top_logprobs"] == 2
    assert "top_logprobs" not in sent(supports=None)
    assert "top_logprobs" not in sent(supports=supports, options={"extra_body": {"logprobs": False}})


def test_options_of_a_stream_are_kept_beside_ours() -> None:
    query = asking(stream_options={"include_obfuscation": False})
    assert sent(query, is_stream=True)["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    assert "stream_options" not in sent(query)


def chunks_of(answer: Answer, original: Original | None) -> list[Chunk]:
    """Returns the chunks of a stream whose request came in some words."""

    async def run() -> list[Chunk]:
        async with Loopback(answer) as server:
            backend = create_backend(BackendSpec(name="small", type="openai", model="m", base_url=server.url))
            query = replace(Query.from_text("17 * 23?"), original=original)
            chunks = [chunk async for chunk in backend.stream(query)]
            await backend.aclose()
            return chunks

    return asyncio.run(run())


def test_the_providers_events_come_with_the_chunks_where_the_request_was_in_its_format() -> None:
    *chunks, last = chunks_of(event_reply(*OPENAI.events), CHAT)
    events = [event for chunk in chunks for event in chunk.events]
    assert [data(event.data) for event in events] == list(OPENAI.events)
    assert last.completion is not None
    assert "".join(chunk.text for chunk in chunks) == last.completion.text == OPENAI.text


@pytest.mark.parametrize("original", [None, MESSAGES])
def test_there_are_no_events_and_no_body_for_a_request_in_other_words(original: Original | None) -> None:
    assert not any(chunk.events for chunk in chunks_of(event_reply(*OPENAI.events), original))
    query = replace(asking(), original=original)
    assert outcome(json_reply(OPENAI.whole), query)[0][0].body is None


def test_events_before_the_first_chunk_wait_for_it() -> None:
    chunks = chunks_of(event_reply(*OPENAI.events), CHAT)
    assert (chunks[0].text, len(chunks[0].events)) == ("39", 2)


def test_no_events_bring_back_the_thinking_that_was_taken_out() -> None:
    chunks = chunks_of(event_reply(*VLLM_TAGS.events), CHAT)
    assert not any(chunk.events for chunk in chunks)
    assert "".join(chunk.reasoning for chunk in chunks) == VLLM_TAGS.reasoning


def test_a_stream_without_a_word_still_brings_its_events() -> None:
    end = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    first, last = chunks_of(event_reply(data(end), DONE), CHAT)
    assert [event.data for event in first.events][-1] == b"[DONE]"
    assert last.completion is not None


def test_a_whole_reply_is_kept_in_the_providers_words() -> None:
    (completion,), _ = outcome(json_reply(OPENAI.whole), replace(asking(), original=CHAT))
    assert completion.body == OPENAI.whole
    (last,) = chunks_of(json_reply(OPENAI.whole), CHAT)
    assert last.completion is not None
    assert last.completion.body == OPENAI.whole


def test_a_wish_to_think_that_we_translated_is_left_out_where_it_is_refused() -> None:
    message = "Unrecognized request argument supplied: reasoning_effort"
    query = asking(reasoning_effort="low")
    (completion,), asked = outcome(refusing("reasoning_effort", message), replace(query, original=MESSAGES))
    assert (completion.text, "reasoning_effort" in asked[1].json) == ("391", False)
    with pytest.raises(InvalidRequest):
        outcome(refusing("reasoning_effort", message), replace(query, original=CHAT))


def test_a_sampling_field_of_another_format_is_left_out_where_it_is_refused() -> None:
    message = "Unrecognized request argument supplied: top_k"
    query = asking(top_k=5)
    (completion,), asked = outcome(refusing("top_k", message), replace(query, original=MESSAGES))
    assert (completion.text, "top_k" in asked[1].json) == ("391", False)
    with pytest.raises(InvalidRequest):
        outcome(refusing("top_k", message), replace(query, original=CHAT))


# A budget for the reasoning


@pytest.mark.parametrize(
    ("field", "params", "told"),
    [
        ("thinking_budget", {}, {"thinking_budget": 500}),
        ("thinking_budget", {"thinking_budget": 100}, {"thinking_budget": 100}),
        ("thinking_budget", {"thinking_budget": 900}, {"thinking_budget": 500}),
        (
            "reasoning.max_tokens",
            {"reasoning": {"exclude": True}},
            {"reasoning": {"exclude": True, "max_tokens": 500}},
        ),
    ],
)
def test_a_budget_goes_into_the_field_that_is_named(field: str, params: dict[str, Any], told: dict[str, Any]) -> None:
    body = sent(replace(asking(**params), reasoning_budget=500), options={"budget_field": field})
    assert {name: body[name] for name in told} == told


def test_without_a_field_for_it_a_budget_is_not_sent() -> None:
    assert sent(replace(asking(), reasoning_budget=500)) == sent(asking())


def test_a_field_for_the_budget_is_named_by_words_with_dots() -> None:
    with pytest.raises(ConfigError, match=r"backends\.small\.budget_field: expected names with dots"):
        sent(options={"budget_field": "reasoning..max_tokens"})
