"""Anthropic's Messages API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from ...backends import Completion, MalformedReply, Usage
from ...backends.lenient import read_json
from ..answer import Answer, AnswerChunk
from ..http_error import HttpError
from .blocks import Blocks
from .events import encode_event, encode_told
from .format import Reading, Request
from .messages_request import read_messages
from .schemas import ANYTHING, COUNT, SHARE, TEXT, Schema, either, fields, listed, one_of

MESSAGE_PREFIX = "msg_"
THREAD_UNSUPPORTED = "thread_unsupported_request"  # Anthropic's word, at which its client sends the whole conversation
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_KINDS = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_Event = tuple[str, dict[str, Any]]  # its name and body


_TEXT_BLOCK = fields("type", "text", type=one_of("text"), text=TEXT)
_CONTENT = either(
    TEXT,
    listed(
        either(
            _TEXT_BLOCK,
            fields(
                "type", "source", type=one_of("image"), source=fields("type", type=one_of("base64", "url"), url=TEXT)
            ),
            fields("type", "id", "name", "input", type=one_of("tool_use"), id=TEXT, name=TEXT, input=ANYTHING),
            fields("type", "tool_use_id", type=one_of("tool_result"), tool_use_id=TEXT, content=TEXT),
            fields("type", "thinking", type=one_of("thinking"), thinking=TEXT, signature=TEXT),
        )
    ),
)


class MessagesFormat:
    """Anthropic's Messages API."""

    name = "messages"
    keep_alive = encode_event({"type": "ping"}, "ping")
    fields: Mapping[str, Schema] = {
        "messages": listed(fields("role", "content", role=one_of("user", "assistant"), content=_CONTENT), least=1),
        "max_tokens": COUNT,
        "system": either(TEXT, listed(_TEXT_BLOCK)),
        "temperature": SHARE,
        "top_p": SHARE,
        "stop_sequences": listed(TEXT),
        "thinking": fields("type", type=one_of("enabled", "disabled", "adaptive"), budget_tokens=COUNT),
        "tools": listed(fields("name", "input_schema", name=TEXT, description=TEXT, input_schema=ANYTHING)),
        "tool_choice": fields("type", type=one_of("auto", "any", "tool", "none"), name=TEXT),
        "metadata": fields(user_id=TEXT),
    }
    required: tuple[str, ...] = ("messages", "max_tokens")

    def read(self, body: Mapping[str, Any]) -> Reading:
        """Returns what a body says."""
        return read_messages(body)

    def writer(self, request: Request, *, created: int) -> MessagesWriter:
        """Returns what writes the reply to one request."""
        return MessagesWriter(request.query.id)

    def error_body(self, error: HttpError, *, trace_id: str) -> dict[str, Any]:
        """Returns the body of an error reply."""
        return anthropic_error(error) | {"request_id": trace_id}


