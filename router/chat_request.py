"""The bodies of requests to the sidecar, read into values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

import orjson

from ..backends import InvalidRequest, Query
from .call_fields import read_call_fields
from .headers import wishes_in
from .http_error import HttpError
from .openai_format import TRACE_PREFIX
from .policy import Wishes
from .router import make_query


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request for a chat completion."""

    query: Query
    model: str | None  # a policy or a backend; None: the default policy
    wishes: Wishes
    is_stream: bool
    with_usage: bool

    @property
    def with_logprobs(self) -> bool:
        """Whether the client asked for log-probabilities; backends may have been asked all the same."""
        return bool(self.query.params.get("logprobs"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What an answer was worth."""

    trace_id: str
    score: float
    backend: str | None


def read_chat_request(body: bytes, headers: Iterable[tuple[bytes, bytes]], *, trace_id: str) -> ChatRequest:
    """Returns the request in a body and its headers; of a wish in both, the body's holds.

    Raises:
        HttpError, InvalidRequest, ConfigError: it is malformed; the text says where.
    """
    given = read_object(body)
    model, messages = given.pop("model", None), given.pop("messages", None)
    is_stream = given.pop("stream", None)
    if model is not None and not isinstance(model, str):
        raise InvalidRequest(f"model: expected the name of a policy or a backend, got {model!r:.80}")
    if is_stream is not None and not isinstance(is_stream, bool):
        raise InvalidRequest(f"stream: expected true or false, got {is_stream!r:.80}")
    call = read_call_fields(given)
    return ChatRequest(
        query=make_query(None, () if messages is None else messages, call.params, id=trace_id),
        model=model,
        wishes=_over(call.wishes, wishes_in(headers)),
        is_stream=bool(is_stream),
        with_usage=call.with_usage,
    )


def read_feedback(body: bytes) -> Feedback:
    """Returns the feedback in a body; its trace id may also be the `id` of a reply.

    Raises:
        InvalidRequest: it is malformed; the text says where.
    """
    given = read_object(body)
    trace_id, score, backend = given.get("trace_id"), given.get("score"), given.get("backend")
    unknown = given.keys() - {"trace_id", "score", "backend"}
    if unknown:
        raise InvalidRequest(f"unknown field {min(unknown)!r:.80}; expected trace_id, score and perhaps backend")
    if not isinstance(trace_id, str) or not trace_id:
        raise InvalidRequest("trace_id: expected the x-penstock-trace-id of an answer")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InvalidRequest(f"score: expected a number from 0 to 1, got {score!r:.80}")
    if backend is not None and not isinstance(backend, str):
        raise InvalidRequest(f"backend: expected the name of a backend, got {backend!r:.80}")
    return Feedback(trace_id=trace_id.removeprefix(TRACE_PREFIX), score=float(score), backend=backend)


def read_object(body: bytes) -> dict[str, Any]:
    """Returns the JSON object that a body is.

    Raises:
        HttpError: it is none; the text names the position.
    """
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HttpError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(value, dict):
        raise HttpError(400, "the body is not a JSON object", code="invalid_json")
    return value


def _over(first: Wishes, second: Wishes) -> Wishes:
    """Returns the second wishes with the first ones over them."""
    given = {field.name: value for field in fields(first) if (value := getattr(first, field.name)) is not None}
    return replace(second, **given) if given else second
