"""A sidecar on a socket between real clients and two providers on the loopback interface, one of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anthropic
import httpx
import openai
import orjson

from penstock.router import Router
from penstock.router.server import Sidecar

from ...backends.loopback import Asked, Canned, Loopback, event_reply, json_reply
from ..serving import PATIENCE_S, serving, write_models

Says = Canned | Callable[[Asked], Canned]

# One sidecar serves many tests, so that the failures of one must not keep the next from being asked.
MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
backends:
  gpt: {{type: openai, model: gpt-x, base_url: "{gpt}", tier: mid, price: {{input: 1, output: 1}},
         retries: 0, breaker: {{failures: 0}}}}
  claude: {{type: anthropic, model: claude-x, base_url: "{claude}", tier: mid, price: {{input: 1, output: 1}},
            retries: 0, breaker: {{failures: 0}}}}
"""

CHAT_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 5,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
MESSAGE_USAGE = {"input_tokens": 4, "cache_read_input_tokens": 8, "output_tokens": 5}


def chat_reply(message: Mapping[str, Any], *, finish: str = "stop", **rest: Any) -> dict[str, Any]:
    """Returns a whole reply of OpenAI's kind."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    frame = {"id": "chatcmpl-up", "object": "chat.completion", "created": 7, "model": "gpt-x-2026"}
    return frame | {"choices": [choice], "usage": CHAT_USAGE} | rest


def chat_events(*deltas: Mapping[str, Any], finish: str = "stop") -> tuple[bytes, ...]:
    """Returns the events of a reply of OpenAI's kind."""
    frame = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 7, "model": "gpt-x-2026"}
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": finish})
    bodies = [frame | {"choices": [choice]} for choice in choices] + [frame | {"choices": [], "usage": CHAT_USAGE}]
    return (*(b"data: " + orjson.dumps(body) + b"\n\n" for body in bodies), b"data: [DONE]\n\n")


def message_reply(*blocks: Mapping[str, Any], stop: str = "end_turn", **rest: Any) -> dict[str, Any]:
    """Returns a whole reply of Anthropic's kind."""
    frame = {"id": "msg_up", "type": "message", "role": "assistant", "model": "claude-x-2026"}
    return frame | {"content": list(blocks), "stop_reason": stop, "stop_sequence": None, "usage": MESSAGE_USAGE} | rest


def named(name: str, **content: Any) -> bytes:
    """Returns an event of Anthropic's kind."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **content}) + b"\n\n"


def message_events(*blocks: tuple[Mapping[str, Any], Mapping[str, Any]], stop: str = "end_turn") -> tuple[bytes, ...]:
    """Returns the events of a reply of Anthropic's kind; a block is how it begins and its one delta."""
    start = message_reply() | {"content": [], "stop_reason": None}
    events = [named("message_start", message=start)]
    for place, (block, delta) in enumerate(blocks):
        events.append(named("content_block_start", index=place, content_block=block))
        events.append(named("content_block_delta", index=place, delta=delta))
        events.append(named("content_block_stop", index=place))
    ends = {"stop_reason": stop, "stop_sequence": None}
    return (*events, named("message_delta", delta=ends, usage={"output_tokens": 5}), named("message_stop"))


GPT_TEXT = chat_reply({"content": "It is 391."})
GPT_TEXT_EVENTS = chat_events({"role": "assistant", "content": ""}, {"content": "It is"}, {"content": " 391."})
GPT_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"x": 1}'}}
GPT_TOOL = chat_reply({"content": None, "tool_calls": [GPT_CALL]}, finish="tool_calls")
GPT_TOOL_EVENTS = chat_events(
    {"role": "assistant", "content": None},
    {"tool_calls": [{"index": 0, **GPT_CALL, "function": {"name": "add", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '{"x":'}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": " 1}"}}]},
    finish="tool_calls",
)
THOUGHT = {"type": "thinking", "thinking": "carry", "signature": "c2ln"}
CLAUDE_TEXT = message_reply(THOUGHT, {"type": "text", "text": "It is 391."})
CLAUDE_TEXT_EVENTS = message_events(
    ({"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "carry"}),
    ({"type": "text", "text": ""}, {"type": "text_delta", "text": "It is 391."}),
)
CLAUDE_USE = {"type": "tool_use", "id": "call_1", "name": "add", "input": {"x": 1}}
CLAUDE_TOOL = message_reply(CLAUDE_USE, stop="tool_use")
CLAUDE_TOOL_EVENTS = message_events(
    (CLAUDE_USE | {"input": {}}, {"type": "input_json_delta", "partial_json": '{"x": 1}'}), stop="tool_use"
)


GPT_DECLINED = chat_reply({"content": None, "refusal": "I will not."})
GPT_DECLINED_EVENTS = chat_events({"role": "assistant", "content": ""}, {"refusal": "I will"}, {"refusal": " not."})


def says(whole: Mapping[str, Any], events: tuple[bytes, ...]) -> Callable[[Asked], Canned]:
    """Returns a provider that replies whole or as a stream, as it is asked to."""
    return lambda asked: event_reply(*events) if asked.json.get("stream") else json_reply(whole)


GPT, CLAUDE = says(GPT_TEXT, GPT_TEXT_EVENTS), says(CLAUDE_TEXT, CLAUDE_TEXT_EVENTS)
GPT_DECLINES = says(GPT_DECLINED, GPT_DECLINED_EVENTS)
GPT_CALLS, CLAUDE_CALLS = says(GPT_TOOL, GPT_TOOL_EVENTS), says(CLAUDE_TOOL, CLAUDE_TOOL_EVENTS)


class Provider(Loopback):
    """A provider that can be told to say something else."""

    def __init__(self) -> None:
        super().__init__(self._say)
        self.says: Says = Canned()

    def _say(self, asked: Asked) -> Canned:
        return self.says(asked) if callable(self.says) else self.says


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """The sidecar, its clients, and the providers `gpt` and `claude`, which are also the backends' names."""

    url: str
    gpt: Provider
    claude: Provider
    http: httpx.AsyncClient
    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic

    def asked(self, backend: str) -> Asked:
        """Returns the last request that a provider got."""
        return {"gpt": self.gpt, "claude": self.claude}[backend].asked[-1]


@asynccontextmanager
async def between(folder: Path, *, models: str = MODELS) -> AsyncIterator[Between]:
    """Yields a sidecar over two providers, with clients that do not try again."""
    async with Provider() as one, Provider() as other:
        assert isinstance(one, Provider)
        assert isinstance(other, Provider)
        path = write_models(folder, models.format(gpt=one.url, claude=other.url))
        with serving(Sidecar(Router.from_config(path))) as url:
            async with (
                httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, verify=False) as http,  # there is no TLS
                openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="x", max_retries=0, timeout=PATIENCE_S) as first,
                anthropic.AsyncAnthropic(base_url=url, api_key="x", max_retries=0, timeout=PATIENCE_S) as second,
            ):
                yield Between(url=url, gpt=one, claude=other, http=http, openai=first, anthropic=second)
