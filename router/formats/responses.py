"""OpenAI's Responses API, without memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends import Completion, Usage
from ..answer import Answer, AnswerChunk
from ..http_error import HttpError
from .chat import logprobs_of, openai_error
from .events import COMMENT, encode_event
from .format import Reading, Request
from .responses_request import read_responses
from .schemas import ANYTHING, COUNT, FLAG, SHARE, TEXT, WARMTH, Schema, either, fields, listed, one_of

RESPONSE_PREFIX = "resp_"
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}  # why a response is incomplete
# Fields of a request that its response repeats, with what stands there where they were not given.
_REPEATED: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_TEXT_FIELDS = {"output_text": "text", "refusal": "refusal"}  # of the parts of a message, by their type
_Event = tuple[str, dict[str, Any]]  # its type and the rest of its body


_PART = fields("type", "text", type=one_of("input_text", "output_text"), text=TEXT)
_ITEM = either(
    fields(
        "role",
        "content",
        type=one_of("message"),
        role=one_of("system", "developer", "user", "assistant"),
        content=either(TEXT, listed(_PART)),
    ),
    fields(
        "type", "call_id", "name", "arguments", type=one_of("function_call"), call_id=TEXT, name=TEXT, arguments=TEXT
    ),
    fields("type", "call_id", "output", type=one_of("function_call_output"), call_id=TEXT, output=TEXT),
)


class ResponsesFormat:
    """OpenAI's Responses API."""

    name = "responses"
    keep_alive = COMMENT
    fields: Mapping[str, Schema] = {
        "input": either(TEXT, listed(_ITEM, least=1)),
        "instructions": TEXT,
        "max_output_tokens": COUNT,
        "temperature": WARMTH,
        "top_p": SHARE,
        "reasoning": fields(effort=TEXT),
        "text": fields(format=fields("type", type=one_of("text", "json_object", "json_schema"), schema=ANYTHING)),
        "tools": listed(fields("type", "name", type=one_of("function"), name=TEXT, parameters=ANYTHING)),
        "tool_choice": either(one_of("auto", "none", "required"), ANYTHING),
        "metadata": ANYTHING,
        "store": FLAG,
        "user": TEXT,
    }
    required: tuple[str, ...] = ("input",)

    def read(self, body: Mapping[str, Any]) -> Reading:
        """Returns what a body says."""
        return read_responses(body)

    def writer(self, request: Request, *, created: int) -> ResponsesWriter:
        """Returns what writes the reply to one request."""
        return ResponsesWriter(request, created=created)

    def error_body(self, error: HttpError, *, trace_id: str) -> dict[str, Any]:
        """Returns the body of an error reply."""
        return openai_error(error)


