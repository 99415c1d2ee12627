"""Same format in and out: what the caller and the provider say to each other goes through as it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from ...backends.loopback import Canned, event_reply, json_reply
from .conftest import Talk
from .upstreams import (
    CLAUDE_TEXT,
    CLAUDE_TEXT_EVENTS,
    GPT_TEXT,
    GPT_TEXT_EVENTS,
    MODELS,
    THOUGHT,
    Between,
    between,
    chat_events,
    chat_reply,
    message_reply,
    named,
    says,
)

PATHS = {"claude": "/v1/messages", "gpt": "/v1/chat/completions"}
MARK = {"type": "ephemeral", "ttl": "1h"}
TO_CLAUDE: dict[str, Any] = {
    "unknown": {"deep": [1, None, 1.5, "ä"]},
    "max_tokens": 3000,
    "system": [
        {"type": "text", "text": "Second.", "cache_control": MARK},
        {"type": "text", "text": "First."},
    ],
    "temperature": 1.0,
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "tools": [{"type": "bash_20250124", "name": "bash"}, {"name": "f", "input_schema": {}, "cache_control": MARK}],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "17 * 23?", "cache_control": MARK}]},
        {
            "role": "assistant",
            "content": [
                THOUGHT,
                {"type": "redacted_thinking", "data": "eA=="},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "is_error": True,
                    "content": [{"type": "text", "text": "2"}],
                }
            ],
        },
    ],
    "metadata": {"user_id": "ann"},
    "context_management": {"edits": []},
}
TO_GPT: dict[str, Any] = {
    "unknown": {"deep": [1, None, 1.5, "ä"]},
    "messages": [
        {"role": "developer", "content": "Be brief.", "name": "x"},
        {"role": "assistant", "content": "hm", "reasoning_content": "carry", "unknown": 1},
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}]},
    ],
    "modalities": ["text"],
    "top_logprobs": 2,
    "logprobs": True,
    "seed": 1,
}
TO = {"claude": TO_CLAUDE, "gpt": TO_GPT}


async def post(
    sidecar: Between, backend: str, *, headers: Mapping[str, str] | None = None, **fields: Any
) -> httpx.Response:
    """Returns the reply to a request in the backend's own format."""
    body = {"model": backend, **TO[backend], **fields}
    return await sidecar.http.post(PATHS[backend], json=body, headers=dict(headers or {}))


@pytest.mark.parametrize("backend", PATHS)
def test_the_request_arrives_as_it_was_sent_but_for_the_model(talk: Talk, backend: str) -> None:
    async def what(sidecar: Between) -> Any:
        assert (await post(sidecar, backend)).status_code == 200
        return sidecar.asked(backend).json

    expected = TO[backend] | {"model": f"{backend}-x"}
    body = talk(what)
    assert body == expected
    assert orjson.dumps(body["messages"]) == orjson.dumps(expected["messages"])  # in the same order, too


