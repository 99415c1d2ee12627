"""The cascade over recorded answers: the very code that serves, fed from traces instead of backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..backends import Completion, MalformedReply, Query
from ..backends.usage import estimated_usage
from ..backends.whole import chunks_of
from ..classifiers import Estimates
from ..classifiers.telling import tell
from ..router import Decision, NoFeasibleBackend, Outcome, Policy, Pool
from ..router.cascade import Call, Released, Reply, Said, Step
from ..router.hold import Verdict
from .dataset import Dataset, completion_of, recorded_verdict
from .evaluation import Confidences, Curve, FloatArray, PolicyOutcome
from .held_out import HeldOut
from .progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One query under one policy."""

    query: int  # row of the dataset
    outcome: Outcome
    released_after: int | None = None  # signs of a streamed answer that was passed on before its end; None: none was
    n_held: int = 0  # streamed answers that could not be passed on as they came


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    """One recorded answer, with what a cascade would make of it."""

    completion: Completion
    confidence: float
    answer: Said


@dataclass(slots=True)
class _Listener:
    """The reader of a streamed answer."""

    released_after: int | None = None
    n_held: int = 0


class Replayer:
    """Replays policies over a dataset; estimates and confidences are computed once and used by all.

    With `held_out`, they are these and not those of the pool, which learned from the queries. `robust` tells which
    estimates are looked at first; policies that go by the others are replayed by the others.
    """

    def __init__(self, pool: Pool, dataset: Dataset, *, robust: bool = False, held_out: HeldOut | None = None) -> None:
        self.pool = pool
        self._robust = robust
        self._otherwise: Replayer | None = None  # by the other estimates, where a policy asks for them
        self.dataset = dataset = dataset.as_answered()
        self.estimates = pool.estimate_queries(dataset.queries, robust=robust)
        self._columns = {name: column for column, name in enumerate(dataset.backends)}
        self._held_out = held_out
        if held_out is not None:
            columns = [self._columns.get(name) for name in pool.backends]
            self.estimates = [held_out.told(row, each, columns) for row, each in enumerate(self.estimates)]
        unrecorded = tuple(name for name in pool.askable if name not in self._columns)
        self._missing = [
            unrecorded + tuple(name for name, column in self._columns.items() if np.isnan(dataset.quality[row, column]))
            for row in range(dataset.n_queries)
        ]
        # Answers to drafts, by who checked whose.
        self._checks = [{(trace.backend, trace.draft_of): trace for trace in traces} for traces in dataset.checks] or [
            {}
        ] * dataset.n_queries
        self._replies: dict[tuple[int, str], _Reply] = {}
        self._early: dict[tuple[int, str, int], float] = {}  # confidence by row, backend and checkpoint

    def run(self, policy: Policy) -> Iterator[Replayed]:
        """Yields the outcome of every query that some backend may answer.

        A backend without a recorded score for a query cannot be asked it, nor handed an answer it was not given then.
        """
        for row in range(self.dataset.n_queries):
            outcome = self._one(row, policy)
            if outcome is not None:
                yield Replayed(query=row, outcome=outcome)

    def run_streamed(self, policy: Policy) -> Iterator[Replayed]:
        """Yields the outcome of every query as of a streamed request, whose answers may be passed on or given up before
        their end. What is not given up is the same; time is not known here, but signs and tokens are.
        """
        for row in range(self.dataset.n_queries):
            listener = _Listener()
            outcome = self._one(row, policy, listener)
            if outcome is not None:
                yield Replayed(
                    query=row, outcome=outcome, released_after=listener.released_after, n_held=listener.n_held
                )

    def outcome(self, policy: Policy) -> PolicyOutcome:
        """Returns one policy over all queries; '' and NaN where it excludes every backend."""
        n = self.dataset.n_queries
        backend, calls = [""] * n, np.zeros(n, dtype=np.int64)
        cost, score = np.full(n, np.nan), np.full(n, np.nan)
        for replayed in self.run(policy):
            row, outcome = replayed.query, replayed.outcome
            tell(f"policy {policy.name}: query {row + 1} of {n}")
            backend[row], calls[row] = outcome.step.backend, len(outcome.steps)
            cost[row], score[row] = self.worth(row, outcome)
        return PolicyOutcome(policy=policy.name, backend=tuple(backend), cost_usd=cost, score=score, n_calls=calls)

    def curve(self, name: str, policy: Policy, lams: FloatArray, *, progress: Progress) -> Curve:
        """Returns the policy at each lam.

        Query by query, since what is thought about one query is much the same at every lam.
        """
        labels = tuple(lam_label(float(lam)) for lam in lams)
        swept = [replace(policy.at(float(lam)), name=label) for label, lam in zip(labels, lams, strict=True)]
        n = self.dataset.n_queries
        cost, score = np.full((len(swept), n), np.nan), np.full((len(swept), n), np.nan)
        for row in progress.over(range(n), name=f"replaying {name}", total=n):
            for point, each in enumerate(swept):
                outcome = self._one(row, each)
                if outcome is not None:
                    cost[point, row], score[point, row] = self.worth(row, outcome)
        return Curve(name=name, labels=labels, cost_usd=cost, score=score)

    def confidences(self) -> Confidences | None:
        """Returns confidence against score for every recorded answer; None where there is none."""
        rows, names, values, scores = [], [], [], []
        for row in range(self.dataset.n_queries):
            for name, column in self._columns.items():
                completion = self.dataset.completion(row, column)
                if completion is not None:
                    rows.append(row)
                    names.append(name)
                    values.append(self._reply(row, name).confidence)
                    scores.append(self.dataset.completion_score(row, column))
        if not rows:
            return None
        return Confidences(
            backend=tuple(names), confidence=np.array(values), score=np.array(scores), query=np.array(rows)
        )

    def worth(self, row: int, outcome: Outcome) -> tuple[float, float]:
        """Returns what a query cost, and what the answer that was returned scores."""
        step = outcome.step
        if step.draft_of is not None:
            return outcome.cost_usd, self._checks[row][step.backend, step.draft_of].score or 0.0
        return outcome.cost_usd, float(self.dataset.quality[row, self._columns[step.backend]])

    def _one(self, row: int, policy: Policy, listener: _Listener | None = None) -> Outcome | None:
        """Returns how one query ends; None where it is refused, as its caller would have been."""
        if policy.robust != self._robust:
            if self._otherwise is None:
                held_out = self._held_out
                self._otherwise = Replayer(self.pool, self.dataset, robust=policy.robust, held_out=held_out)
            return self._otherwise._one(row, policy, listener)
        query, estimates = self.dataset.queries[row], self.estimates[row]
        if len(self._missing[row]) >= len(self.pool.askable):
            return None
        if self._missing[row]:
            policy = replace(policy, deny=(*policy.deny, *self._missing[row]))
        if policy.judge and not any(
            recorded_verdict(trace, policy.judge) for trace in self.dataset.answers[row] if trace
        ):
            policy = replace(policy, judge="")
        try:
            decision = self.pool.decide(query, policy, estimates, drafts=self._drafts(row))
        except NoFeasibleBackend:
            return None
        flow = self.pool.flow(
            query,
            decision,
            assess=lambda name, completion, expected: self._confidence(row, decision, name, completion, expected),
            read=lambda name, completion: self._read(row, name, completion),
        )
        reply: Reply | None = None
        while True:
            try:
                call = next(flow) if reply is None else flow.send(reply)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            if call.judged is not None:
                reply = self._verdict(row, call, call.judged)
                continue
            reply = self._completion(row, call)
            if listener is not None:
                reply = self._listened(row, decision, call, reply, listener)

    def _drafts(self, row: int) -> dict[str, list[str]]:
        """Returns whose answers to a query each backend was given to check."""
        found: dict[str, list[str]] = {}
        for backend, drafter in self._checks[row]:
            found.setdefault(backend, []).append(drafter)
        return found

    def _completion(self, row: int, call: Call) -> Completion:
        """Returns what was recorded of a call."""
        if call.draft is None:
            return self._reply(row, call.backend).completion
        trace = self._checks[row][call.backend, call.draft.backend]
        return completion_of(trace) or Completion(text="", cost_usd=trace.cost_usd)

    def _verdict(self, row: int, call: Call, judged: Step) -> Reply:
        """Returns what was recorded of a judge, or that nothing was."""
        traces = self._checks[row].get((judged.backend, judged.draft_of or ""))
        trace = traces or self.dataset.answers[row, self._columns[judged.backend]]
        return recorded_verdict(trace, call.backend, expected_usd=cost_of_verdict(call)) or MalformedReply(
            f"{call.backend} was not asked about {judged.backend}'s answer"
        )

    def _confidence(
        self, row: int, decision: Decision, name: str, completion: Completion, expected: float | None
    ) -> float:
        if expected is None:
            if not decision.is_unsure or self._held_out is not None:
                return self._reply(row, name).confidence
            expected = decision.expected(name)
        if not completion.text:  # it was not recorded
            return expected
        return self.pool.confidence(self.dataset.queries[row], completion, backend=name, estimate=expected)

    def _read(self, row: int, name: str, completion: Completion) -> Said:
        if name in self._columns:
            return self._reply(row, name).answer
        return self.pool.read(self.dataset.queries[row], completion)

    def _listened(self, row: int, decision: Decision, call: Call, whole: Completion, listener: _Listener) -> Reply:
        """Returns what becomes of an answer that comes piece by piece."""
        query, name = self.dataset.queries[row], call.backend
        if call.is_kept(0.0):
            return Released(completion=whole)
        listener.n_held += 1

        hold = self.pool.hold(
            query,
            decision,
            call,
            judge=None if call.draft is not None or decision.is_unsure else partial(self._judged_early, row, name),
            charge=partial(_cost_so_far, query, whole),
        )
        if hold is None:
            return whole
        for chunk in chunks_of(whole):
            verdict = hold.see(chunk)
            if verdict is Verdict.GIVE_UP:
                return hold.given_up()
            if verdict is Verdict.RELEASE:
                listener.released_after = hold.n_signs
                return Released(completion=whole)
        return whole

    def _judged_early(self, row: int, name: str, so_far: Completion, checkpoint: int) -> float:
        key = (row, name, checkpoint)
        if key not in self._early:
            query, estimates = self.dataset.queries[row], self.estimates[row]
            estimate = float(estimates.quality[estimates.backends.index(name)])
            self._early[key] = self.pool.early_confidence(
                query, so_far, checkpoint=checkpoint, backend=name, estimate=estimate
            )
        return self._early[key]

    def _reply(self, row: int, name: str) -> _Reply:
        """Returns a recorded answer and what is thought of it; one whose text was not recorded keeps its estimate."""
        key = (row, name)
        if key not in self._replies:
            column, estimates = self._columns[name], self.estimates[row]
            found = self.dataset.completion(row, column)
            completion = replace(found or Completion(text=""), cost_usd=float(self.dataset.cost_usd[row, column]))
            confidence = float(estimates.quality[estimates.backends.index(name)])
            query = self.dataset.queries[row]
            if found is not None and self._held_out is None:
                confidence = self.pool.confidence(query, completion, backend=name, estimate=confidence)
            elif self._held_out is not None and np.isfinite(self._held_out.confidences[row, column]):
                confidence = float(self._held_out.confidences[row, column])
            answer = self.pool.read(query, completion)
            self._replies[key] = _Reply(completion=completion, confidence=confidence, answer=answer)
        return self._replies[key]


