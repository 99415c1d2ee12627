"""What a client tells later of an answer."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends import InvalidRequest
from .formats.chat import TRACE_PREFIX
from .formats.messages import MESSAGE_PREFIX
from .formats.request import read_object
from .formats.responses import RESPONSE_PREFIX

_MOST_SIGNS = 200  # of a trace id: it is written to the trace log as it comes


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What an answer was worth."""

    trace_id: str
    score: float
    backend: str | None


def read_feedback(body: bytes) -> Feedback:
    """Returns the feedback in a body; its trace id may also be the `id` of a reply that we wrote.

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
    if len(trace_id) > _MOST_SIGNS:
        raise InvalidRequest(f"trace_id: expected at most {_MOST_SIGNS} signs, got {len(trace_id)}")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InvalidRequest(f"score: expected a number from 0 to 1, got {score!r:.80}")
    if backend is not None and not isinstance(backend, str):
        raise InvalidRequest(f"backend: expected the name of a backend, got {backend!r:.80}")
    for prefix in (TRACE_PREFIX, MESSAGE_PREFIX, RESPONSE_PREFIX):
        trace_id = trace_id.removeprefix(prefix)
    return Feedback(trace_id=trace_id, score=float(score), backend=backend)
