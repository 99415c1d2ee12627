"""The cascade: ask, look at the answer, stop, escalate or fall back. A generator that does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

from ..backends import BackendError, Completion
from .decision import Decision
from .errors import AllBackendsFailed
from .objectives import create_objective
from .outlook import Outlook, Tried

Assess = Callable[[str, Completion], float]  # (backend, completion) -> confidence
Charge = Callable[[str, Completion], float]  # (backend, completion) -> cost in USD


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a cascade."""

    backend: str
    completion: Completion | None  # None: it failed
    error: BackendError | None
    confidence: float  # 0 where it failed
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


def cascade(
    decision: Decision, *, assess: Assess, charge: Charge
) -> Generator[str, Completion | BackendError, Outcome]:
    """Yields the backend to ask; is sent its completion or its error; returns the outcome.

    Raises:
        AllBackendsFailed: no backend that could be asked gave an answer.
    """
    objective = create_objective(decision.policy.objective)
    policy, outlook = decision.policy, decision.outlook
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
            steps.append(Step(backend=name, completion=reply, error=None, confidence=confidence, cost_usd=cost))
            tried = (*tried, Tried(place=place, confidence=confidence, cost_usd=cost))
            place = objective.escalate(outlook, policy, tried)
    if not tried:
        raise AllBackendsFailed({step.backend: step.error for step in steps if step.error})
    answered = [place for place, step in enumerate(steps) if step.completion]
    return Outcome(steps=tuple(steps), chosen=max(answered, key=lambda place: (steps[place].confidence, place)))


def may_escalate(decision: Decision) -> bool:
    """Returns whether an answer of the first backend could be followed by another call: one that is surely wrong and
    leaves the whole budget would be.
    """
    worst = Tried(place=decision.outlook.backends.index(decision.backend), confidence=0.0, cost_usd=0.0)
    objective = create_objective(decision.policy.objective)
    return objective.escalate(decision.outlook, decision.policy, (worst,)) is not None


def _drop(outlook: Outlook, tried: tuple[Tried, ...], failed: int) -> tuple[Outlook, tuple[Tried, ...]]:
    """Returns the outlook without the backend that failed, and what was tried at its new places."""
    kept = [place for place in range(len(outlook.backends)) if place != failed]
    remaining = replace(
        outlook,
        backends=tuple(outlook.backends[place] for place in kept),
        quality=outlook.quality[kept],
        cost_usd=outlook.cost_usd[kept],
        rescue=outlook.rescue[kept][:, kept],
        power=outlook.power[kept],
    )
    return remaining, tuple(replace(call, place=kept.index(call.place)) for call in tried)
