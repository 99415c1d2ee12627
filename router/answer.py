"""What a caller gets back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import Completion
from ..backends.quick import maker, quick
from ..backends.sse import Event
from .cascade import Outcome, Step
from .decision import Decision, rounded
from .errors import told_of


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """A routed answer, with the path it took and what it cost."""

    trace_id: str
    decision: Decision
    outcome: Outcome
    completion: Completion
    latency_s: float

    @property
    def text(self) -> str:
        """The answer itself."""
        return self.completion.text

    @property
    def backend(self) -> str:
        """The backend whose answer this is."""
        return self.outcome.step.backend

    @property
    def path(self) -> str:
        """The backends asked, in order, such as `small>lrm@low`."""
        return self.outcome.path

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every call that was made."""
        return self.outcome.steps

    @property
    def cost_usd(self) -> float:
        """What all calls cost together."""
        return self.outcome.cost_usd

    @property
    def confidence(self) -> float:
        """P(this answer is correct); NaN where its backend was asked for by name."""
        return self.outcome.step.confidence

    @property
    def best_cost_usd(self) -> float:
        """What one call of the backend with the best estimate cost, or where it was not asked, was expected to.

        Of a backend that was named, nothing is known but what it cost: no better one could have been asked.
        """
        if self.decision.policy.names_backend is not None:
            return self.cost_usd
        outlook = self.decision.outlook
        best = int(outlook.quality.argmax())
        for step in self.steps:
            if (
                step.backend == outlook.backends[best]
                and step.completion is not None
                and not (step.is_given_up or step.judged)
            ):
                return step.cost_usd
        return float(outlook.cost_usd[best])

    def as_dict(self) -> dict[str, Any]:
        """Returns what the sidecar puts under `penstock` and the command line prints as JSON."""
        decision, outcome = self.decision, self.outcome
        step, estimates = outcome.step, decision.estimates
        return {
            "trace_id": self.trace_id,
            "policy": decision.policy.name,
            "backend": step.backend,
            "path": outcome.path,
            "reason": decision.reason,
            "quality": rounded(float(estimates.quality[estimates.backends.index(step.backend)])),
            "confidence": rounded(step.confidence),
            "cost_usd": outcome.cost_usd,
            "latency_s": round(self.latency_s, 6),
            "steps": [_step_as_dict(step) for step in outcome.steps],
        }


make_answer = maker(Answer)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerChunk:
    """One piece of a streamed answer, from `backend`. The last one, and only that, carries the whole `answer`."""

    backend: str
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    is_refusal: bool = False  # as in `Completion`
    events: tuple[Event, ...] = ()  # the piece in the provider's own words, as in `Chunk`
    body: Mapping[str, Any] | None = None  # likewise, where the piece is a whole reply
    answer: Answer | None = None


def _step_as_dict(step: Step) -> dict[str, Any]:
    usage = step.completion.usage if step.completion else None
    return {
        "backend": step.backend,
        "confidence": rounded(step.confidence),
        "cost_usd": step.cost_usd,
        "input_tokens": usage.input_tokens if usage else 0,
        "output_tokens": usage.output_tokens if usage else 0,
        "error": told_of(step.error) if step.error else None,
        "given_up": step.is_given_up,
        "draft_of": step.draft_of,
        "judged": step.judged,
    }
