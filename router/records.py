"""What a request leaves in the trace log: one record a call, with the columns of a labelled trace and a few more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import BackendError, Query
from .answer import Answer
from .cascade import Step
from .content import Content, content_columns
from .decision import Decision, plain

WINNERS = ("this", "other", "tie")
LEFT = "Left"  # in the column `error`: broken off before its end


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRef:
    """By what an answer is found in the log."""

    trace_id: str
    backend: str


def records_of(query: Query, answer: Answer, *, content: Content) -> list[dict[str, Any]]:
    """Returns one record for every call that was made."""
    return [
        _record(
            step, place, trace_id=answer.trace_id, decision=answer.decision, is_final=place == answer.outcome.chosen
        )
        | content_columns(content, query, step.completion)
        for place, step in enumerate(answer.steps)
    ]


def failure_records(
    query: Query, causes: Mapping[str, BackendError], *, trace_id: str, decision: Decision, content: Content
) -> list[dict[str, Any]]:
    """Returns one record for every call of a request that got no answer; `causes` in the order of the calls."""
    steps = [
        Step(backend=name, completion=None, error=error, confidence=0.0, cost_usd=0.0) for name, error in causes.items()
    ]
    return [
        _record(step, place, trace_id=trace_id, decision=decision, is_final=False)
        | content_columns(content, query, None)
        for place, step in enumerate(steps)
    ]


def left_record(backend: str, *, trace_id: str, decision: Decision) -> dict[str, Any]:
    """Returns the record of a request that was broken off while a backend was asked."""
    return {
        "query_id": trace_id,
        "backend": backend,
        "policy": decision.policy.name,
        "final": False,
        "difficulty": round(decision.estimates.difficulty, 6),
        "error": LEFT,
    }


def refusal_record(trace_id: str, kind: str, *, policy: str | None) -> dict[str, Any]:
    """Returns the record of a request that asked nobody; `kind` says why."""
    return {"query_id": trace_id, "backend": None, "policy": policy, "final": False, "error": kind}


def feedback_record(answer: AnswerRef, score: float) -> dict[str, Any]:
    """Returns the record by which a score that arrives later finds its trace."""
    return {"query_id": answer.trace_id, "backend": answer.backend, "score": score}


def comparison_record(this: AnswerRef, other: AnswerRef, winner: str) -> dict[str, Any]:
    """Returns the record by which a comparison that arrives later finds its two traces."""
    return {
        "query_id": this.trace_id,
        "backend": this.backend,
        "other_query_id": other.trace_id,
        "other_backend": other.backend,
        "winner": winner,
    }


def _record(step: Step, place: int, *, trace_id: str, decision: Decision, is_final: bool) -> dict[str, Any]:
    record: dict[str, Any] = {
        "query_id": trace_id,
        "backend": step.backend,
        "policy": decision.policy.name,
        "step": place,
        "final": is_final,
        "cost_usd": step.cost_usd,
        "confidence": plain(round(step.confidence, 6)),
        "difficulty": plain(round(decision.estimates.difficulty, 6)),
        "error": type(step.error).__name__ if step.error else None,
    }
    if step.completion is not None:
        usage = step.completion.usage
        record |= {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "latency_s": step.completion.latency_s,
        }
    return record
