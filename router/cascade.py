"""The cascade: ask, look at the answer, stop, escalate or fall back. A generator that does no I/O."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace

import numpy as np

from ..backends import BackendError, Completion, PenstockError
from ..backends.quick import maker, quick
from ..classifiers.final_answer import FinalAnswer, final_answer
from ..classifiers.meaning import UNLIKE_ALL, InWords
from ..classifiers.verdict import read_verdict
from .decision import Decision
from .errors import AllBackendsFailed
from .objectives import create_objective
from .outlook import Outlook, Tried, make_tried
from .policy import Policy
from .readings import likeliest
from .verdicts import is_shown_whole, with_verdict, worth_judging

# (backend, completion, what was expected of it in the light of the draft that it had) -> confidence
Assess = Callable[[str, Completion, float | None], float]
Charge = Callable[[str, Completion], float]  # (backend, completion) -> cost in USD
Said = FinalAnswer | InWords | None  # what an answer comes to; None: it cannot be compared
Read = Callable[[str, Completion], Said]  # (backend, completion) -> what the answer comes to

_ANY_ANSWERS = (None, FinalAnswer(kind="text", value=""), UNLIKE_ALL)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An answer that another backend is to check."""

    backend: str  # whose answer it is
    text: str
    number: int  # of the call that gave it
    estimate: float  # P(the answer of the one who checks it is correct), expected before the call


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call that a cascade wants made, and what it knows when it asks for it."""

    backend: str
    outlook: Outlook
    policy: Policy
    tried: tuple[Tried, ...]
    draft: Draft | None = None  # what it is to check
    judged: Step | None = None  # what it is to say of whether the answer is right, rather than to answer

    def next_after(self, confidence: float, *, cost_usd: float = 0.0, answer: Said = None) -> int | None:
        """Returns the place of the backend to ask after this call if its answer turned out so; None to stop."""
        return create_objective(self.policy.objective).escalate(
            self.outlook, self.policy, self._tried_then(confidence, cost_usd, answer)
        )

    def is_kept(self, confidence: float) -> bool:
        """Returns whether this call's answer would be the one returned, with nobody asked after it, if confidence in it
        turned out so: whatever it comes to, as long as no other agrees with it, and however little it costs.
        """
        if not self.tried and self.outlook.max_calls <= 1:  # nothing else may become of it
            return True
        answers = _ANY_ANSWERS if self.outlook.escalation.can_compare else (None,)
        return all(
            self.next_after(confidence, answer=answer) is None
            and likeliest(self.outlook, self._tried_then(confidence, 0.0, answer))[0] == len(self.tried)
            and worth_judging(self.outlook, self.policy, self._tried_then(confidence, 0.0, answer)) is None
            for answer in answers
        )

    def _tried_then(self, confidence: float, cost_usd: float, answer: Said) -> tuple[Tried, ...]:
        place = self.outlook.names.index(self.backend)
        return (
            *_checked(self.tried, self.draft),
            make_tried(place=place, confidence=confidence, cost_usd=cost_usd, answer=answer),
        )


make_call = maker(Call)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """An answer that its reader has had already, or the beginning of it, so that it is the one that is returned."""

    completion: Completion


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenUp:
    """The beginning of an answer that was broken off, since what is seen of it leaves little hope."""

    completion: Completion  # with the usage until then
    confidence: float  # P(it would have been correct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """No call may be made any more, and why: what has come by then has to do."""

    error: PenstockError


Reply = Completion | Released | GivenUp | Stopped | BackendError
Flow = Generator[Call, Reply, "Outcome"]


@quick
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
    draft_of: str | None = None  # whose answer it was given to check
    judged: str | None = None  # whose answer it was asked for a verdict on; confidence is then the verdict, 0 without
    verdict: float | None = None  # P(that is correct) to the judge; None: it gave none, or nobody read it

    @property
    def label(self) -> str:
        """The backend, marked `small?` where it judged, `small!` where it failed and `small~` where it was given up."""
        mark = "!" if self.error else "~" if self.is_given_up else ""
        return self.backend + ("?" if self.judged else "") + mark


make_step = maker(Step)


@quick
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
        return ">".join([step.label for step in self.steps])


make_outcome = maker(Outcome)


def read_final_answer(_backend: str, completion: Completion) -> Said:
    """Returns the final answer of a completion, None where it has none that could be compared."""
    return final_answer(completion)


def cascade(decision: Decision, *, assess: Assess, charge: Charge, read: Read = read_final_answer) -> Flow:
    """Yields the call to make; is sent what came of it; returns the outcome.

    The answer that is returned is the one that is likeliest to be right in the light of all others: two that agree may
    outweigh a better one, see `likeliest`. The answer to a draft stands for the draft, too. One that was released
    is returned in any case, one that was given up never: where nobody else answers, it is asked for again.

    Raises:
        AllBackendsFailed: no backend that could be asked gave an answer.
        PenstockError: it was stopped before there was one.
    """
    objective = create_objective(decision.policy.objective)
    policy, outlook = decision.policy, decision.outlook
    is_compared = outlook.escalation.can_compare
    steps: list[Step] = []
    tried: tuple[Tried, ...] = ()
    place: int | None = outlook.backends.index(decision.backend)
    while place is not None:
        name = outlook.names[place]
        draft = _draft(outlook, tried, place, steps) if outlook.checks is not None else None
        draft_of = draft.backend if draft else None
        reply = yield make_call(backend=name, outlook=outlook, policy=policy, tried=tried, draft=draft)
        if isinstance(reply, Stopped):
            if all(call.is_given_up for call in tried):
                raise reply.error
            break
        if isinstance(reply, BackendError):
            steps.append(
                make_step(backend=name, completion=None, error=reply, confidence=0.0, cost_usd=0.0, draft_of=draft_of)
            )
            outlook, tried = _drop(outlook, tried, place)
            if not outlook.backends:
                break
            place = objective.escalate(outlook, policy, tried) if tried else objective.start(outlook, policy)
        else:
            is_given_up = isinstance(reply, GivenUp)
            completion = reply if isinstance(reply, Completion) else reply.completion
            if isinstance(reply, GivenUp):
                confidence = reply.confidence
            else:
                confidence = assess(name, completion, draft.estimate if draft else None)
            cost = charge(name, completion)
            steps.append(
                make_step(
                    backend=name,
                    completion=completion,
                    error=None,
                    confidence=confidence,
                    cost_usd=cost,
                    is_given_up=is_given_up,
                    draft_of=draft_of,
                )
            )
            if outlook.max_calls <= 1 and not is_given_up:  # nothing else may become of it
                return make_outcome(steps=tuple(steps), chosen=len(steps) - 1)
            answer = read(name, completion) if is_compared and not is_given_up else None
            tried = (
                *(tried if is_given_up else _checked(tried, draft)),
                make_tried(place=place, confidence=confidence, cost_usd=cost, answer=answer, is_given_up=is_given_up),
            )
            if isinstance(reply, Released):
                return _outcome(outlook, steps, tried, chosen=len(tried) - 1)
            if outlook.judge is not None:
                outlook, tried = yield from _judge(outlook, policy, tried, steps, charge)
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
    for call in tried:
        if not call.is_given_up:
            return None, tried
    again = max(tried, key=lambda call: call.confidence)
    return again.place, tuple(call for call in tried if call is not again)


def _outcome(outlook: Outlook, steps: list[Step], tried: tuple[Tried, ...], *, chosen: int | None = None) -> Outcome:
    """Returns the outcome, with the confidence in each answer that all answers together give."""
    if len(steps) == 1:
        return make_outcome(steps=tuple(steps), chosen=0)
    best, together = likeliest(outlook, tried)
    told = _numbers_of(steps)
    for number, confidence in zip(told, together, strict=True):
        steps[number] = replace(steps[number], confidence=confidence)
    return make_outcome(steps=tuple(steps), chosen=told[best if chosen is None else chosen])


def _numbers_of(steps: list[Step]) -> list[int]:
    """Returns the places of the steps that the calls tried stand for: not those that failed, nor those given up of
    backends that were asked again.
    """
    return [
        number
        for number, step in enumerate(steps)
        if step.completion and not step.judged and not (step.is_given_up and _is_asked_again(step, steps[number + 1 :]))
    ]


def _is_asked_again(step: Step, later: list[Step]) -> bool:
    """Returns whether the backend of a step is asked for an answer once more; a verdict is none."""
    return any(each.backend == step.backend and not each.judged for each in later)


def _judge(
    outlook: Outlook, policy: Policy, tried: tuple[Tried, ...], steps: list[Step], charge: Charge
) -> Generator[Call, Reply, tuple[Outlook, tuple[Tried, ...]]]:
    """Has an answer judged where that is worth it. Returns the calls with what the verdict told, and the outlook, which
    is without a judge that failed: that is no reason to fail the request.
    """
    judge, number = outlook.judge, worth_judging(outlook, policy, tried)
    if judge is None or number is None:
        return outlook, tried
    step = steps[_numbers_of(steps)[number]]
    if not is_shown_whole(step.completion):
        return outlook, tried
    reply = yield make_call(backend=judge.backend, outlook=outlook, policy=policy, tried=tried, judged=step)
    if isinstance(reply, Stopped):
        return replace(outlook, judge=None), tried
    completion = reply if isinstance(reply, Completion) else None
    verdict = read_verdict(completion) if completion is not None else None
    cost = charge(judge.backend, completion) if completion is not None else 0.0
    steps.append(
        make_step(
            backend=judge.backend,
            completion=completion,
            error=reply if isinstance(reply, BackendError) else None,
            confidence=0.0 if verdict is None else verdict,
            cost_usd=cost,
            judged=step.backend,
            verdict=verdict,
        )
    )
    odds = 1.0 if verdict is None else judge.jury.odds(judge.backend, verdict)
    tried = with_verdict(tried, number, odds=odds, cost_usd=cost)
    return (outlook if verdict is not None else replace(outlook, judge=None)), tried


def _draft(outlook: Outlook, tried: tuple[Tried, ...], place: int, steps: list[Step]) -> Draft | None:
    """Returns the answer that the backend at a place is to check, the likeliest so far; None where it is not to."""
    row = place - len(outlook.backends)
    if outlook.checks is None or row < 0:
        return None
    number, together = likeliest(outlook, tried)
    step = steps[_numbers_of(steps)[number]]
    assert step.completion is not None  # it was tried
    chance = outlook.checks.chance(np.array([together[number]]))
    return Draft(backend=step.backend, text=step.completion.text, number=number, estimate=float(chance[row, 0]))


def _checked(tried: tuple[Tried, ...], draft: Draft | None) -> tuple[Tried, ...]:
    """Returns the calls with that of the draft marked as checked."""
    if draft is None:
        return tried
    return tuple(
        replace(call, is_checked=True) if number == draft.number else call for number, call in enumerate(tried)
    )


def _drop(outlook: Outlook, tried: tuple[Tried, ...], failed: int) -> tuple[Outlook, tuple[Tried, ...]]:
    """Returns the outlook without the backend that failed, and what was tried at its new places."""
    left = [place for place in range(len(outlook.names)) if place != failed]
    kept = [place for place in left if place < len(outlook.backends)]
    checks = outlook.checks
    if checks is not None:
        rows = [place - len(outlook.backends) for place in left if place >= len(outlook.backends)]
        checks = checks.take(rows, kept) if rows else None
    remaining = replace(
        outlook,
        backends=tuple(outlook.backends[place] for place in kept),
        quality=outlook.quality[kept],
        cost_usd=outlook.cost_usd[kept],
        escalation=outlook.escalation.take(kept),
        checks=checks,
    )
    return remaining, tuple(replace(call, place=left.index(call.place)) for call in tried)