def cost_of_verdict(call: Call) -> float:
    """Returns what a verdict was expected to cost when it was asked for."""
    assert call.outlook.judge is not None  # or nobody would have been asked
    return call.outlook.judge.cost_usd


def _cost_so_far(query: Query, whole: Completion, so_far: Completion) -> float:
    """Returns what an answer had cost when only its beginning had come: its cost by the share of the tokens, prompt and
    hidden reasoning included. A prompt's token costs no more than an answer's, so this is rather too much.
    """
    tokens = [
        usage.input_tokens + usage.output_tokens + whole.usage.reasoning_tokens
        for usage in (estimated_usage(query, so_far), estimated_usage(query, whole))
    ]
    return (whole.cost_usd or 0.0) * tokens[0] / tokens[1]


def lam_label(lam: float) -> str:
    """Returns how a point of a sweep is called.

    >>> lam_label(20)
    'lam=20'
    """
    return f"lam={lam:.6g}"


def estimate_matrices(estimates: Sequence[Estimates], backends: Sequence[str]) -> tuple[FloatArray, FloatArray]:
    """Returns estimated quality and cost, (n_queries, n_backends) each, with the columns of `backends`."""
    columns = [estimates[0].backends.index(name) for name in backends]
    quality = np.stack([each.quality[columns] for each in estimates])
    return quality, np.stack([each.cost_usd[columns] for each in estimates])