def test_the_callers_beta_and_version_go_along(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        await post(sidecar, "claude", headers={"anthropic-beta": "one,two", "anthropic-version": "2030-01-01"})
        return sidecar.asked("claude").headers

    headers = talk(what)
    assert (headers["anthropic-beta"], headers["anthropic-version"]) == ("one,two", "2030-01-01")


def test_a_callers_key_goes_nowhere(talk: Talk) -> None:
    async def what(sidecar: Between) -> Any:
        await post(sidecar, "claude", headers={"x-api-key": "pk-mine", "authorization": "Bearer pk-mine"})
        return sidecar.asked("claude").headers

    assert "pk-mine" not in str(dict(talk(what)))


@pytest.mark.parametrize("backend", PATHS)
def test_the_reply_arrives_as_it_was_sent_but_for_the_model(talk: Talk, backend: str) -> None:
    said = {
        "claude": message_reply({"type": "new", "x": [1]}, THOUGHT, unknown={"a": 1}),
        "gpt": GPT_TEXT | {"new": [1]},
    }
    reply = talk(
        lambda sidecar: post(sidecar, backend), gpt=json_reply(said["gpt"]), claude=json_reply(said["claude"])
    ).json()
    assert reply.pop("penstock")["backend"] == backend
    assert reply == said[backend] | {"model": backend}


def test_the_events_of_a_message_arrive_as_they_were_sent(talk: Talk) -> None:
    events = (
        *CLAUDE_TEXT_EVENTS[:2],
        named("ping"),
        *CLAUDE_TEXT_EVENTS[2:-2],
        named("an_event_of_the_future", x=1),
        *CLAUDE_TEXT_EVENTS[-2:],
    )
    body = talk(lambda sidecar: post(sidecar, "claude", stream=True), claude=event_reply(*events)).content
    start, *middle, delta, stop = [piece + b"\n\n" for piece in body.split(b"\n\n")[:-1]]
    assert [*middle, stop] == [*events[1:-2], events[-1]]
    assert start == events[0].replace(b"claude-x-2026", b"claude")
    told = orjson.loads(delta.partition(b"data: ")[2])
    assert told.pop("penstock")["path"] == "claude"
    assert told == orjson.loads(events[-2].partition(b"data: ")[2])


def test_a_message_whose_very_end_is_cut_off_is_ended(talk: Talk) -> None:
    cut = event_reply(*CLAUDE_TEXT_EVENTS[:-1], ending="cut")
    text = talk(lambda sidecar: post(sidecar, "claude", stream=True), claude=cut).text
    assert text.endswith('event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert text.count("penstock") == 1


def test_the_chunks_of_a_chat_completion_arrive_as_they_were_sent(talk: Talk) -> None:
    options = {"include_usage": True}
    reply = talk(lambda sidecar: post(sidecar, "gpt", stream=True, stream_options=options))
    sent = [orjson.loads(event[6:]) | {"model": "gpt"} for event in GPT_TEXT_EVENTS[:-1]]
    *bodies, done = [event.removeprefix("data: ") for event in reply.text.split("\n\n")[:-1]]
    chunks = [orjson.loads(body) for body in bodies]
    assert chunks[-1].pop("penstock")["path"] == "gpt"
    assert chunks == sent
    assert done == "[DONE]"


def test_a_chunk_is_not_even_written_anew(talk: Talk) -> None:
    odd = GPT_TEXT_EVENTS[1].replace(
        b'"created":7', b'"created":  7.0E0,  "nested":{"text":"\\"model\\":\\"gpt-x-2026\\""}'
    )
    events = (GPT_TEXT_EVENTS[0], odd, *GPT_TEXT_EVENTS[2:])
    reply = talk(lambda sidecar: post(sidecar, "gpt", stream=True), gpt=event_reply(*events))
    assert odd.replace(b'"model":"gpt-x-2026"', b'"model":"gpt"') in reply.content


def test_usage_that_only_we_asked_for_is_kept_back(talk: Talk) -> None:
    reply = talk(lambda sidecar: post(sidecar, "gpt", stream=True))
    *bodies, _ = [event.removeprefix("data: ") for event in reply.text.split("\n\n")[:-1]]
    chunks = [orjson.loads(body) for body in bodies]
    assert all(chunk["choices"] for chunk in chunks)
    assert chunks[-1]["penstock"]["path"] == "gpt"


@pytest.mark.parametrize("is_stream", [False, True])
def test_several_answers_come_back_where_the_backend_gives_them(talk: Talk, is_stream: bool) -> None:
    whole = chat_reply({"content": "a"})
    whole["choices"].append(whole["choices"][0] | {"index": 1, "message": {"role": "assistant", "content": "b"}})
    first, second = ([orjson.loads(event[6:]) for event in chat_events({"content": text})[:-1]] for text in "ab")
    for event in second[:2]:
        event["choices"][0]["index"] = 1
    mixed = [second[0], first[0], first[1], second[1], first[2]]
    stream = (*(b"data: " + orjson.dumps(event) + b"\n\n" for event in mixed), b"data: [DONE]\n\n")

    async def what(sidecar: Between) -> Any:
        given: dict[str, Any] = {"model": "gpt", "messages": [{"role": "user", "content": "x"}], "n": 2}
        if not is_stream:
            done = await sidecar.openai.chat.completions.create(**given)
            return [choice.message.content for choice in done.choices]
        texts = ["", ""]
        async for chunk in await sidecar.openai.chat.completions.create(**given, stream=True):
            for choice in chunk.choices:
                texts[choice.index] += choice.delta.content or ""
        return texts

    assert talk(what, gpt=says(whole, stream)) == ["a", "b"]


def test_log_probabilities_that_only_we_asked_for_are_kept_back(tmp_path: Path) -> None:
    entry = {"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}
    whole = chat_reply({"content": "a"})
    whole["choices"][0]["logprobs"] = {"content": [entry]}

    async def run() -> Any:
        models = MODELS.replace("type: openai", "type: openai, supports: [logprobs, streaming]")
        async with between(tmp_path, models=models) as sidecar:
            sidecar.gpt.says = json_reply(whole)
            given: dict[str, Any] = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
            silent = await sidecar.openai.chat.completions.create(**given)
            asked = await sidecar.openai.chat.completions.create(**given, logprobs=True)
            return sidecar.asked("gpt").json["logprobs"], silent.choices[0].logprobs, asked.choices[0].logprobs

    was_asked, silent, told = asyncio.run(run())
    assert was_asked is True
    assert silent is None
    assert told.content[0].logprob == -0.5


@pytest.mark.parametrize("is_stream", [False, True])
def test_thinking_in_the_text_is_taken_out_all_the_same(talk: Talk, is_stream: bool) -> None:
    deltas = [{"role": "assistant", "content": "<thi"}, {"content": "nk>carry</think>"}, {"content": "391"}]
    provider = says(chat_reply({"content": "<think>carry</think>391"}), chat_events(*deltas))

    async def what(sidecar: Between) -> Any:
        given: dict[str, Any] = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
        if not is_stream:
            message = (await sidecar.openai.chat.completions.create(**given)).choices[0].message
            return message.reasoning_content, message.content
        stream = await sidecar.openai.chat.completions.create(**given, stream=True)
        found = [chunk.choices[0].delta async for chunk in stream if chunk.choices]
        return (
            "".join(getattr(delta, "reasoning_content", None) or "" for delta in found),
            "".join(delta.content or "" for delta in found),
        )

    assert talk(what, gpt=provider) == ("carry", "391")


@pytest.mark.parametrize("backend", PATHS)
def test_a_whole_reply_is_unrolled_for_who_wants_a_stream(tmp_path: Path, backend: str) -> None:
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    said = {
        "claude": message_reply(
            THOUGHT, {"type": "new", "x": 1}, {"type": "text", "text": "391"}, use, stop="tool_use"
        ),
        "gpt": chat_reply({"content": "391", "tool_calls": [call], "annotations": []}, finish="tool_calls"),
    }

    async def run() -> Any:
        async with between(tmp_path, models=MODELS.replace("tier: mid", "tier: mid, supports: [tools]")) as sidecar:
            sidecar.gpt.says, sidecar.claude.says = json_reply(said["gpt"]), json_reply(said["claude"])
            if backend == "claude":
                text = (await post(sidecar, backend, stream=True)).text
                events = [orjson.loads(part.partition("data: ")[2]) for part in text.split("\n\n")[:-1]]
                async with sidecar.anthropic.messages.stream(
                    model="claude", max_tokens=9, messages=[{"role": "user", "content": "x"}]
                ) as stream:
                    final = await stream.get_final_message()
                return events, final
            given: dict[str, Any] = {"model": "gpt", "messages": [{"role": "user", "content": "x"}]}
            async with sidecar.openai.chat.completions.stream(**given) as chunks:
                return [], await chunks.get_final_completion()

    events, final = asyncio.run(run())
    if backend == "gpt":
        choice = final.choices[0]
        assert (choice.message.content, choice.finish_reason) == ("391", "tool_calls")
        assert choice.message.tool_calls[0].function.arguments == '{"a": 1}'
        return
    assert [block.to_dict() for block in final.content if block.type != "new"] == [
        THOUGHT,
        {"type": "text", "text": "391"},
        use,
    ]
    assert final.stop_reason == "tool_use"
    assert [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"] == [
        "thinking",
        "new",
        "text",
        "tool_use",
    ]
    assert events[-2]["penstock"]["path"] == "claude"


def test_thinking_without_a_signature_is_not_sent_back_to_claude(talk: Talk) -> None:
    foreign = {"type": "thinking", "thinking": "mine", "signature": ""}
    turn = {"role": "assistant", "content": [foreign, THOUGHT, {"type": "text", "text": "391"}]}
    asked: dict[str, Any] = {"role": "user", "content": "And?"}

    async def what(sidecar: Between) -> Any:
        await post(sidecar, "claude", messages=[asked, turn, asked], context_management=None)
        return sidecar.asked("claude").json["messages"]

    assert talk(what) == [asked, turn | {"content": turn["content"][1:]}, asked]


REFUSALS = {
    "claude": {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "no", "extra": [1]},
        "request_id": "r",
    },
    "gpt": {"error": {"message": "no", "type": "invalid_request_error", "param": "seed", "code": "odd", "extra": [1]}},
}


@pytest.mark.parametrize("status", [400, 404, 429, 500, 529])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("backend", PATHS)
def test_a_refusal_of_the_provider_arrives_byte_by_byte(talk: Talk, backend: str, is_stream: bool, status: int) -> None:
    said = Canned(
        status=status, body=orjson.dumps(REFUSALS[backend], option=orjson.OPT_INDENT_2), headers={"retry-after": "3"}
    )
    reply = talk(lambda sidecar: post(sidecar, backend, stream=is_stream), gpt=said, claude=said)
    assert (reply.status_code, reply.content) == (status, said.body)
    assert reply.headers["retry-after"] == "3"
    assert len(reply.headers["x-penstock-trace-id"]) == 32


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_provider_says_of_our_key_stays_here(talk: Talk, status: int) -> None:
    body = {"type": "error", "error": {"type": "authentication_error", "message": "bad key pk-ours"}}
    said = json_reply(body, status=status)
    reply = talk(lambda sidecar: post(sidecar, "claude"), claude=said)
    assert reply.status_code == 502
    assert reply.json()["error"]["type"] == "api_error"
    assert "pk-ours" not in reply.text


def test_a_page_of_a_proxy_is_told_in_the_callers_form(talk: Talk) -> None:
    page = Canned(status=502, body=b"<html>Bad gateway</html>", content_type="text/html")
    reply = talk(lambda sidecar: post(sidecar, "claude"), claude=page)
    assert reply.json()["error"] == {"type": "api_error", "message": "claude: HTTP 502: Bad gateway"}


def test_a_failure_before_the_first_piece_is_a_status_though_the_stream_had_begun(talk: Talk) -> None:
    error = {"type": "overloaded_error", "message": "busy"}
    events = (CLAUDE_TEXT_EVENTS[0], named("error", error=error))
    reply = talk(lambda sidecar: post(sidecar, "claude", stream=True), claude=event_reply(*events))
    assert reply.status_code == 502
    assert reply.json() == {"type": "error", "error": error}


@pytest.mark.parametrize("backend", PATHS)
def test_a_failure_in_the_middle_of_a_stream_arrives_as_the_provider_told_it(talk: Talk, backend: str) -> None:
    failed = b"event: error\ndata: " + orjson.dumps(REFUSALS["claude"]) + b"\n\n"
    events = {
        "claude": (*CLAUDE_TEXT_EVENTS[:3], failed),
        "gpt": (*GPT_TEXT_EVENTS[:2], b"data: " + orjson.dumps(REFUSALS["gpt"]) + b"\n\n"),
    }
    reply = talk(
        lambda sidecar: post(sidecar, backend, stream=True),
        gpt=event_reply(*events["gpt"]),
        claude=event_reply(*events["claude"]),
    )
    assert reply.status_code == 200
    assert reply.content.endswith(events[backend][-1])
    assert reply.content.count(b"error") == events[backend][-1].count(b"error")


def test_betas_of_models_yaml_and_of_the_caller_are_joined(tmp_path: Path) -> None:
    async def run() -> str:
        models = MODELS.replace("type: anthropic", "type: anthropic, headers: {{Anthropic-Beta: ours}}")
        async with between(tmp_path, models=models) as sidecar:
            sidecar.claude.says = json_reply(CLAUDE_TEXT)
            await post(sidecar, "claude", headers={"anthropic-beta": "theirs"})
            return sidecar.asked("claude").headers["anthropic-beta"]

    assert asyncio.run(run()) == "ours,theirs"


def test_what_models_yaml_says_of_a_backend_holds_for_its_own_format_too(tmp_path: Path) -> None:
    async def run() -> Any:
        changed = "type: anthropic, effort: low, limits: {{max_output_tokens: 9000}}, drop_params: [unknown]"
        async with between(tmp_path, models=MODELS.replace("type: anthropic", changed)) as sidecar:
            sidecar.claude.says = json_reply(CLAUDE_TEXT)
            messages = [{"role": "user", "content": "x"}]
            body = {"model": "claude", "max_tokens": 20_000, "messages": messages, "unknown": 1, "temperature": 0}
            await sidecar.http.post("/v1/messages", json=body)
            return sidecar.asked("claude").json

    assert asyncio.run(run()) == {
        "model": "claude-x",
        "max_tokens": 9000,
        "messages": [{"role": "user", "content": "x"}],
        "thinking": {"type": "enabled", "budget_tokens": 4000},
    }


def test_a_choice_of_tools_that_is_null_is_none_to_a_backend_with_an_effort(tmp_path: Path) -> None:
    async def run() -> Any:
        async with between(tmp_path, models=MODELS.replace("type: anthropic", "type: anthropic, effort: low")) as told:
            told.claude.says = json_reply(CLAUDE_TEXT)
            body = {"model": "claude", "messages": [{"role": "user", "content": "x"}], "tool_choice": None}
            got = await told.http.post("/v1/messages", json=body)
            return got.status_code, told.asked("claude").json["thinking"]["type"]

    assert asyncio.run(run()) == (200, "enabled")


def test_halves_of_a_character_in_two_events_reach_the_client_as_they_came(talk: Talk) -> None:
    # The second text of servers in Python, which put spaces in, is read and written anew; the first of others is not.
    texts = ["a ", "b ", "\ud83d", "\ude00", " c"]

    async def what(sidecar: Between) -> str:
        stream = await sidecar.openai.chat.completions.create(
            model="gpt", messages=[{"role": "user", "content": "x"}], stream=True
        )
        return "".join([choice.delta.content or "" async for chunk in stream for choice in chunk.choices])

    for separators in ((", ", ": "), (",", ":")):
        bodies = [
            {"model": "m", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            for text in texts
        ]
        said = [f"data: {json.dumps(body, separators=separators)}\n\n".encode() for body in bodies]
        got = talk(what, gpt=event_reply(*said, *chat_events()))
        assert got.encode("utf-16", "surrogatepass").decode("utf-16") == "a b 😀 c"


def test_an_event_that_is_not_what_its_name_says_goes_through_as_it_came(talk: Talk) -> None:
    odd = b'event: message_start\ndata: {"type": "ping", "message": "x"}\n\n'

    async def what(sidecar: Between) -> str:
        body = {"model": "claude", "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "x"}]}
        return (await sidecar.http.post("/v1/messages", json=body)).text

    assert odd.decode() in talk(what, claude=event_reply(CLAUDE_TEXT_EVENTS[0], odd, *CLAUDE_TEXT_EVENTS[1:]))
