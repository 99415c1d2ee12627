"""Reads replies of Anthropic's Messages API, whole and as events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .assembly import Assembly
from .reader import ReplyReader, ReportedFailure
from .sse import Event
from .types import Chunk
from .usage import usage_of_anthropic

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class AnthropicReader(ReplyReader):
    """Reads one reply. Thinking becomes reasoning; redacted thinking and signatures are left behind."""

    def __init__(self, assembly: Assembly) -> None:
        super().__init__(assembly)
        self._counts: dict[str, Any] = {}  # usage so far: events bring parts of it, cumulative
        self._calls: dict[int, int] = {}  # block index -> tool call index
        self._has_input: set[int] = set()  # tool calls whose arguments have begun

    def read_whole(self, body: Mapping[str, Any]) -> Chunk | None:
        """Returns the chunk of a whole reply."""
        if body.get("type") == "error" or "error" in body:
            raise ReportedFailure(body)
        text, reasoning = "", ""
        calls: list[Mapping[str, Any]] = []
        for block in body["content"]:
            kind = block["type"]
            if kind == "text":
                text += block["text"]
            elif kind == "thinking":
                reasoning += block.get("thinking") or ""
            elif kind == "tool_use":
                function = {"name": block["name"], "arguments": orjson.dumps(block.get("input") or {}).decode()}
                calls.append({"index": len(calls), "id": block["id"], "function": function})
        self._read_frame(body)
        self._read_end(body)
        self.is_complete = True
        return self.assembly.add(text, reasoning, calls)

    def read_event(self, event: Event) -> Chunk | None:
        """Returns the chunk that an event brings."""
        body = self.loaded(event.data)
        kind = body.get("type") or event.name
        if kind == "content_block_delta":
            return self._read_delta(body["index"], body["delta"])
        if kind == "content_block_start":
            return self._start_block(body["index"], body["content_block"])
        if kind == "content_block_stop":
            return self._stop_block(body["index"])
        if kind == "message_start":
            self._read_frame(body["message"])
        elif kind == "message_delta":
            self._read_end(body["delta"] | {"usage": body.get("usage")})
        elif kind == "message_stop":
            self.is_over = self.is_complete = True
        elif kind == "error" or "error" in body:
            raise ReportedFailure(body)
        return None  # also for `ping`, and for events yet to be invented

    def _read_frame(self, message: Mapping[str, Any]) -> None:
        self.assembly.model = message.get("model") or ""
        self.assembly.reply_id = message.get("id") or ""
        self._count(message.get("usage"))

    def _read_end(self, end: Mapping[str, Any]) -> None:
        self._count(end.get("usage"))
        reason = end.get("stop_reason")
        if reason:
            self.assembly.finish_reason = FINISH_REASONS.get(reason, "stop")
            self.is_complete = True

    def _count(self, counts: Any) -> None:
        if isinstance(counts, Mapping):
            self._counts |= {name: value for name, value in counts.items() if value is not None}
            self.assembly.usage = usage_of_anthropic(self._counts)

    def _start_block(self, index: int, block: Mapping[str, Any]) -> Chunk | None:
        kind = block.get("type")
        if kind == "text":
            return self.assembly.add(block.get("text") or "")
        if kind == "thinking":
            return self.assembly.add("", block.get("thinking") or "")
        if kind != "tool_use":
            return None
        call = self._calls[index] = len(self._calls)
        given = block.get("input")
        arguments = orjson.dumps(given).decode() if given else ""  # at once from some compatible servers
        if given:
            self._has_input.add(call)
        function = {"name": block["name"], "arguments": arguments}
        return self.assembly.add(tool_calls=[{"index": call, "id": block["id"], "function": function}])

    def _read_delta(self, index: int, delta: Mapping[str, Any]) -> Chunk | None:
        kind = delta.get("type")
        if kind == "text_delta":
            return self.assembly.add(delta["text"])
        if kind == "thinking_delta":
            return self.assembly.add("", delta["thinking"])
        if kind == "input_json_delta" and index in self._calls and delta["partial_json"]:
            return self._add_arguments(self._calls[index], delta["partial_json"])
        return None  # signatures, citations, input of tools that run at the provider's

    def _stop_block(self, index: int) -> Chunk | None:
        """Returns the arguments of a call that had none: its input is empty, but must be JSON all the same."""
        call = self._calls.get(index)
        return None if call is None or call in self._has_input else self._add_arguments(call, "{}")

    def _add_arguments(self, call: int, arguments: str) -> Chunk | None:
        self._has_input.add(call)
        return self.assembly.add(tool_calls=[{"index": call, "function": {"arguments": arguments}}])
