"""Replies in our own words: a completion in Anthropic's and OpenAI's newer format, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anthropic.types
import openai.types.responses
import orjson
import pytest

from penstock.backends import Chunk, Completion, FakeBackend, Query, ServerFailed, Usage
from penstock.router.server import Sidecar

from ..serving import Got, call, make_judging_router, make_router

ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 9, "input": "x"}
PATHS = ("/v1/messages", "/v1/responses")


def tool_call(id: str, arguments: str = "{}") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": f"f_{id}", "arguments": arguments}}


FULL = Completion(
    text="It is 391.",
    reasoning="carry the 1",
    tool_calls=(tool_call("a", '{"x": 1}'), tool_call("b")),
    finish_reason="tool_calls",
    usage=Usage(input_tokens=30, cached_input_tokens=20, cache_write_tokens=4, output_tokens=9, reasoning_tokens=3),
    tokens=("It", " is", " 391."),
    logprobs=(-0.1, -0.2, -0.3),
)


def reply(folder: Path, path: str, backend: FakeBackend | Completion, **fields: Any) -> Got:
    small = backend if isinstance(backend, FakeBackend) else FakeBackend(answer=backend)
    app = Sidecar(make_router(folder, small=small), clock=lambda: 1_700_000_000.9)
    field = "input" if path == "/v1/responses" else "messages"
    limit = {} if path == "/v1/responses" else {"max_tokens": 9}
    return call(app, path, {field: ASKED[field], **limit, **fields})


def events_of(got: Got) -> list[Any]:
    """Returns the bodies of the events, each of the name that its type is."""
    events = []
    for part in got.body.decode().split("\n\n")[:-1]:
        name, _, data = part.partition("\ndata: ")
        events.append(orjson.loads(data))
        assert name == f"event: {events[-1]['type']}"
    return events


def test_a_message_holds_thinking_text_and_calls(tmp_path: Path) -> None:
    got = reply(tmp_path, "/v1/messages", FULL)
    body = got.json
    assert body["content"] == [
        {"type": "thinking", "thinking": "carry the 1", "signature": ""},
        {"type": "text", "text": "It is 391."},
        {"type": "tool_use", "id": "a", "name": "f_a", "input": {"x": 1}},
        {"type": "tool_use", "id": "b", "name": "f_b", "input": {}},
    ]
    assert body["id"] == f"msg_{got.headers['x-penstock-trace-id']}"
    assert (body["model"], body["stop_reason"]) == ("small", "tool_use")
    counts = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    assert [body["usage"][name] for name in counts] == [6, 20, 4, 9]
    anthropic.types.Message.model_validate(body)


def test_the_events_of_a_message_add_up_to_it(tmp_path: Path) -> None:
    start, *events, ended, stop = events_of(reply(tmp_path, "/v1/messages", FULL, stream=True))
    blocks: list[Any] = []
    for event in events:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append(event["content_block"] | {"json": ""})
        elif event["type"] == "content_block_delta":
            delta = event["delta"]
            field = {"thinking_delta": "thinking", "text_delta": "text", "input_json_delta": "partial_json"}[
                delta["type"]
            ]
            blocks[event["index"]]["json" if field == "partial_json" else field] += delta[field]
    for block in blocks:
        arguments = block.pop("json")
        if block["type"] == "tool_use":
            block["input"] = orjson.loads(arguments)
    whole = reply(tmp_path, "/v1/messages", FULL).json
    assert blocks == whole["content"]
    assert [event["type"] for event in events].count("content_block_stop") == len(blocks)
    assert (start["type"], stop["type"]) == ("message_start", "message_stop")
    assert ended["delta"]["stop_reason"] == whole["stop_reason"]
    assert ended["usage"] == whole["usage"]
    assert ended["penstock"]["path"] == "small"


def test_a_response_holds_reasoning_message_and_calls(tmp_path: Path) -> None:
    got = reply(tmp_path, "/v1/responses", FULL, instructions="Be brief.", metadata={"a": "b"})
    body = got.json
    assert [item["type"] for item in body["output"]] == ["reasoning", "message", "function_call", "function_call"]
    assert body["output"][0]["summary"] == [{"type": "summary_text", "text": "carry the 1"}]
    assert body["output"][1]["content"][0]["text"] == "It is 391."
    assert [(item["call_id"], item["arguments"]) for item in body["output"][2:]] == [("a", '{"x": 1}'), ("b", "{}")]
    assert body["id"] == f"resp_{got.headers['x-penstock-trace-id']}"
    assert (body["model"], body["status"], body["created_at"], body["store"]) == (
        "small",
        "completed",
        1_700_000_000,
        False,
    )
    assert (body["instructions"], body["metadata"]) == ("Be brief.", {"a": "b"})
    assert body["usage"]["input_tokens_details"] == {"cached_tokens": 20, "cache_write_tokens": 4}
    openai.types.responses.Response.model_validate(body)


@pytest.mark.parametrize("completion", [FULL, Completion(text=""), Completion(text="a", finish_reason="length")])
def test_the_last_event_of_a_response_holds_what_the_whole_one_does(tmp_path: Path, completion: Completion) -> None:
    fields = {"include": ["message.output_text.logprobs"]}
    events = events_of(reply(tmp_path, "/v1/responses", completion, stream=True, **fields))
    whole = reply(tmp_path, "/v1/responses", completion, **fields).json
    streamed = events[-1]["response"]
    assert without_ids(streamed) == without_ids(whole)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == f"response.{whole['status']}"
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert added == [item["id"] for item in streamed["output"]]
    assert done == streamed["output"]


def without_ids(value: Any) -> Any:
    """Returns a body without what two requests cannot have in common."""
    if isinstance(value, dict):
        return {key: without_ids(inner) for key, inner in value.items() if key not in ("id", "penstock")}
    return [without_ids(inner) for inner in value] if isinstance(value, list) else value


def test_log_probabilities_are_told_where_they_are_asked_for(tmp_path: Path) -> None:
    fields = {"include": ["message.output_text.logprobs"]}
    for given, expected in (({}, []), (fields, ["It", " is", " 391."])):
        part = reply(tmp_path, "/v1/responses", FULL, **given).json["output"][1]["content"][0]
        assert [entry["token"] for entry in part["logprobs"]] == expected


def test_log_probabilities_come_with_the_end_of_a_stream(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path, small=FakeBackend(answer=FULL)))
    got = call(app, "/v1/chat/completions", {"messages": ASKED["messages"], "stream": True, "logprobs": True})
    told = [choice["logprobs"]["content"] for chunk in got.chunks for choice in chunk["choices"] if choice["logprobs"]]
    assert [[entry["token"] for entry in entries] for entries in told] == [["It", " is", " 391."]]


@pytest.mark.parametrize(
    ("finish", "stop", "status", "reason"),
    [
        ("stop", "end_turn", "completed", None),
        ("length", "max_tokens", "incomplete", "max_output_tokens"),
        ("content_filter", "refusal", "incomplete", "content_filter"),
    ],
)
def test_the_reason_to_stop_is_translated(
    tmp_path: Path, finish: str, stop: str, status: str, reason: str | None
) -> None:
    completion = Completion(text="a", finish_reason=finish)
    assert reply(tmp_path, "/v1/messages", completion).json["stop_reason"] == stop
    body = reply(tmp_path, "/v1/responses", completion).json
    assert (body["status"], (body["incomplete_details"] or {}).get("reason")) == (status, reason)


@pytest.mark.parametrize("arguments", ['{"x": ', "[1]"])
def test_arguments_that_are_no_object_are_an_error_where_they_must_be_one(tmp_path: Path, arguments: str) -> None:
    completion = Completion(text="", tool_calls=(tool_call("a", arguments),))
    got = reply(tmp_path, "/v1/messages", completion)
    assert got.status == 502
    assert "small: the arguments of f_a are not" in got.json["error"]["message"]
    assert reply(tmp_path, "/v1/responses", completion).json["output"][0]["arguments"] == arguments


def test_arguments_that_are_not_there_are_an_empty_object(tmp_path: Path) -> None:
    completion = Completion(text="", tool_calls=(tool_call("a", ""),), finish_reason="tool_calls")
    assert reply(tmp_path, "/v1/responses", completion).json["output"][0]["arguments"] == "{}"
    events = events_of(reply(tmp_path, "/v1/responses", completion, stream=True))
    assert events[-1]["response"]["output"][0]["arguments"] == "{}"
    assert "".join(event["delta"] for event in events if event["type"].endswith("arguments.delta")) == "{}"


class InTurnsBackend(FakeBackend):
    """Streams two calls in turns, with text between them."""

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the pieces."""
        for index, id in enumerate("ab"):
            function = {"name": f"f_{id}", "arguments": ""}
            yield Chunk(tool_calls=({"index": index, "id": id, "type": "function", "function": function},))
        for index, arguments in ((0, '{"x":'), (1, "{"), (0, "1}"), (1, "}")):
            yield Chunk(tool_calls=({"index": index, "function": {"arguments": arguments}},))
        yield Chunk(text="so")
        yield Chunk(completion=Completion(text="so", tool_calls=(tool_call("a", '{"x":1}'), tool_call("b"))))


