"""What a router saved, and what other choices would have cost and scored, estimated from its own log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..backends import Completion
from ..classifiers import Estimates
from ..router import NoFeasibleBackend, Outcome, Policy, Pool
from .bootstrap import Interval
from .dataset import completion_of, recorded_verdict
from .errors import TraceError
from .evaluation import FloatArray
from .log import Log, LoggedRequest
from .off_policy import Estimated, Logged, Sums, difference, estimate, resample, saving
from .replay import cost_of_verdict
from .rows import Trace

SERVED, ALWAYS, POLICY = "served", "always ", "policy "
_FEW = 30.0  # requests' worth of evidence, below which intervals are not to be believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One way to answer the requests of a log, and what it comes to a request."""

    name: str
    cost_usd: Estimated
    score: Estimated | None  # None: nothing of it was graded
    saving: Interval | None = None  # of the reference's cost; None: there is no reference
    gain: Interval | None = None  # in score, over the reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """What a log tells; the first choice is what was served."""

    n_requests: int
    n_unanswered: int
    n_graded: int  # answers
    n_shadow_calls: int
    shadow_usd: float
    reference: str | None  # the choice that the others are held against
    choices: tuple[Choice, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What the log shows of one request under one choice."""

    answer: Trace
    propensity: float
    cost_usd: float


def savings(log: Log, pool: Pool, *, policies: Sequence[Policy] = (), against: str | None = None) -> Savings:
    """Returns what was served, always asking each backend, and each policy, held against always asking one.

    That one is `against`, or else the backend that scores best among those of which the log tells enough. The models of
    the doubly robust estimates are the pool's own; they have to come from elsewhere than this log.

    Raises:
        TraceError: the log tells nothing of `against`.
    """
    requests = log.requests
    told = {robust: _estimates(requests, pool, robust=robust) for robust in {False, *(p.robust for p in policies)}}
    estimates = told[False]
    share = _graded_share(requests)
    seen: dict[str, list[_Seen | None]] = {SERVED: [_served(request) for request in requests]}
    for name in pool.askable:
        seen[ALWAYS + name] = [_asked(request, name) for request in requests]
    for policy in policies if estimates else ():
        seen[POLICY + policy.name] = [
            _replayed(request, pool, policy, known)
            for request, known in zip(requests, told[policy.robust], strict=True)
        ]
    models = {
        name: _models(name, requests, estimates, pool, policies={policy.name: policy for policy in policies})
        for name in seen
    }
    costs = {
        name: _logged(found, models[name][1], lambda one: (one.propensity, one.cost_usd))
        for name, found in seen.items()
    }
    scores = {name: _logged(found, models[name][0], _graded(share)) for name, found in seen.items()}
    cost_sums, score_sums = resample(costs), resample(scores)
    reference = _reference(costs, scores, score_sums, against)
    choices = []
    for name in seen:
        if not costs[name].weight.any():
            continue
        is_graded = scores[name].weight.any()
        is_held = reference is not None and name != reference
        choices.append(
            Choice(
                name=name,
                cost_usd=estimate(costs[name], cost_sums[name]),
                score=estimate(scores[name], score_sums[name]) if is_graded else None,
                saving=saving(cost_sums[name], cost_sums[reference]) if reference and is_held else None,
                gain=difference(score_sums[name], score_sums[reference])
                if reference and is_held and is_graded and scores[reference].weight.any()
                else None,
            )
        )
    return Savings(
        n_requests=len(requests),
        n_unanswered=log.n_unanswered,
        n_graded=sum(call.score is not None for request in requests for call in request.calls),
        n_shadow_calls=len(log.shadows),
        shadow_usd=sum(call.cost_usd or 0.0 for call in log.shadows),
        reference=reference,
        choices=tuple(choices),
        notes=(*log.notes, *_notes(requests, costs, scores)),
    )


def _served(request: LoggedRequest) -> _Seen:
    return _Seen(answer=request.answer, propensity=1.0, cost_usd=request.cost_usd)


def _asked(request: LoggedRequest, backend: str) -> _Seen | None:
    call = request.find(backend)
    if call is None or call.propensity is None or call.cost_usd is None:
        return None
    return _Seen(answer=call, propensity=call.propensity, cost_usd=call.cost_usd)


def _replayed(request: LoggedRequest, pool: Pool, policy: Policy, estimates: Estimates) -> _Seen | None:
    """Returns how a policy would have ended, as far as every call that it asks for was recorded.

    Of the calls that the served cascade did not make there is one at most, so the product of the chances is the chance
    of all of them.
    """
    assert request.query is not None  # it has estimates
    try:
        decision = pool.decide(request.query, policy, estimates)
    except NoFeasibleBackend:
        return None
    flow = pool.flow(request.query, decision)
    propensity = 1.0
    reply: Completion | None = None
    while True:
        try:
            wanted = next(flow) if reply is None else flow.send(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
            answer = request.find(outcome.step.backend)
            assert answer is not None  # it was asked
            return _Seen(answer=answer, propensity=propensity, cost_usd=outcome.cost_usd)
        if wanted.judged is not None:
            judged = request.find(wanted.judged.backend)
            if judged is None:
                return None
            reply = recorded_verdict(judged, wanted.backend, expected_usd=cost_of_verdict(wanted))
            if reply is None:
                return None
            continue
        call = request.find(wanted.backend)
        reply = completion_of(call) if call is not None else None
        if call is None or call.propensity is None or reply is None:
            return None
        if wanted.draft is not None and wanted.draft.backend != call.draft_of:
            return None
        propensity *= call.propensity


def _graded_share(requests: Sequence[LoggedRequest]) -> dict[tuple[str, bool], float]:
    """Returns the share of answers that have a score, by backend and by whether anybody got them.

    Feedback comes for a part of the answers only. Within each of these groups it is taken to come as it may, whatever
    the answer was worth; then the chance that an answer is there and graded is the propensity times this share.
    """
    calls = [call for request in requests for call in request.calls if call.is_answer]
    answered, graded = Counter(map(_group, calls)), Counter(_group(call) for call in calls if call.score is not None)
    return {group: graded[group] / n for group, n in answered.items()}


def _group(call: Trace) -> tuple[str, bool]:
    return call.backend, call.final is True


def _graded(share: dict[tuple[str, bool], float]) -> Callable[[_Seen], tuple[float, float]]:
    def read(seen: _Seen) -> tuple[float, float]:
        score = seen.answer.score
        return seen.propensity * share[_group(seen.answer)], math.nan if score is None else score

    return read


def _logged(
    seen: Sequence[_Seen | None], model: FloatArray | None, read: Callable[[_Seen], tuple[float, float]]
) -> Logged:
    pairs = [(math.nan, math.nan) if one is None else read(one) for one in seen]
    propensity, value = np.array(pairs, dtype=np.float64).T
    return Logged(propensity=np.where(propensity > 0, propensity, np.nan), value=value, model=model)


def _estimates(requests: Sequence[LoggedRequest], pool: Pool, *, robust: bool) -> list[Estimates]:
    """Returns the estimates for every request, none where a query is missing."""
    queries = [request.query for request in requests if request.query is not None]
    return pool.estimate_queries(queries, robust=robust) if len(queries) == len(requests) else []


def _models(
    name: str,
    requests: Sequence[LoggedRequest],
    estimates: Sequence[Estimates],
    pool: Pool,
    policies: dict[str, Policy],
) -> tuple[FloatArray | None, FloatArray | None]:
    """Returns the score and the cost that are expected of a choice from each query alone, (n,) each.

    Any function of the query will do: of a cascade it is what its first call is expected to give.
    """
    if not estimates:
        return None, None
    places = []
    for request, known in zip(requests, estimates, strict=True):
        backend = request.answer.backend
        if name.startswith(ALWAYS):
            backend = name.removeprefix(ALWAYS)
        elif name.startswith(POLICY):
            backend = _first(request, pool, policies[name.removeprefix(POLICY)], known)
        if backend not in known.backends:
            return None, None
        places.append(known.backends.index(backend))
    rows = range(len(places))
    score = np.array([estimates[row].quality[places[row]] for row in rows])
    cost = np.array([estimates[row].cost_usd[places[row]] for row in rows])
    return score if np.isfinite(score).all() else None, cost if np.isfinite(cost).all() else None


def _first(request: LoggedRequest, pool: Pool, policy: Policy, estimates: Estimates) -> str:
    assert request.query is not None  # it has estimates
    try:
        return pool.decide(request.query, policy, estimates).backend
    except NoFeasibleBackend:
        return ""


def _reference(
    costs: dict[str, Logged], scores: dict[str, Logged], score_sums: dict[str, Sums], against: str | None
) -> str | None:
    """Returns the choice to hold the others against."""
    known = [name for name in costs if name.startswith(ALWAYS) and costs[name].weight.any()]
    if against is not None:
        if ALWAYS + against not in known:
            told = ", ".join(name.removeprefix(ALWAYS) for name in known) or "none"
            raise TraceError(f"the log holds no answer of {against!r}; expected one of {told}")
        return ALWAYS + against
    enough = [name for name in known if min(costs[name].evidence, scores[name].evidence) >= _FEW]
    return max(enough, key=lambda name: score_sums[name].best[0], default=None)


def _notes(requests: Sequence[LoggedRequest], costs: dict[str, Logged], scores: dict[str, Logged]) -> list[str]:
    notes = []
    n_unknown = sum(request.query is None for request in requests)
    if n_unknown:
        which = "no queries" if n_unknown == len(requests) else f"no query of {n_unknown:,} of the requests"
        notes.append(f"The log holds {which}, so there is no model, and no policy can be replayed.")
    weak = [name for name in costs if 0 < costs[name].evidence < _FEW or 0 < scores[name].evidence < _FEW]
    if weak:
        notes.append(f"Worth fewer than {_FEW:g} requests, so not to be believed: {', '.join(weak)}.")
    return notes
