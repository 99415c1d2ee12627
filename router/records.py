"""What an answer leaves in the trace log: one record a call, with the columns of a labelled trace and a few more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends import BackendError, Query
from .answer import Answer
from .cascade import Step
from .decision import Decision


def records_of(query: Query, answer: Answer, *, with_content: bool) -> list[dict[str, Any]]:
    """Returns one record for every call that was made; without content, nothing that the user or a model wrote."""
    return [
        _record(
            query,
            step,
            place,
            trace_id=answer.trace_id,
            decision=answer.decision,
            is_final=place == answer.outcome.chosen,
            with_content=with_content,
        )
        for place, step in enumerate(answer.steps)
    ]


def failure_records(
    query: Query, causes: Mapping[str, BackendError], *, trace_id: str, decision: Decision, with_content: bool
) -> list[dict[str, Any]]:
    """Returns one record for every call of a request that got no answer; `causes` in the order of the calls."""
    steps = [
        Step(backend=name, completion=None, error=error, confidence=0.0, cost_usd=0.0) for name, error in causes.items()
    ]
    return [
        _record(query, step, place, trace_id=trace_id, decision=decision, is_final=False, with_content=with_content)
        for place, step in enumerate(steps)
    ]


def feedback_record(trace_id: str, *, backend: str, score: float) -> dict[str, Any]:
    """Returns the record by which a score that arrives later finds its trace."""
    return {"query_id": trace_id, "backend": backend, "score": score}


def _record(
    query: Query, step: Step, place: int, *, trace_id: str, decision: Decision, is_final: bool, with_content: bool
) -> dict[str, Any]:
    record: dict[str, Any] = {
        "query_id": trace_id,
        "backend": step.backend,
        "policy": decision.policy.name,
        "step": place,
        "final": is_final,
        "cost_usd": step.cost_usd,
        "confidence": round(step.confidence, 6),
        "difficulty": round(decision.estimates.difficulty, 6),
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
        if with_content:
            record["response"] = step.completion.text
            record["logprobs"] = step.completion.logprobs
            record["reasoning_logprobs"] = step.completion.reasoning_logprobs
    if with_content:
        record["messages"] = query.messages
    return record