def test_a_block_of_a_message_is_open_alone_and_never_goes_on_once_it_is_closed(tmp_path: Path) -> None:
    is_open, opened = None, []
    for event in events_of(reply(tmp_path, "/v1/messages", InTurnsBackend(), stream=True)):
        place = event.get("index")
        if event["type"] == "content_block_start":
            assert is_open is None
            is_open = place
            opened.append(place)
        elif event["type"] == "content_block_delta":
            assert place == is_open
        elif event["type"] == "content_block_stop":
            assert place == is_open
            is_open = None
    assert (is_open, opened) == (None, [0, 1, 2])


def test_calls_that_come_in_turns_stay_apart(tmp_path: Path) -> None:
    messages = events_of(reply(tmp_path, "/v1/messages", InTurnsBackend(), stream=True))
    pieces = [event for event in messages if event.get("delta", {}).get("type") == "input_json_delta"]
    texts = ["".join(e["delta"]["partial_json"] for e in pieces if e["index"] == place) for place in (0, 1)]
    assert texts == ['{"x":1}', "{}"]
    starts = [event["content_block"] for event in messages if event["type"] == "content_block_start"]
    assert [block.get("id") for block in starts] == ["a", "b", None]
    items = events_of(reply(tmp_path, "/v1/responses", InTurnsBackend(), stream=True))[-1]["response"]["output"]
    assert [item.get("arguments") for item in items] == ['{"x":1}', "{}", None]


