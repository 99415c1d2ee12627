"""What a request leaves in the trace log: one record a call, with the columns of a labelled trace and a few more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..backends import Completion, Query
from .answer import Answer
from .cascade import Step
from .content import Content, content_columns
from .decision import Decision, plain, rounded

WINNERS = ("this", "other", "tie")
GAVE_WAY = "GaveWay"  # in the column `error`: a shadow call that was in the way of a request, or of the router's end


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRef:
    """By what an answer is found in the log."""

    trace_id: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowCall:
    """One call whose answer nobody gets."""

    backend: str
    propensity: float  # the chance with which it was made
    completion: Completion | None  # None: it failed
    error: str | None  # how
    confidence: float
    cost_usd: float


def records_of(query: Query, answer: Answer, *, content: Content) -> list[dict[str, Any]]:
    """Returns one record for every call that was made."""
    return [
        _record(
            step, place, trace_id=answer.trace_id, decision=answer.decision, is_final=place == answer.outcome.chosen
        )
        | _said(step, query, content)
        for place, step in enumerate(answer.steps)
    ]


def unanswered_records(
    query: Query, steps: Sequence[Step], *, trace_id: str, decision: Decision, content: Content
) -> list[dict[str, Any]]:
    """Returns one record for every call of a request that got no answer."""
    return [
        _record(step, place, trace_id=trace_id, decision=decision, is_final=False) | _said(step, query, content)
        for place, step in enumerate(steps)
    ]


def shadow_record(query: Query, answer: Answer, call: ShadowCall, *, content: Content) -> dict[str, Any]:
    """Returns the record of a shadow call, beside those of the request that it was made for."""
    decision = answer.decision
    return {
        "query_id": answer.trace_id,
        "backend": call.backend,
        "policy": decision.policy.name,
        "step": None,
        "final": False,
        "propensity": call.propensity,
        "cost_usd": call.cost_usd,
        "confidence": round(call.confidence, 6),
        "difficulty": round(decision.estimates.difficulty, 6),
        "error": call.error,
        **_measured(call.completion),
        **content_columns(content, query, call.completion),
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
    return {
        "query_id": trace_id,
        "backend": step.backend,
        "policy": decision.policy.name,
        "step": place,
        "final": is_final,
        "propensity": 1.0,  # the decision leaves nothing to chance
        "cost_usd": step.cost_usd,
        "confidence": rounded(step.confidence),
        "difficulty": rounded(decision.estimates.difficulty),
        "error": type(step.error).__name__ if step.error else None,
        "given_up": step.is_given_up,
        **({"draft_of": step.draft_of} if step.draft_of else {}),
        **(
            {"judged": step.judged, "verdict": None if step.verdict is None else plain(step.verdict)}
            if step.judged
            else {}
        ),
        **_measured(step.completion),
    }


def _said(step: Step, query: Query, content: Content) -> dict[str, Any]:
    """Returns the columns on a query and the answer of a call; half an answer teaches nothing, and is left out."""
    if step.judged:  # what was asked of a judge is no query of anybody's
        return {}
    return content_columns(content, query, None if step.is_given_up else step.completion)


def _measured(completion: Completion | None) -> dict[str, Any]:
    if completion is None:
        return {}
    return {
        "input_tokens": completion.usage.input_tokens,
        "output_tokens": completion.usage.output_tokens,
        "reasoning_tokens": completion.usage.reasoning_tokens,
        "latency_s": completion.latency_s,
    }
