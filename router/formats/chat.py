"""OpenAI's chat completions: the form of our own queries, so that reading is little work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...backends import Completion, Usage
from ...backends.lenient import read_json
from ...backends.sse import Event
from ..answer import Answer, AnswerChunk
from ..http_error import HttpError
from .events import COMMENT, encode_event, encode_told
from .format import Reading, Request, make_reading
from .request import object_in
from .schemas import ANYTHING, COUNT, FLAG, SHARE, TEXT, WARMTH, Schema, either, fields, listed, one_of

TRACE_PREFIX = "chatcmpl-"  # of the `id` of a reply that we write, which is otherwise its trace id
DONE = b"data: [DONE]\n\n"
_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


_PART = either(
    fields("type", "text", type=one_of("text"), text=TEXT),
    fields("type", "image_url", type=one_of("image_url"), image_url=fields("url", url=TEXT)),
)
_CALL = fields("id", "function", id=TEXT, function=fields("name", "arguments", name=TEXT, arguments=TEXT))
_MESSAGE = fields(
    "role",
    role=one_of("system", "developer", "user", "assistant", "tool"),
    content=either(TEXT, listed(_PART)),
    tool_calls=listed(_CALL),
    tool_call_id=TEXT,
)


class ChatFormat:
    """OpenAI's chat completions."""

    name = "chat"
    keep_alive = COMMENT
    fields: Mapping[str, Schema] = {
        "messages": listed(_MESSAGE, least=1),
        "max_tokens": COUNT,
        "max_completion_tokens": COUNT,
        "temperature": WARMTH,
        "top_p": SHARE,
        "stop": either(TEXT, listed(TEXT)),
        "n": COUNT,
        "logprobs": FLAG,
        "reasoning_effort": TEXT,
        "tools": listed(
            fields("type", "function", type=one_of("function"), function=fields("name", name=TEXT, parameters=ANYTHING))
        ),
        "tool_choice": either(one_of("auto", "none", "required"), ANYTHING),
        "response_format": fields("type", type=one_of("text", "json_object", "json_schema"), json_schema=ANYTHING),
        "stream_options": fields(include_usage=FLAG),
        "user": TEXT,
    }
    required: tuple[str, ...] = ("messages",)

    def read(self, body: Mapping[str, Any]) -> Reading:
        """Returns the messages and the other fields as they came."""
        wants_usage(body)
        params = dict(body)
        messages = params.pop("messages", None)
        return make_reading(messages=() if messages is None else messages, params=params)

    def writer(self, request: Request, *, created: int) -> ChatWriter:
        """Returns what writes the reply to one request."""
        params = request.query.params
        return ChatWriter(
            request.query.id,
            created=created,
            with_usage=wants_usage(params),
            with_logprobs=bool(params.get("logprobs")),
        )

    def error_body(self, error: HttpError, *, trace_id: str) -> dict[str, Any]:
        """Returns the body of an error reply."""
        return openai_error(error)