class MessagesWriter:
    """Writes one message; what a provider of this format said goes out as it came."""

    def __init__(self, trace_id: str) -> None:
        self._id = MESSAGE_PREFIX + trace_id
        self._held: list[tuple[str, bytes]] = []  # the provider's last events, one is to tell how the answer came about
        self._blocks = Blocks()
        self._has_begun = False

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Returns the body of a whole reply."""
        completion = answer.completion
        if completion.body is not None:
            return {**completion.body, "model": answer.backend, "penstock": answer.as_dict()}
        message = self._message(answer.backend) | {"content": _blocks_of(completion, answer.backend)}
        return message | {
            "stop_reason": STOP_REASONS.get(completion.finish_reason, "end_turn"),
            "usage": _usage_body(completion.usage),
            "penstock": answer.as_dict(),
        }

    def piece(self, chunk: AnswerChunk) -> bytes:
        """Returns the events that one piece comes to."""
        if chunk.events:
            return self._passed_on(chunk)
        events = self._unrolled(chunk.body, chunk.backend) if chunk.body is not None else self._written(chunk)
        written = b"".join(encode_event({"type": name, **body}, name) for name, body in events)
        return written if chunk.answer is None else written + self._ending(chunk.answer)

    def failure(self, error: HttpError) -> bytes:
        """Returns the event that ends a stream which has begun."""
        return encode_event(error.verbatim or anthropic_error(error), "error")

    def _passed_on(self, chunk: AnswerChunk) -> bytes:
        """Returns the provider's own events, those that end the message held back."""
        sent: list[bytes] = []
        for event in chunk.events:
            data = event.data
            name = event.name if event.name != "message" else str(read_json(data).get("type"))
            if name == "message_start":
                body = read_json(data)
                if isinstance(begun := body.get("message"), dict):
                    data = encode_told(body | {"message": begun | {"model": chunk.backend}})
            if name in ("message_delta", "message_stop"):
                self._held.append((name, data))
            else:
                sent.append(encode_event(data, name))
        self._has_begun = True
        return b"".join(sent)

    def _ending(self, answer: Answer) -> bytes:
        """Returns the events that end a message, and tell how it came about."""
        told = answer.as_dict()
        held, self._held = self._held, []
        if held:
            if held[-1][0] != "message_stop":  # cut off after all that matters
                held.append(("message_stop", b'{"type":"message_stop"}'))
            return b"".join(
                encode_event(read_json(data) | {"penstock": told} if name == "message_delta" else data, name)
                for name, data in held
            )
        completion = answer.completion
        delta = {"stop_reason": STOP_REASONS.get(completion.finish_reason, "end_turn"), "stop_sequence": None}
        ended = {"delta": delta, "usage": _usage_body(completion.usage), "penstock": told}
        events: list[_Event] = [*self._blocks.end(), ("message_delta", ended), ("message_stop", {})]
        return b"".join(encode_event({"type": name, **body}, name) for name, body in events)

    def _unrolled(self, body: Mapping[str, Any], backend: str) -> list[_Event]:
        """Returns a whole message of the provider as the events of a stream, but for its end."""
        self._has_begun = True
        empty: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        events: list[_Event] = [("message_start", {"message": {**body, "model": backend} | empty})]
        for place, block in enumerate(body.get("content") or ()):
            beginning, deltas = _unrolled_block(block)
            events.append(("content_block_start", {"index": place, "content_block": beginning}))
            events += [("content_block_delta", {"index": place, "delta": delta}) for delta in deltas]
            events.append(("content_block_stop", {"index": place}))
        ends = {"stop_reason": body.get("stop_reason"), "stop_sequence": body.get("stop_sequence")}
        ended = {"type": "message_delta", "delta": ends, "usage": body.get("usage") or {}}
        self._held = [("message_delta", orjson.dumps(ended)), ("message_stop", b'{"type":"message_stop"}')]
        return events

    def _written(self, chunk: AnswerChunk) -> list[_Event]:
        """Returns the events of a piece in our own form."""
        events: list[_Event] = []
        if not self._has_begun:
            self._has_begun = True
            events.append(("message_start", {"message": self._message(chunk.backend)}))
        if chunk.reasoning:
            events += self._blocks.add_thinking(chunk.reasoning)
        if chunk.text:
            events += self._blocks.add_text(chunk.text)
        for call in chunk.tool_calls:
            events += self._blocks.add_call(call)
        return events

    def _message(self, backend: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": backend,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage_body(Usage()),
        }


def anthropic_error(error: HttpError) -> dict[str, Any]:
    """Returns the body of an error in Anthropic's form."""
    kind = _KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "api_error")
    told: dict[str, Any] = {"type": kind, "message": str(error)}
    if error.code == THREAD_UNSUPPORTED:
        told["details"] = {"error_code": error.code, "unsupported": ["thread"]}
    return {"type": "error", "error": told}


def _usage_body(usage: Usage) -> dict[str, Any]:
    """Returns the `usage` object; what was read from or written to a cache is no part of its `input_tokens`."""
    return {
        "input_tokens": usage.input_tokens - usage.cached_input_tokens - usage.cache_write_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cached_input_tokens,
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }


def _blocks_of(completion: Completion, backend: str) -> list[dict[str, Any]]:
    """Returns the content blocks of a completion.

    Raises:
        MalformedReply: the arguments of a tool call are not the JSON object that they are here.
    """
    blocks: list[dict[str, Any]] = []
    if completion.reasoning:
        blocks.append({"type": "thinking", "thinking": completion.reasoning, "signature": ""})
    if completion.text:
        blocks.append({"type": "text", "text": completion.text})
    for call in completion.tool_calls:
        function = call["function"]
        try:
            given = orjson.loads(function["arguments"] or b"{}")
        except orjson.JSONDecodeError as error:
            raise MalformedReply(f"the arguments of {function['name']} are not JSON", backend=backend) from error
        if not isinstance(given, dict):
            raise MalformedReply(f"the arguments of {function['name']} are not an object", backend=backend)
        blocks.append({"type": "tool_use", "id": call["id"], "name": function["name"], "input": given})
    return blocks


def _unrolled_block(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Returns how a block begins in a stream, and the deltas that make it whole; what is unknown begins whole."""
    kind = block.get("type")
    if kind == "text":
        cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations") or ()]
        return {**block, "text": "", **({"citations": []} if cited else {})}, [
            *cited,
            {"type": "text_delta", "text": block.get("text", "")},
        ]
    if kind == "thinking":
        return {**block, "thinking": "", "signature": ""}, [
            {"type": "thinking_delta", "thinking": block.get("thinking", "")},
            {"type": "signature_delta", "signature": block.get("signature", "")},
        ]
    if kind in ("tool_use", "server_tool_use"):
        arguments = orjson.dumps(block.get("input") or {}).decode()
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": arguments}]
    return dict(block), []
