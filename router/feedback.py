"""What a client tells later of an answer: a score, a thumb up or down, or which of two was better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import InvalidRequest
from .formats.chat import TRACE_PREFIX
from .formats.messages import MESSAGE_PREFIX
from .formats.request import read_object
from .formats.responses import RESPONSE_PREFIX
from .records import WINNERS

_MOST_SIGNS = 200  # of a trace id: it is written to the trace log as it comes
_THUMBS = {"up": 1.0, "down": 0.0}
_SCORED = ("trace_id", "backend", "score", "thumbs")
_COMPARED = ("trace_id", "backend", "other_trace_id", "other_backend", "winner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What an answer was worth."""

    trace_id: str
    score: float
    backend: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Which of two answers was better: `this`, `other` or `tie`."""

    trace_id: str
    backend: str | None
    other_trace_id: str
    other_backend: str | None
    winner: str


def read_feedback(body: bytes) -> Feedback | Comparison:
    """Returns the feedback in a body; its trace id may also be the `id` of a reply that we wrote.

    Raises:
        InvalidRequest: it is malformed; the text says where.
    """
    given = read_object(body)
    is_comparison = any(field in given for field in _COMPARED[2:])
    known = _COMPARED if is_comparison else _SCORED
    unknown = given.keys() - set(known)
    if unknown:
        raise InvalidRequest(f"unknown field {min(unknown)!r:.80}; expected some of {', '.join(known)}")
    trace_id, backend = _trace_id(given, "trace_id"), _backend(given, "backend")
    if not is_comparison:
        return Feedback(trace_id=trace_id, backend=backend, score=_score(given))
    winner = given.get("winner")
    if winner not in WINNERS:
        raise InvalidRequest(f"winner: expected one of {', '.join(WINNERS)}, got {winner!r:.80}")
    return Comparison(
        trace_id=trace_id,
        backend=backend,
        other_trace_id=_trace_id(given, "other_trace_id") if "other_trace_id" in given else trace_id,
        other_backend=_backend(given, "other_backend"),
        winner=winner,
    )


def _trace_id(given: Mapping[str, Any], field: str) -> str:
    trace_id = given.get(field)
    if not isinstance(trace_id, str) or not trace_id:
        raise InvalidRequest(f"{field}: expected the x-penstock-trace-id of an answer")
    if len(trace_id) > _MOST_SIGNS:
        raise InvalidRequest(f"{field}: expected at most {_MOST_SIGNS} signs, got {len(trace_id)}")
    for prefix in (TRACE_PREFIX, MESSAGE_PREFIX, RESPONSE_PREFIX):
        trace_id = trace_id.removeprefix(prefix)
    return trace_id


def _backend(given: Mapping[str, Any], field: str) -> str | None:
    backend = given.get(field)
    if backend is not None and not isinstance(backend, str):
        raise InvalidRequest(f"{field}: expected the name of a backend, got {backend!r:.80}")
    return backend


def _score(given: Mapping[str, Any]) -> float:
    """Returns the score of an answer, however it is told."""
    if "thumbs" in given:
        thumbs = given["thumbs"]
        if "score" in given:
            raise InvalidRequest("thumbs: expected this or score, not both")
        if not isinstance(thumbs, str) or thumbs not in _THUMBS:
            raise InvalidRequest(f"thumbs: expected up or down, got {thumbs!r:.80}")
        return _THUMBS[thumbs]
    score = given.get("score")
    if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
        raise InvalidRequest(f"score: expected a number from 0 to 1, got {score!r:.80}")
    return float(score)
