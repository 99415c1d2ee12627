"""The content blocks of a message of Anthropic's that is streamed, where only one may be open at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from ...backends import MalformedReply

_Event = tuple[str, dict[str, Any]]  # its name and body


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """Something that belongs in one block: how the block begins, should it be new, and a delta if there is one."""

    key: str  # thinking, text or the key of a tool call
    block: Mapping[str, Any]
    delta: Mapping[str, Any] | None


class Blocks:
    """Turns pieces in the order of OpenAI's streams into events in the order of Anthropic's.

    There, tool calls may come in turns, each piece with the number of its call; here, a block that was closed cannot go
    on. So while the arguments of a call are not whole, what belongs elsewhere waits.
    """

    def __init__(self) -> None:
        self._n_blocks = 0
        self._open: str | None = None  # the key of the block that is open
        self._arguments: dict[str, str] = {}  # of every call that has begun, by its key
        self._waiting: list[_Piece] = []

    def add_thinking(self, text: str) -> list[_Event]:
        """Returns the events that a piece of reasoning comes to."""
        block = {"type": "thinking", "thinking": "", "signature": ""}
        return self._add(_Piece(key="thinking", block=block, delta={"type": "thinking_delta", "thinking": text}))

    def add_text(self, text: str) -> list[_Event]:
        """Returns the events that a piece of text comes to."""
        delta = {"type": "text_delta", "text": text}
        return self._add(_Piece(key="text", block={"type": "text", "text": ""}, delta=delta))

    def add_call(self, call: Mapping[str, Any]) -> list[_Event]:
        """Returns the events that a piece of a tool call, in the OpenAI form, comes to."""
        function = call.get("function") or {}
        block: dict[str, Any] = {"type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": {}}
        arguments = function.get("arguments")
        delta = {"type": "input_json_delta", "partial_json": arguments} if arguments else None
        return self._add(_Piece(key=f"tool {call.get('index', 0)}", block=block, delta=delta))

    def end(self) -> list[_Event]:
        """Returns the events after which no block is open, and nothing waits."""
        events: list[_Event] = []
        while self._waiting:
            events += self._put_next()
        return events + self._close()

    def _add(self, piece: _Piece) -> list[_Event]:
        if piece.key != self._open and self._is_unfinished():
            self._waiting.append(piece)
            return []
        events = self._put(piece)
        while self._waiting and not self._is_unfinished():
            events += self._put_next()
        return events

    def _put_next(self) -> list[_Event]:
        """Returns the events of all that waits for the same block as what has waited longest."""
        key = self._waiting[0].key
        events = [event for piece in self._waiting if piece.key == key for event in self._put(piece)]
        self._waiting = [piece for piece in self._waiting if piece.key != key]
        return events

    def _put(self, piece: _Piece) -> list[_Event]:
        events: list[_Event] = []
        key, is_call = piece.key, piece.block["type"] == "tool_use"
        if key != self._open:
            if key in self._arguments:
                if piece.delta is None or not piece.delta["partial_json"].strip():
                    return []
                raise MalformedReply("the arguments of a tool call go on after their end")
            events = self._close()
            self._open = key
            self._n_blocks += 1
            if is_call:
                self._arguments[key] = ""
            events.append(("content_block_start", {"index": self._n_blocks - 1, "content_block": dict(piece.block)}))
        if piece.delta is not None:
            if is_call:
                self._arguments[key] += piece.delta["partial_json"]
            events.append(("content_block_delta", {"index": self._n_blocks - 1, "delta": dict(piece.delta)}))
        return events

    def _close(self) -> list[_Event]:
        if self._open is None:
            return []
        self._open = None
        return [("content_block_stop", {"index": self._n_blocks - 1})]

    def _is_unfinished(self) -> bool:
        """Returns whether the open block is a tool call whose arguments are not whole yet."""
        arguments = self._arguments.get(self._open) if self._open is not None else None
        if arguments is None:
            return False
        if not arguments.rstrip().endswith("}"):
            return True
        try:
            orjson.loads(arguments)
        except orjson.JSONDecodeError:
            return True
        return False