class ChatWriter:
    """Writes one chat completion; what a provider of this format said goes out as it came."""

    def __init__(self, trace_id: str, *, created: int, with_usage: bool, with_logprobs: bool) -> None:
        self._id = TRACE_PREFIX + trace_id
        self._created = created
        self._with_usage = with_usage
        self._with_logprobs = with_logprobs
        self._is_first = True
        self._held: list[dict[str, Any]] = []  # the provider's last chunk, which is to tell how the answer came about
        self._model = b""  # how the provider's chunks name the model,
        self._renames = b""  # and how ours do,
        self._backend = ""  # after this one

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Returns the body of a whole reply."""
        body = answer.completion.body
        written = self._written(answer) if body is None else self._as_told(body)
        return written | {"model": answer.backend, "penstock": answer.as_dict()}

    def piece(self, chunk: AnswerChunk) -> bytes:
        """Returns the events that one piece comes to."""
        if chunk.events:
            renamed = self._renamed(chunk.events, chunk.backend)
            return renamed or b"".join([self._passed_on(event, chunk.backend) for event in chunk.events])
        events = b"".join(encode_event(body) for body in self.bodies(chunk))
        return events + DONE if chunk.answer is not None else events

    def failure(self, error: HttpError) -> bytes:
        """Returns the event that ends a stream which has begun."""
        return encode_event(error.verbatim or openai_error(error))

    def bodies(self, chunk: AnswerChunk) -> list[dict[str, Any]]:
        """Returns the chunks of a chat completion that one piece in our own words comes to."""
        bodies = self._deltas(chunk) if chunk.body is None else self._unrolled(chunk.body)
        self._is_first = False
        if chunk.answer is not None:
            bodies = self._held + bodies if self._held else bodies + self._ending(chunk, chunk.answer)
            self._held = []
            bodies[-1]["penstock"] = chunk.answer.as_dict()
        for body in bodies:
            body["model"] = chunk.backend
        return bodies

    def _passed_on(self, event: Event, backend: str) -> bytes:
        """Returns the event for a chunk of the provider's; one that may be its last is held back."""
        if event.data == b"[DONE]":
            return b""
        self._is_first = False
        if renamed := self._renamed((event,), backend):
            return renamed
        body = self._as_told(read_json(event.data))
        self._model, self._backend = _named(body.get("model")), backend
        self._renames = _named(backend)
        choices = body.get("choices")
        if not choices and not self._with_usage and body.get("usage"):
            return b""  # we asked for it, nobody else did
        sent, self._held = self._held, []
        is_end = not choices or any(choice.get("finish_reason") for choice in choices)
        (self._held if is_end else sent).append(body)
        return b"".join(encode_event(encode_told(one | {"model": backend})) for one in sent)

    def _renamed(self, events: Sequence[Event], backend: str) -> bytes:
        """Returns events with nothing but the model's name changed, without reading them; empty where that is not all.

        Within a text of JSON quotes are escaped, so that what is found here is structure.
        """
        if self._held or backend != self._backend:
            return b""
        n_events = len(events)
        data = b"\n\ndata: ".join([data for _, data in events])
        n_open = data.count(b'"finish_reason":null')
        has_more = b'"choices":[]' in data or (b'"logprobs":{' in data and not self._with_logprobs)
        is_like_ours = data.count(b"\n") == 2 * n_events - 2 and data.count(self._model) == n_events <= n_open
        if has_more or not is_like_ours or n_open != data.count(b'"finish_reason":'):
            return b""
        return b"data: %b\n\n" % data.replace(self._model, self._renames)

    def _unrolled(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Returns a whole reply of the provider as the chunks of a stream."""
        whole = self._as_told(body)
        usage = whole.pop("usage", None)
        frame = whole | {"object": "chat.completion.chunk"}
        choices = [
            {name: value for name, value in choice.items() if name not in ("message", "finish_reason")}
            | {"delta": _with_places(choice.get("message") or {}), "finish_reason": None}
            for choice in whole["choices"]
        ]
        ends = [
            {"index": choice.get("index", 0), "delta": {}, "finish_reason": choice.get("finish_reason")}
            for choice in whole["choices"]
        ]
        bodies = [frame | {"choices": choices}]
        self._held = [frame | {"choices": ends}]
        if self._with_usage:
            bodies += self._held
            self._held = [frame | {"choices": [], "usage": usage}]
        return bodies

    def _as_told(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Returns a body of the provider without log-probabilities that we asked for and nobody else did."""
        told = dict(body)
        if not self._with_logprobs and told.get("choices"):
            told["choices"] = [
                choice | {"logprobs": None} if choice.get("logprobs") else choice for choice in told["choices"]
            ]
        return told

    def _written(self, answer: Answer) -> dict[str, Any]:
        completion = answer.completion
        message: dict[str, Any] = {
            "role": "assistant",
            "content": completion.text or None if completion.tool_calls else completion.text,
        }
        if completion.is_refusal:
            message |= {"content": None, "refusal": completion.text}
        if completion.reasoning:
            message["reasoning_content"] = completion.reasoning
        if completion.tool_calls:
            message["tool_calls"] = list(completion.tool_calls)
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": _finish_of(completion),
            "logprobs": self._logprobs(completion),
        }
        frame = self._frame("chat.completion", answer.backend) | {"id": TRACE_PREFIX + answer.trace_id}
        return frame | {"choices": [choice], "usage": usage_body(completion.usage)}

    def _deltas(self, chunk: AnswerChunk) -> list[dict[str, Any]]:
        delta: dict[str, Any] = {"role": "assistant"} if self._is_first else {}
        if chunk.text:
            delta["refusal" if chunk.is_refusal else "content"] = chunk.text
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.tool_calls:
            delta["tool_calls"] = list(chunk.tool_calls)
        return [self._chunk(chunk.backend, delta, None, None)] if delta else []

    def _ending(self, chunk: AnswerChunk, answer: Answer) -> list[dict[str, Any]]:
        completion = answer.completion
        # Only now are all known, and a client that adds up chunks finds them wherever they stand.
        logprobs = self._logprobs(completion)
        bodies = [self._chunk(chunk.backend, {}, _finish_of(completion), logprobs)]
        if self._with_usage:
            frame = self._frame("chat.completion.chunk", chunk.backend)
            bodies.append(frame | {"choices": [], "usage": usage_body(completion.usage)})
        return bodies

    def _chunk(
        self, backend: str, delta: dict[str, Any], finish: str | None, logprobs: dict[str, Any] | None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return self._frame("chat.completion.chunk", backend) | {"choices": [choice]}

    def _frame(self, kind: str, backend: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": backend}

    def _logprobs(self, completion: Completion) -> dict[str, Any] | None:
        told = logprobs_of(completion) if self._with_logprobs else None
        return None if told is None else {"content": told}


def _finish_of(completion: Completion) -> str:
    """Returns the reason to stop; here a refusal is told by where its words stand."""
    return "stop" if completion.is_refusal else completion.finish_reason


def _named(model: Any) -> bytes:
    """Returns how a chunk names its model."""
    return b'"model":' + encode_told(model)


def wants_usage(params: Mapping[str, Any]) -> bool:
    """Returns whether a stream is to end with its usage.

    Raises:
        InvalidRequest: `stream_options` is no object.
    """
    return "stream_options" in params and bool(object_in(params, "stream_options").get("include_usage"))


def usage_body(usage: Usage) -> dict[str, Any]:
    """Returns the `usage` object of a reply."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def logprobs_of(completion: Completion) -> list[dict[str, Any]] | None:
    """Returns the log-probabilities of the answer's tokens; None where the backend told none."""
    if completion.logprobs is None or completion.tokens is None:
        return None
    pairs = zip(completion.tokens, completion.logprobs, strict=True)
    return [
        {"token": token, "logprob": value, "bytes": list(token.encode("utf-8", "replace")), "top_logprobs": []}
        for token, value in pairs
    ]


def openai_error(error: HttpError) -> dict[str, Any]:
    """Returns the body of an error in OpenAI's form."""
    kind = _KINDS.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    return {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}


def _with_places(message: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a message as a delta, in which tool calls are numbered."""
    calls = message.get("tool_calls")
    return {**message, "tool_calls": [{"index": i, **call} for i, call in enumerate(calls)]} if calls else {**message}