@pytest.mark.parametrize("path", PATHS)
def test_only_the_answer_that_is_kept_is_streamed(tmp_path: Path, path: str) -> None:
    backends = {"small": FakeBackend(answer="all wrong"), "lrm": FakeBackend(answer="right")}
    got = call(Sidecar(make_judging_router(tmp_path, backends)), path, ASKED | {"stream": True})
    assert b"wrong" not in got.body
    assert b"right" in got.body
    assert b'"path":"small>lrm"' in got.body
    assert got.headers["x-penstock-backend"] == "lrm"


@pytest.mark.parametrize("path", PATHS)
def test_a_failure_falls_back_and_is_not_told(tmp_path: Path, path: str) -> None:
    got = reply(tmp_path, path, FakeBackend(answer=ServerFailed("down")), stream=True)
    assert got.headers["x-penstock-backend"] == "lrm"
    assert b'"path":"small!>lrm"' in got.body


@pytest.mark.parametrize("path", ["/v1/chat/completions", *PATHS])
def test_wishes_are_read_in_every_format(tmp_path: Path, path: str) -> None:
    app = Sidecar(make_router(tmp_path))
    assert call(app, path, ASKED | {"penstock": {"deny": ["small"]}}).json["model"] == "lrm"
    assert call(app, path, ASKED, headers={"x-penstock-deny": "small"}).json["model"] == "lrm"


@pytest.mark.parametrize("path", PATHS)
def test_feedback_finds_a_translated_reply_by_its_id(tmp_path: Path, path: str) -> None:
    app = Sidecar(make_router(tmp_path))
    answered = call(app, path, ASKED).json["id"]
    assert call(app, "/v1/feedback", {"trace_id": answered, "score": 1}).json["recorded"] is True


def test_a_dry_run_reads_a_message_where_its_client_says_so(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    body = {"system": 7, "messages": ASKED["messages"]}
    assert call(app, "/v1/route", body).status == 200
    got = call(app, "/v1/route", body, headers={"anthropic-version": "2023-06-01"})
    assert got.json["type"] == "error"
    assert got.json["error"]["message"].startswith("system: expected text")
