"""What requests of Anthropic's and OpenAI's newer format mean in the one form that decisions read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.backends import InvalidRequest, Query
from penstock.router.formats import FORMATS, Reading, read_request
from penstock.router.formats.messages_request import read_messages
from penstock.router.formats.responses_request import read_responses
from penstock.router.server import Sidecar

from ...backends.loopback import json_reply
from ..serving import acall, make_router
from .upstreams import CLAUDE_TEXT, GPT_TEXT, MODELS, between

USER = {"role": "user", "content": "x"}


def message(*blocks: Any, role: str = "user") -> dict[str, Any]:
    return {"messages": [{"role": role, "content": list(blocks)}, USER]}


def query_of(path: str, body: dict[str, Any]) -> Query:
    return read_request(FORMATS[path], orjson.dumps(body), [], trace_id="t").query


def test_one_conversation_is_one_query_whatever_the_format() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    chat = query_of(
        "/v1/chat/completions",
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hard?"},
                {"role": "assistant", "content": "Let me see.", "reasoning_content": "hm", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c", "content": "2"},
                {"role": "user", "content": "ok, go on"},
            ]
        },
    )
    messages = query_of(
        "/v1/messages",
        {
            "system": "Be brief.",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Hard?"}]},
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "hm", "signature": ""},
                        {"type": "thinking", "thinking": "of Claude's", "signature": "s"},
                        {"type": "redacted_thinking", "data": "x"},
                        {"type": "text", "text": "Let me see."},
                        {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                    ],
                },
                {
                    "role": "user",
                    "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": "2"}]},
                        {"type": "text", "text": "ok, go on"},
                    ],
                },
            ],
        },
    )
    responses = query_of(
        "/v1/responses",
        {
            "instructions": "Be brief.",
            "input": [
                {"role": "user", "content": "Hard?"},
                {"type": "reasoning", "id": "e", "summary": [], "encrypted_content": "of OpenAI's"},
                {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "hm"}]},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Let me see."}]},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
                {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "2"}]},
                {"role": "user", "content": [{"type": "input_text", "text": "ok, go on"}]},
            ],
        },
    )
    assert messages.messages == responses.messages == chat.messages
    assert chat.text == "Be brief.\nHard?\nLet me see.\n2\nok, go on"


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ({"max_tokens": 9, "top_k": 3, "novel": [1]}, {"max_tokens": 9, "top_k": 3, "novel": [1]}),
        ({"stop_sequences": ["END"]}, {"stop": ["END"]}),
        ({"metadata": {"user_id": "ann"}}, {"user": "ann"}),
        ({"cache_control": {"type": "ephemeral"}, "service_tier": "auto"}, {}),
        ({"thinking": {"type": "disabled"}}, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, {"reasoning_effort": "medium"}),
        ({"thinking": {"type": "enabled", "budget_tokens": 30_000}}, {"reasoning_effort": "high"}),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, {"reasoning_effort": "xhigh"}),
        ({"tool_choice": {"type": "any", "disable_parallel_tool_use": True}},
         {"tool_choice": "required", "parallel_tool_calls": False}),
        ({"tool_choice": {"type": "tool", "name": "f"}},
         {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
    ],
)  # fmt: skip
def test_fields_of_messages_become_those_of_chat_completions(given: dict[str, Any], params: dict[str, Any]) -> None:
    reading = read_messages({"messages": [USER], **given})
    assert (reading.params, reading.unsayable) == (params, ())


@pytest.mark.parametrize("system", [None, "", []])
def test_a_system_prompt_without_text_is_no_message(system: Any) -> None:
    assert read_messages({"system": system, "messages": [USER]}).messages == [USER]


def test_documents_become_files_and_texts() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    text = {"type": "text", "media_type": "text/plain", "data": "Long."}
    body = message({"type": "document", "source": pdf}, {"type": "document", "source": text, "title": "T"})
    file = {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    assert read_messages(body).messages[0]["content"] == [
        {"type": "file", "file": file},
        {"type": "text", "text": "T\n\nLong."},
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("no such file", "Error: no such file"), ("ERROR 2", "ERROR 2"), (None, "Error: "), ([], "Error: ")],
)
def test_that_a_tool_failed_is_said_in_its_result(content: Any, expected: str) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "is_error": True, "content": content}
    assert read_messages(message(result)).messages[0]["content"] == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "tools[0]: type 'bash_20250124'"),
        ({"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"mcp_servers": [{"name": "x"}]}, "mcp_servers"),
        ({"speed": "fast"}, "speed"),
        (message({"type": "search_result"}), "messages[0].content[0]: type 'search_result'"),
        (message({"type": "image", "source": {"type": "file", "file_id": "f"}}), "type 'image' by 'file'"),
        (message({"type": "document", "source": {"type": "url", "url": "u"}}), "a document by 'url'"),
        (message({"type": "document", "citations": {"enabled": True}}), "type 'document'"),
        (message({"type": "server_tool_use"}, role="assistant"), "type 'server_tool_use'"),
        (
            message({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image"}]}),
            "messages[0].content[0].content[0]: type 'image' in the result of a tool",
        ),
        ({"messages": [USER, {"role": "assistant", "content": "Sure: "}]}, "a last message of the assistant's"),
    ],
)
def test_what_only_anthropics_format_can_say_is_named(body: dict[str, Any], said: str) -> None:
    (unsayable,) = read_messages({"messages": [USER], **body}).unsayable
    assert said in unsayable


def test_a_turn_of_which_no_other_format_can_say_anything_is_a_message_all_the_same() -> None:
    reading = read_messages(message({"type": "search_result", "source": "s", "title": "t", "content": []}))
    assert [turn["role"] for turn in reading.messages] == ["user", "user"]


def test_a_tool_that_takes_nothing_has_properties_in_its_schema_which_chat_completions_demand() -> None:
    params = read_messages({"messages": [USER], "tools": [{"name": "f", "input_schema": {"type": "object"}}]}).params
    assert params["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}


@pytest.mark.parametrize("read", [read_messages, read_responses])
def test_a_field_that_is_null_is_not_there(read: Callable[[dict[str, Any]], Reading]) -> None:
    body = {"messages": [USER], "input": "x", "temperature": None, "top_p": None, "parallel_tool_calls": None}
    assert "temperature" not in read(body).params
    assert "parallel_tool_calls" not in read(body).params


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": "x"}, "messages: expected a list of objects"),
        (message({"type": "text"}), "messages[0]: unknown shape"),
        (message(7), "messages[0]: unknown shape"),
        ({"system": 7}, "system: expected text or a list of text blocks"),
        ({"system": [{"type": "image"}]}, "system: expected text"),
        ({"tool_choice": "auto"}, "tool_choice: expected an object"),
        ({"tool_choice": {"type": ["any"]}}, "tool_choice.type: unknown"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format: expected type json_schema"),
    ],
)
def test_a_malformed_message_is_refused_with_its_place(body: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_messages({"messages": [USER], **body})
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ({"max_output_tokens": 9, "novel": [1]}, {"max_completion_tokens": 9, "novel": [1]}),
        ({"reasoning": {"effort": "low", "summary": "auto"}}, {"reasoning_effort": "low"}),
        ({"text": {"format": {"type": "json_object"}, "verbosity": "low"}},
         {"response_format": {"type": "json_object"}, "verbosity": "low"}),
        ({"text": {"format": {"type": "text"}}}, {}),
        ({"tool_choice": {"type": "function", "name": "f"}},
         {"tool_choice": {"type": "function", "function": {"name": "f"}}}),
        ({"include": ["message.output_text.logprobs", "reasoning.encrypted_content"]}, {"logprobs": True}),
        ({"store": False, "background": False, "truncation": "disabled", "metadata": {"a": "b"}}, {}),
        # Without tools, what chat completions refuse and a response may say.
        ({"tool_choice": "auto", "parallel_tool_calls": True, "tools": []}, {}),
        ({"tool_choice": "none"}, {}),
    ],
)  # fmt: skip
def test_fields_of_responses_become_those_of_chat_completions(given: dict[str, Any], params: dict[str, Any]) -> None:
    assert read_responses({"input": "x", **given}).params == params


def test_results_follow_the_message_with_their_calls_even_where_text_came_after_these() -> None:
    calls = [{"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"} for id in "ab"]
    outputs = [{"type": "function_call_output", "call_id": id, "output": "1"} for id in "ab"]
    first, second = ({"role": "assistant", "content": text} for text in ("so", "then"))
    text = [{"type": "text", "text": "so"}, {"type": "text", "text": "then"}]
    for said, content in ((calls, None), ([*calls, first], "so"), ([first, calls[0], second, calls[1]], text)):
        messages = read_responses({"input": [USER, *said, *outputs]}).messages
        assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]
        assert messages[1]["content"] == content
        assert [call["id"] for call in messages[1]["tool_calls"]] == ["a", "b"]


def test_parts_of_responses_become_those_of_chat_completions() -> None:
    parts = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"},
    ]
    assert read_responses({"input": [{"role": "user", "content": parts}]}).messages[0]["content"] == [
        {"type": "text", "text": "see"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA"}},
    ]


@pytest.mark.parametrize("kind", [{"role": "assistant", "content": []}, {"call_id": "c", "output": []}])
def test_what_holds_no_part_is_empty_text(kind: dict[str, Any]) -> None:
    given = kind if "role" in kind else {"type": "function_call_output", **kind}
    assert read_responses({"input": [given]}).messages[0]["content"] == ""


def item(**fields: Any) -> dict[str, Any]:
    return {"input": [fields]}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"previous_response_id": "r"}, "previous_response_id: this sidecar keeps no conversation"),
        ({"conversation": "c"}, "conversation: this sidecar keeps no conversation"),
        ({"background": True}, "background: this sidecar keeps no replies"),
        ({"store": True}, "store: this sidecar keeps no replies"),
        ({"prompt": {"id": "p"}}, "prompt: this sidecar has no stored prompts"),
        ({"truncation": "auto"}, "truncation: nothing is left out"),
        ({"max_tool_calls": 3}, "max_tool_calls: is about tools that run at OpenAI"),
        ({"top_logprobs": 2}, "top_logprobs: the tokens that were chosen"),
        ({"include": ["file_search_call.results"]}, "include[0]: unknown 'file_search_call.results'"),
        ({"include": 7}, "include: expected a list"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]: type 'web_search' cannot be translated"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice: type 'file_search'"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type: unknown 'grammar'"),
        ({"input": 7}, "input: expected text or a list of items"),
        ({"instructions": [1]}, "instructions: expected text"),
        (item(type="item_reference", id="i"), "input[0]: this sidecar keeps no conversation"),
        (item(type="web_search_call"), "input[0]: an item of type 'web_search_call'"),
        (item(role="tool", content="x"), "input[0].role: unknown 'tool'"),
        (item(role="user"), "input[0]: unknown shape"),
        (item(role="user", content=[{"type": "input_image", "file_id": "f"}]), "input[0].content[0]: a part of type"),
        (item(role="user", content=[{"type": "input_file", "file_url": "u"}]), "input[0].content[0]: a part of type"),
        (
            item(type="function_call_output", call_id="c", output=[{"type": "input_image", "image_url": "u"}]),
            "input[0].output: only text can be translated",
        ),
    ],
)
def test_what_a_response_would_need_and_we_lack_is_refused_with_a_sentence(body: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_responses({"input": "x", **body})
    assert str(caught.value).startswith(said)


def test_what_only_one_format_can_say_goes_to_a_backend_of_that_format(tmp_path: Path) -> None:
    async def run() -> Any:
        models = MODELS.replace("price: {{input: 1, output: 1}}", "price: {{input: 0, output: 0}}", 1)
        async with between(tmp_path, models=models) as sidecar:
            sidecar.gpt.says, sidecar.claude.says = json_reply(GPT_TEXT), json_reply(CLAUDE_TEXT)
            body = {"messages": [USER], "max_tokens": 9}
            tools = {"tools": [{"type": "bash_20250124", "name": "bash"}]}
            return [
                await sidecar.http.post("/v1/messages", json=asked)
                for asked in (
                    {"model": "auto", **body},
                    {"model": "auto", **body, **tools},
                    {"model": "gpt", **body, **tools},
                )
            ]

    plain, special, refused = asyncio.run(run())
    assert plain.json()["model"] == "gpt"
    assert special.json()["model"] == "claude"
    assert refused.status_code == 400
    assert "gpt: cannot be told tools[0]: type 'bash_20250124'" in refused.json()["error"]["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KINDS = st.sampled_from(
    ["text", "image", "document", "tool_use", "tool_result", "message", "function_call", "json_schema", "custom", "url"]
)
OBJECTS = st.recursive(
    JSON | KINDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.fixed_dictionaries(
            {},
            optional=dict.fromkeys(("type", "role", "name", "id", "call_id", "tool_use_id", "effort"), KINDS | inner)
            | dict.fromkeys(("content", "text", "source", "input", "output", "arguments", "format"), inner),
        )
    ),
    max_leaves=8,
)
FIELDS = {
    "/v1/chat/completions": ("messages", "tools", "stream_options", "n", "response_format", "max_tokens", "logprobs"),
    "/v1/messages": ("messages", "system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stream"),
    "/v1/messages/count_tokens": ("messages", "system", "tools"),
    "/v1/responses": ("input", "instructions", "tools", "tool_choice", "text", "reasoning", "include", "stream"),
}


@pytest.mark.parametrize("path", FIELDS)
def test_no_body_is_an_error_of_ours(path: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    router = make_router(tmp_path_factory.mktemp("fuzz"))
    app = Sidecar(router)
    bodies = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[path], OBJECTS | st.lists(OBJECTS, max_size=3)))

    @settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(body=bodies)
    def check(body: Any) -> None:
        got = runner.run(acall(app, path, body))
        assert got.is_complete
        assert got.status < 500, got.json

    with router, asyncio.Runner() as runner:
        check()
