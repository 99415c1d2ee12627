"""The cascade: ask, look at the answer, stop, escalate or fall back. A generator that does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from ..backends import BackendError, Completion
from ..classifiers.final_answer import FinalAnswer, final_answer
from .belief import believe
from .decision import Decision
from .errors import AllBackendsFailed
from .objectives import create_objective
from .outlook import Outlook, Tried

Assess = Callable[[str, Completion], float]  # (backend, completion) -> confidence
Charge = Callable[[str, Completion], float]  # (backend, completion) -> cost in USD
Read = Callable[[str, Completion], FinalAnswer | None]  # (backend, completion) -> what the answer comes to

_ANY_ANSWER = FinalAnswer(kind="text", value="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a cascade."""

    backend: str
    completion: Completion | None  # None: it failed
    error: BackendError | None
    confidence: float  # P(its answer is correct), from all answers of the cascade; 0 where it failed
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a cascade ended: every step, and the place of the one whose answer is returned."""

    steps: tuple[Step, ...]
    chosen: int

    @property
    def step(self) -> Step:
        """The step whose answer is returned."""
        return self.steps[self.chosen]

    @property
    def cost_usd(self) -> float:
        """What all calls cost together."""
        return sum(step.cost_usd for step in self.steps)

    @property
    def path(self) -> str:
        """The backends asked, in order: `small>lrm@low`; one that failed is marked `small!`."""
        return ">".join(step.backend + ("!" if step.error else "") for step in self.steps)


def read_answer(_backend: str, completion: Completion) -> FinalAnswer | None:
    """Returns what an answer comes to, None where it cannot be compared with another."""
    return final_answer(completion)


def cascade(
    decision: Decision, *, assess: Assess, charge: Charge, read: Read = read_answer
) -> Generator[str, Completion | BackendError, Outcome]:
    """Yields the backend to ask; is sent its completion or its error; returns the outcome.

    The answer that is returned is the one that is likeliest to be right in the light of all others: two that agree may
    outweigh a better one. Of equals it is the one that looked best by itself, then the latest.

    Raises:
        AllBackendsFailed: no backend that could be asked gave an answer.
    """
    objective = create_objective(decision.policy.objective)
    policy, outlook = decision.policy, decision.outlook
    is_compared = outlook.escalation.comparable > 0
    steps: list[Step] = []
    tried: tuple[Tried, ...] = ()
    place: int | None = outlook.backends.index(decision.backend)
    while place is not None:
        name = outlook.backends[place]
        reply = yield name
        if isinstance(reply, BackendError):
            steps.append(Step(backend=name, completion=None, error=reply, confidence=0.0, cost_usd=0.0))
            outlook, tried = _drop(outlook, tried, place)
            if not outlook.backends:
                break
            place = objective.escalate(outlook, policy, tried) if tried else objective.start(outlook, policy)
        else:
            confidence, cost = assess(name, reply), charge(name, reply)
            answer = read(name, reply) if is_compared else None
            steps.append(Step(backend=name, completion=reply, error=None, confidence=confidence, cost_usd=cost))
            tried = (*tried, Tried(place=place, confidence=confidence, cost_usd=cost, answer=answer))
            place = objective.escalate(outlook, policy, tried)
    if not tried:
        raise AllBackendsFailed({step.backend: step.error for step in steps if step.error})
    return _outcome(outlook, steps, tried)


def _outcome(outlook: Outlook, steps: list[Step], tried: tuple[Tried, ...]) -> Outcome:
    """Returns the outcome, with the confidence in each answer that all answers together give."""
    if len(steps) == 1:
        return Outcome(steps=tuple(steps), chosen=0)
    together = [tried[0].confidence]
    if len(tried) > 1:
        together = [round(chance, 12) for chance in believe(outlook, tried).confidence().tolist()]
    answered = [place for place, step in enumerate(steps) if step.completion]
    chosen = max(range(len(answered)), key=lambda number: (together[number], tried[number].confidence, number))
    for place, confidence in zip(answered, together, strict=True):
        steps[place] = replace(steps[place], confidence=confidence)
    return Outcome(steps=tuple(steps), chosen=answered[chosen])


def may_escalate(decision: Decision) -> bool:
    """Returns whether an answer of the first backend could be followed by another call: one that is surely wrong and
    leaves the whole budget would be, whether it can be compared with others or not.
    """
    outlook = decision.outlook
    objective = create_objective(decision.policy.objective)
    worst = Tried(place=outlook.backends.index(decision.backend), confidence=0.0, cost_usd=0.0)
    answers = (None, _ANY_ANSWER) if outlook.escalation.comparable > 0 else (None,)
    return any(
        objective.escalate(outlook, decision.policy, (replace(worst, answer=answer),)) is not None for answer in answers
    )


def _drop(outlook: Outlook, tried: tuple[Tried, ...], failed: int) -> tuple[Outlook, tuple[Tried, ...]]:
    """Returns the outlook without the backend that failed, and what was tried at its new places."""
    kept = [place for place in range(len(outlook.backends)) if place != failed]
    remaining = replace(
        outlook,
        backends=tuple(outlook.backends[place] for place in kept),
        quality=outlook.quality[kept],
        cost_usd=outlook.cost_usd[kept],
        escalation=outlook.escalation.take(kept),
    )
    return remaining, tuple(replace(call, place=kept.index(call.place)) for call in tried)