class ResponsesWriter:
    """Writes one response. Its items are told apart by a key: reasoning, message, or the place of a tool call."""

    def __init__(self, request: Request, *, created: int) -> None:
        original = request.query.original
        given = {} if original is None else original.body
        self._trace_id = request.query.id
        self._created = created
        self._with_logprobs = bool(request.query.params.get("logprobs"))
        self._repeated = {
            field: neutral if given.get(field) is None else given[field] for field, neutral in _REPEATED.items()
        }
        self._n_events = 0
        self._items: dict[str, dict[str, Any]] = {}  # those of a stream, as far as they have come

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Returns the body of a whole reply."""
        completion = answer.completion
        items = []
        if completion.reasoning:
            items.append(self._item("reasoning") | {"summary": [_summary(completion.reasoning)]})
        if completion.text or not completion.tool_calls:
            content = [self._part(_kind_of(completion), completion.text, completion)]
            items.append(self._item("message") | {"status": _status_of(completion), "content": content})
        for place, call in enumerate(completion.tool_calls):
            done = {"status": _status_of(completion), "arguments": call["function"]["arguments"] or "{}"}
            items.append(self._call_item(str(place), call) | done)
        return self._ended(answer, items)

    def piece(self, chunk: AnswerChunk) -> bytes:
        """Returns the events that one piece comes to."""
        events: list[_Event] = []
        if not self._n_events:
            response = self._frame(chunk.backend) | {"status": "in_progress"}
            events += [("response.created", {"response": response}), ("response.in_progress", {"response": response})]
        if chunk.reasoning:
            events += self._add_reasoning(chunk.reasoning)
        if chunk.text:
            events += self._add_text(chunk.text, _kind_of(chunk))
        for call in chunk.tool_calls:
            events += self._add_call(call)
        if chunk.answer is not None:
            events += self._close(chunk.answer.completion)
            body = self._ended(chunk.answer, list(self._items.values()))
            events.append((f"response.{body['status']}", {"response": body}))
        return b"".join(self._encoded(kind, body) for kind, body in events)

    def failure(self, error: HttpError) -> bytes:
        """Returns the event that ends a stream which has begun."""
        return self._encoded("error", {"code": error.code, "message": str(error), "param": None})

    def _encoded(self, kind: str, body: dict[str, Any]) -> bytes:
        number = self._n_events
        self._n_events += 1
        return encode_event({"type": kind, "sequence_number": number, **body}, kind)

    def _add_reasoning(self, text: str) -> list[_Event]:
        events: list[_Event] = []
        at = self._begun("reasoning")
        if at is None:
            events, at = self._begin("reasoning", self._item("reasoning") | {"summary": []})
            self._items["reasoning"]["summary"] = [_summary("")]
            part = {**at, "summary_index": 0, "part": _summary("")}
            events.append(("response.reasoning_summary_part.added", part))
        self._items["reasoning"]["summary"][0]["text"] += text
        delta = {**at, "summary_index": 0, "delta": text}
        return [*events, ("response.reasoning_summary_text.delta", delta)]

    def _add_text(self, text: str, kind: str) -> list[_Event]:
        """Returns the events for text of a kind of part: every kind has one part."""
        events: list[_Event] = []
        at = self._begun("message")
        if at is None:
            events, at = self._begin("message", self._item("message") | {"status": "in_progress", "content": []})
            self._items["message"]["content"] = []
        parts = self._items["message"]["content"]
        place = next((place for place, part in enumerate(parts) if part["type"] == kind), len(parts))
        at["content_index"] = place
        if place == len(parts):
            parts.append(self._part(kind, "", None))
            events.append(("response.content_part.added", {**at, "part": self._part(kind, "", None)}))
        parts[place][_TEXT_FIELDS[kind]] += text
        told: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        return [*events, (f"response.{kind}.delta", {**at, "delta": text, **told})]

    def _add_call(self, call: Mapping[str, Any]) -> list[_Event]:
        key, function = str(call.get("index", 0)), call.get("function") or {}
        events: list[_Event] = []
        at = self._begun(key)
        if at is None:
            events, at = self._begin(key, self._call_item(key, call) | {"status": "in_progress", "arguments": ""})
        arguments = function.get("arguments") or ""
        if not arguments:
            return events
        self._items[key]["arguments"] += arguments
        return [*events, ("response.function_call_arguments.delta", {**at, "delta": arguments})]

    def _begun(self, key: str) -> dict[str, Any] | None:
        """Returns where an item stands; None where it has not begun."""
        if key not in self._items:
            return None
        return {"item_id": self._items[key]["id"], "output_index": list(self._items).index(key)}

    def _begin(self, key: str, item: dict[str, Any]) -> tuple[list[_Event], dict[str, Any]]:
        """Returns the events after which an item has begun, and where it stands.

        Every item stays open to the end: text may come back after a call, and two calls may come in turns.
        """
        place = len(self._items)
        self._items[key] = dict(item)
        added = ("response.output_item.added", {"output_index": place, "item": item})
        return [added], {"item_id": item["id"], "output_index": place}

    def _close(self, completion: Completion) -> list[_Event]:
        """Returns the events after which every item is done."""
        events: list[_Event] = []
        if not self._items:
            events += self._add_text("", "output_text")[:-1]
        for place, (key, item) in enumerate(self._items.items()):
            at = {"item_id": item["id"], "output_index": place}
            if key == "reasoning":
                part = item["summary"][0]
                at |= {"summary_index": 0}
                events.append(("response.reasoning_summary_text.done", {**at, "text": part["text"]}))
                events.append(("response.reasoning_summary_part.done", {**at, "part": part}))
            elif key == "message":
                events += self._close_parts(item, at, completion)
            else:
                if not item["arguments"]:  # of some servers, where there are none; it must be JSON all the same
                    events += self._add_call({"index": key, "function": {"arguments": "{}"}})
                told = {"name": item["name"], "arguments": item["arguments"]}
                events.append(("response.function_call_arguments.done", {**at, **told}))
            if "status" in item:
                item["status"] = _status_of(completion)
            events.append(("response.output_item.done", {"output_index": place, "item": item}))
        return events

    def _close_parts(self, item: dict[str, Any], at: dict[str, Any], completion: Completion) -> list[_Event]:
        """Returns the events after which every part of a message is done."""
        events: list[_Event] = []
        for place, begun in enumerate(item["content"]):
            kind = begun["type"]
            field = _TEXT_FIELDS[kind]
            part = item["content"][place] = self._part(kind, begun[field], completion)
            told = {name: part[name] for name in (field, "logprobs") if name in part}
            events.append((f"response.{kind}.done", {**at, "content_index": place, **told}))
            events.append(("response.content_part.done", {**at, "content_index": place, "part": part}))
        return events

    def _ended(self, answer: Answer, items: list[dict[str, Any]]) -> dict[str, Any]:
        """Returns the body of a response that has ended."""
        reason = _reason_of(answer.completion)
        return self._frame(answer.backend) | {
            "status": _status_of(answer.completion),
            "incomplete_details": {"reason": reason} if reason else None,
            "output": items,
            "usage": _usage_body(answer.completion.usage),
            "penstock": answer.as_dict(),
        }

    def _frame(self, backend: str) -> dict[str, Any]:
        return {
            "id": RESPONSE_PREFIX + self._trace_id,
            "object": "response",
            "created_at": self._created,
            "model": backend,
            "output": [],
            "background": False,
            "error": None,
            "incomplete_details": None,
            "previous_response_id": None,
            "store": False,
            "usage": None,
            **self._repeated,
        }

    def _item(self, kind: str) -> dict[str, Any]:
        role = {"role": "assistant"} if kind == "message" else {}
        return {"id": f"{'msg' if role else 'rs'}_{self._trace_id}", "type": kind, **role}

    def _call_item(self, place: str, call: Mapping[str, Any]) -> dict[str, Any]:
        function = call.get("function") or {}
        return {
            "id": f"fc_{self._trace_id}_{place}",
            "type": "function_call",
            "call_id": call.get("id"),
            "name": function.get("name"),
        }

    def _part(self, kind: str, text: str, completion: Completion | None) -> dict[str, Any]:
        if kind == "refusal":
            return {"type": kind, "refusal": text}
        told = logprobs_of(completion) if self._with_logprobs and completion is not None else None
        return {"type": kind, "text": text, "annotations": [], "logprobs": told or []}


def _kind_of(told: Completion | AnswerChunk) -> str:
    """Returns what kind of part a text stands in."""
    return "refusal" if told.is_refusal else "output_text"


def _reason_of(completion: Completion) -> str | None:
    """Returns why a response is incomplete; None where it is not, as one that is a refusal is not."""
    return None if completion.is_refusal else _REASONS.get(completion.finish_reason)


def _status_of(completion: Completion) -> str:
    return "incomplete" if _reason_of(completion) else "completed"


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _usage_body(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
