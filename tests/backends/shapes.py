"""Replies as providers send them, whole and as a stream, written after their public documentation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from penstock.backends import Usage

from .loopback import Canned, data, event_reply, json_reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """One reply in both forms, and what it says."""

    name: str
    type: str
    whole: Mapping[str, Any]
    events: tuple[bytes, ...]
    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    usage: Usage | None = None  # None: the reply has none
    tool_calls: tuple[tuple[str, Any], ...] = ()  # names and decoded arguments
    logprobs: tuple[float, ...] | None = None
    tokens: tuple[str, ...] | None = None
    entropies: tuple[float, ...] | None = None
    margins: tuple[float, ...] | None = None

    def reply(self, *, is_stream: bool) -> Canned:
        """Returns the reply in the form that was asked for."""
        return event_reply(*self.events) if is_stream else json_reply(self.whole)


def _whole(message: Mapping[str, Any], *, usage: Any = None, finish: str = "stop", **choice: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish, **choice}],
    }
    return body if usage is None else body | {"usage": usage}


def _delta(delta: Mapping[str, Any], *, finish: str | None = None, **rest: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish} | rest
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [choice]})


def _usage_event(usage: Any) -> bytes:
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage})


def _entry(token: str, logprob: float | None, *others: tuple[str, float]) -> dict[str, Any]:
    """Returns a token with its alternatives; without any, there are none listed, as by a server that was not asked."""
    alternatives = [_listed(token, logprob), *(_listed(*other) for other in others)] if others else []
    return _listed(token, logprob) | {"top_logprobs": alternatives}


def _listed(token: str, logprob: float | None) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}


def _named(name: str, content: Mapping[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **content}) + b"\n\n"


DONE = data(b"[DONE]")
_OPENAI_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 30,
    "total_tokens": 50,
    "prompt_tokens_details": {"cached_tokens": 16, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 25},
}
_SIMPLE_USAGE = {"prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21}
_DEEPSEEK_USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 40,
    "total_tokens": 60,
    "prompt_tokens_details": {"cached_tokens": 16},
    "completion_tokens_details": {"reasoning_tokens": 30},
    "prompt_cache_hit_tokens": 16,
    "prompt_cache_miss_tokens": 4,
}
_ANSWER = [_entry("39", -0.25), _entry("1", -0.5)]
_OPEN = [_entry("39", math.log(0.75), ("38", math.log(0.25))), _entry("1", math.log(0.5), ("2", math.log(0.25)))]
_THOUGHT = [_entry("<think>", -0.1), _entry("carry", -2.0), _entry("</think>", -0.1), _entry("\n\n", 0.0)]

OPENAI = Shape(
    name="openai",
    type="openai",
    whole=_whole(
        {"content": "391", "refusal": None}, usage=_OPENAI_USAGE, logprobs={"content": _OPEN, "refusal": None}
    ),
    events=(
        _delta({"role": "assistant", "content": "", "refusal": None}, logprobs=None),
        _delta({"content": "39"}, logprobs={"content": _OPEN[:1], "refusal": None}),
        _delta({"content": "1"}, logprobs={"content": _OPEN[1:], "refusal": None}),
        _delta({}, finish="stop", logprobs=None),
        _usage_event(_OPENAI_USAGE),
        DONE,
    ),
    text="391",
    usage=Usage(input_tokens=20, cached_input_tokens=16, output_tokens=30, reasoning_tokens=25),
    logprobs=(math.log(0.75), math.log(0.5)),
    tokens=("39", "1"),
    entropies=(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), 1.5 * math.log(2)),  # what is not listed has 1/4
    margins=(math.log(3), math.log(2)),
)

VLLM_TAGS = Shape(  # no reasoning parser: the tags are in the text, and their tokens among the logprobs
    name="vllm-tags",
    type="openai",
    whole=_whole(
        {"content": "<think>carry</think>\n\n391", "tool_calls": []},
        usage=_SIMPLE_USAGE | {"prompt_tokens_details": None},
        logprobs={"content": [*_THOUGHT, *_ANSWER]},
        stop_reason=None,
    ),
    events=(
        _delta({"role": "assistant", "content": ""}, logprobs=None),
        *(_delta({"content": entry["token"]}, logprobs={"content": [entry]}) for entry in [*_THOUGHT, *_ANSWER]),
        _delta({"content": ""}, finish="stop", stop_reason=None),
        _usage_event(_SIMPLE_USAGE),
        DONE,
    ),
    text="391",
    reasoning="carry",
    usage=Usage(input_tokens=12, output_tokens=9),
    logprobs=(-0.25, -0.5),
    tokens=("39", "1"),
)

VLLM_FIELD = Shape(  # with one: newer versions say `reasoning`, and null beside it
    name="vllm-field",
    type="openai",
    whole=_whole(
        {"content": "391", "reasoning": "carry", "reasoning_content": None},
        usage=_SIMPLE_USAGE,
        logprobs={"content": [*_THOUGHT, *_ANSWER, _entry("<|im_end|>", -0.1)]},
    ),
    events=(
        _delta({"role": "assistant", "content": ""}),
        _delta({"reasoning": "car"}, logprobs={"content": _THOUGHT[:2]}),
        _delta({"reasoning": "ry"}, logprobs={"content": _THOUGHT[2:]}),
        _delta({"content": "391"}, logprobs={"content": _ANSWER}),
        _delta({"content": ""}, finish="stop", logprobs={"content": [_entry("<|im_end|>", -0.1)]}),
        _usage_event(_SIMPLE_USAGE),
        DONE,
    ),
    text="391",
    reasoning="carry",
    usage=Usage(input_tokens=12, output_tokens=9),
    logprobs=(-0.25, -0.5),
    tokens=("39", "1"),
)

OLLAMA = Shape(  # `reasoning`, tool calls at once, "stop" as the reason all the same
    name="ollama-tool",
    type="openai",
    whole=_whole(
        {
            "content": "",
            "reasoning": "look it up",
            "tool_calls": [
                {
                    "id": "call_abc",
                    "index": 0,
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                }
            ],
        },
        usage=_SIMPLE_USAGE,
    ),
    events=(
        _delta({"role": "assistant", "content": "", "reasoning": "look it up"}),
        _delta(
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "call_abc",
                        "index": 0,
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
                    }
                ],
            }
        ),
        _delta({"role": "assistant", "content": ""}, finish="stop"),
        _usage_event(_SIMPLE_USAGE),
        DONE,
    ),
    text="",
    reasoning="look it up",
    finish_reason="tool_calls",
    usage=Usage(input_tokens=12, output_tokens=9),
    tool_calls=(("weather", {"city": "Oslo"}),),
)

LLAMA_CPP = Shape(  # no usage; timings instead; cut at the limit
    name="llama.cpp",
    type="openai",
    whole=_whole({"content": "It is 39", "reasoning_content": "carry"}, finish="length", timings={"predicted_n": 4}),
    events=(
        _delta({"role": "assistant", "content": None}),
        _delta({"reasoning_content": "carry"}),
        _delta({"content": "It is "}),
        _delta({"content": "39"}),
        data(
            {
                "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}],
                "model": "m",
                "timings": {"predicted_n": 4},
            }
        ),
        DONE,
    ),
    text="It is 39",
    reasoning="carry",
    finish_reason="length",
)

DEEPSEEK = Shape(  # keep-alive comments; the usage comes with the last choice
    name="deepseek",
    type="openai",
    whole=_whole({"content": "391", "reasoning_content": "20*23\n-3*23"}, usage=_DEEPSEEK_USAGE, logprobs=None),
    events=(
        b": keep-alive\n\n",
        _delta({"role": "assistant", "content": None, "reasoning_content": ""}),
        _delta({"content": None, "reasoning_content": "20*23\n"}),
        b": keep-alive\n\n",
        _delta({"content": None, "reasoning_content": "-3*23"}),
        _delta({"content": "391", "reasoning_content": None}),
        data(
            {
                "model": "m",
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}],
                "usage": _DEEPSEEK_USAGE,
            }
        ),
        DONE,
    ),
    text="391",
    reasoning="20*23\n-3*23",
    usage=Usage(input_tokens=20, cached_input_tokens=16, output_tokens=40, reasoning_tokens=30),
)

PARALLEL_TOOLS = Shape(
    name="openai-tools",
    type="openai",
    whole=_whole(
        {
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "now", "arguments": "{}"}},
            ],
        },
        usage=_SIMPLE_USAGE,
        finish="tool_calls",
    ),
    events=(
        _delta(
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"index": 0, "id": "a", "type": "function", "function": {"name": "add", "arguments": ""}}
                ],
            }
        ),
        _delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]}),
        _delta({"tool_calls": [{"index": 0, "function": {"arguments": ": 1}"}}]}),
        _delta(
            {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "now", "arguments": ""}}]}
        ),
        _delta({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
        _delta({}, finish="tool_calls"),
        _usage_event(_SIMPLE_USAGE),
        DONE,
    ),
    text="",
    finish_reason="tool_calls",
    usage=Usage(input_tokens=12, output_tokens=9),
    tool_calls=(("add", {"x": 1}), ("now", {})),
)

_ANTHROPIC_USAGE = {"input_tokens": 5, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 1000}
ANTHROPIC = Shape(
    name="anthropic",
    type="anthropic",
    whole={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "carry", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "eA=="},
            {"type": "text", "text": "Let me look. "},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": _ANTHROPIC_USAGE | {"output_tokens": 60, "output_tokens_details": {"thinking_tokens": 20}},
    },
    events=(
        _named(
            "message_start",
            {
                "message": {
                    "id": "msg_1",
                    "type": "message",
                    "role": "assistant",
                    "model": "m",
                    "content": [],
                    "stop_reason": None,
                    "usage": _ANTHROPIC_USAGE | {"output_tokens": 1},
                }
            },
        ),
        _named("content_block_start", {"index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
        _named("ping", {}),
        _named("content_block_delta", {"index": 0, "delta": {"type": "thinking_delta", "thinking": "carry"}}),
        _named("content_block_delta", {"index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}}),
        _named("content_block_stop", {"index": 0}),
        _named("content_block_start", {"index": 1, "content_block": {"type": "redacted_thinking", "data": "eA=="}}),
        _named("content_block_stop", {"index": 1}),
        _named("content_block_start", {"index": 2, "content_block": {"type": "text", "text": ""}}),
        _named("content_block_delta", {"index": 2, "delta": {"type": "text_delta", "text": "Let me "}}),
        _named("content_block_delta", {"index": 2, "delta": {"type": "text_delta", "text": "look. "}}),
        _named("content_block_stop", {"index": 2}),
        _named(
            "content_block_start",
            {"index": 3, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}},
        ),
        _named("content_block_delta", {"index": 3, "delta": {"type": "input_json_delta", "partial_json": ""}}),
        _named("content_block_delta", {"index": 3, "delta": {"type": "input_json_delta", "partial_json": '{"city": '}}),
        _named("content_block_delta", {"index": 3, "delta": {"type": "input_json_delta", "partial_json": '"Oslo"}'}}),
        _named("content_block_stop", {"index": 3}),
        _named(
            "content_block_start",
            {"index": 4, "content_block": {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}}},
        ),
        _named("content_block_stop", {"index": 4}),
        _named("an_event_of_the_future", {"x": 1}),
        _named(
            "message_delta",
            {
                "delta": {"stop_reason": "tool_use", "stop_sequence": None},
                "usage": {"output_tokens": 60, "output_tokens_details": {"thinking_tokens": 20}},
            },
        ),
        _named("message_stop", {}),
    ),
    text="Let me look. ",
    reasoning="carry",
    finish_reason="tool_calls",
    usage=Usage(
        input_tokens=1105, cached_input_tokens=1000, cache_write_tokens=100, output_tokens=60, reasoning_tokens=20
    ),
    tool_calls=(("weather", {"city": "Oslo"}), ("now", {})),
)

SHAPES = (OPENAI, VLLM_TAGS, VLLM_FIELD, OLLAMA, LLAMA_CPP, DEEPSEEK, PARALLEL_TOOLS, ANTHROPIC)
