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
from .policy import Policy

Assess = Callable[[str, Completion], float]  # (backend, completion) -> confidence
Charge = Callable[[str, Completion], float]  # (backend, completion) -> cost in USD
Read = Callable[[str, Completion], FinalAnswer | None]  # (backend, completion) -> what the answer comes to

_ANY_ANSWER = FinalAnswer(kind="text", value="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that a cascade wants made, and what it knows when it asks for it."""

    backend: str
    outlook: Outlook
    policy: Policy
    tried: tuple[Tried, ...]

    def next_after(self, confidence: float, *, cost_usd: float = 0.0, answer: FinalAnswer | None = None) -> int | None:
        """Returns the place of the backend to ask after this call if its answer turned out so; None to stop."""
        return create_objective(self.policy.objective).escalate(
            self.outlook, self.policy, self._tried_then(confidence, cost_usd, answer)
        )

    def is_kept(self, confidence: float) -> bool:
        """Returns whether this call's answer would be the one returned, with nobody asked after it, if confidence in it
        turned out so: whatever it comes to, as long as no other agrees with it, and however little it costs.
        """
        answers = (None, _ANY_ANSWER) if self.outlook.escalation.comparable > 0 else (None,)
        return all(
            self.next_after(confidence, answer=answer) is None
            and _likeliest(self.outlook, self._tried_then(confidence, 0.0, answer))[0] == len(self.tried)
            for answer in answers
        )

    def _tried_then(self, confidence: float, cost_usd: float, answer: FinalAnswer | None) -> tuple[Tried, ...]:
        place = self.outlook.backends.index(self.backend)
        return (*self.tried, Tried(place=place, confidence=confidence, cost_usd=cost_usd, answer=answer))


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """An answer that its reader has had already, or the beginning of it, so that it is the one that is returned."""

    completion: Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """The beginning of an answer that was broken off, since what is seen of it leaves little hope."""

    completion: Completion  # with the usage until then
    confidence: float  # P(it would have been correct)


Reply = Completion | Released | GivenUp | BackendError
Flow = Generator[Call, Reply, "Outcome"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a cascade."""

    backend: str
    completion: Completion | None  # None: it failed
    error: BackendError | None
    confidence: float  # P(its answer is correct), from all answers of the cascade; 0 where it failed
    cost_usd: float
    is_given_up: bool = False  # broken off: the completion is the beginning of an answer
    is_beside: bool = False  # made beside another call that was enough, hedged or ahead of its turn

    @property
    def label(self) -> str:
        """The backend, marked `small!` where it failed and `small~` where it was given up."""
        return self.backend + ("!" if self.error else "~" if self.is_given_up else "")


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
        return sum([step.cost_usd for step in self.steps])

    @property
    def path(self) -> str:
        """The backends asked, in order: `small>lrm@low`, with the marks of `Step.label`."""
        return ">".join(step.label for step in self.steps)


def read_answer(_backend: str, completion: Completion) -> FinalAnswer | None:
    """Returns what an answer comes to, None where it cannot be compared with another."""
    return final_answer(completion)


def cascade(decision: Decision, *, assess: Assess, charge: Charge, read: Read = read_answer) -> Flow:
    """Yields the call to make; is sent what came of it; returns the outcome.

    The answer that is returned is the one that is likeliest to be right in the light of all others: two that agree may
    outweigh a better one. Of equals it is the one that looked best by itself, then the latest. One that was released
    is returned in any case, one that was given up never: where nobody else answers, it is asked for again.

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
        reply = yield Call(backend=name, outlook=outlook, policy=policy, tried=tried)
        if isinstance(reply, BackendError):
            steps.append(Step(backend=name, completion=None, error=reply, confidence=0.0, cost_usd=0.0))
            outlook, tried = _drop(outlook, tried, place)
            if not outlook.backends:
                break
            place = objective.escalate(outlook, policy, tried) if tried else objective.start(outlook, policy)
        else:
            is_given_up = isinstance(reply, GivenUp)
            completion = reply if isinstance(reply, Completion) else reply.completion
            confidence = reply.confidence if isinstance(reply, GivenUp) else assess(name, completion)
            cost = charge(name, completion)
            answer = read(name, completion) if is_compared and not is_given_up else None
            steps.append(
                Step(
                    backend=name,
                    completion=completion,
                    error=None,
                    confidence=confidence,
                    cost_usd=cost,
                    is_given_up=is_given_up,
                )
            )
            tried = (
                *tried,
                Tried(place=place, confidence=confidence, cost_usd=cost, answer=answer, is_given_up=is_given_up),
            )
            if isinstance(reply, Released):
                return _outcome(outlook, steps, tried, chosen=len(tried) - 1)
            place = objective.escalate(outlook, policy, tried)
        if place is None:
            place, tried = _last_resort(tried)
    if not tried:
        raise AllBackendsFailed({step.backend: step.error for step in steps if step.error})
    return _outcome(outlook, steps, tried)


def _last_resort(tried: tuple[Tried, ...]) -> tuple[int | None, tuple[Tried, ...]]:
    """Returns the place of the most hopeful answer that was given up, and the calls without it, where there is no other
    answer to return.
    """
    if not all(call.is_given_up for call in tried):
        return None, tried
    again = max(tried, key=lambda call: call.confidence)
    return again.place, tuple(call for call in tried if call is not again)


def _outcome(outlook: Outlook, steps: list[Step], tried: tuple[Tried, ...], *, chosen: int | None = None) -> Outcome:
    """Returns the outcome, with the confidence in each answer that all answers together give."""
    if len(steps) == 1:
        return Outcome(steps=tuple(steps), chosen=0)
    likeliest, together = _likeliest(outlook, tried)
    told = _numbers_of(steps)
    for number, confidence in zip(told, together, strict=True):
        steps[number] = replace(steps[number], confidence=confidence)
    return Outcome(steps=tuple(steps), chosen=told[likeliest if chosen is None else chosen])


def _numbers_of(steps: list[Step]) -> list[int]:
    """Returns the places of the steps that the calls tried stand for: not those that failed, nor those given up of
    backends that were asked again.
    """
    return [
        number
        for number, step in enumerate(steps)
        if step.completion
        and not (step.is_given_up and any(later.backend == step.backend for later in steps[number + 1 :]))
    ]


def _likeliest(outlook: Outlook, tried: tuple[Tried, ...]) -> tuple[int, list[float]]:
    """Returns the number of the answer to return, and P(right) of all of them."""
    together = [tried[0].confidence]
    if len(tried) > 1:
        together = [round(chance, 12) for chance in believe(outlook, tried).confidence().tolist()]
    whole = [number for number, call in enumerate(tried) if not call.is_given_up]
    return max(whole, key=lambda number: (together[number], tried[number].confidence, number)), together


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
