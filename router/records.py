"""What an answer leaves in the trace log: one record a call, with the columns of a labelled trace and a few more."""

from __future__ import annotations

from typing import Any

from ..backends import Query
from .answer import Answer


def records_of(query: Query, answer: Answer, *, with_content: bool) -> list[dict[str, Any]]:
    """Returns one record for every call that was made; without content, nothing that the user or a model wrote."""
    records = []
    for place, step in enumerate(answer.steps):
        record: dict[str, Any] = {
            "query_id": answer.trace_id,
            "backend": step.backend,
            "policy": answer.decision.policy.name,
            "step": place,
            "final": place == answer.outcome.chosen,
            "cost_usd": step.cost_usd,
            "confidence": round(step.confidence, 6),
            "difficulty": round(answer.decision.estimates.difficulty, 6),
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
        if with_content:
            record["messages"] = query.messages
        records.append(record)
    return records


def feedback_record(trace_id: str, *, backend: str, score: float) -> dict[str, Any]:
    """Returns the record by which a score that arrives later finds its trace."""
    return {"query_id": trace_id, "backend": backend, "score": score}
