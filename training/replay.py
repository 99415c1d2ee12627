"""The cascade over recorded answers: the very code that serves, fed from traces instead of backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..backends import Completion
from ..classifiers import Estimates
from ..classifiers.final_answer import FinalAnswer, final_answer
from ..router import NoFeasibleBackend, Outcome, Policy, Pool
from .dataset import Dataset
from .evaluation import Confidences, Curve, FloatArray, PolicyOutcome
from .progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """One query under one policy."""

    query: int  # row of the dataset
    outcome: Outcome


class Replayer:
    """Replays policies over a dataset; estimates and confidences are computed once and used by all."""

    def __init__(self, pool: Pool, dataset: Dataset) -> None:
        self.pool = pool
        self.dataset = dataset = dataset.as_answered()
        self.estimates = pool.estimate_all(dataset.texts)
        self._columns = {name: column for column, name in enumerate(dataset.backends)}
        unrecorded = tuple(name for name in pool.backends if name not in self._columns)
        self._missing = [
            unrecorded + tuple(name for name, column in self._columns.items() if np.isnan(dataset.quality[row, column]))
            for row in range(dataset.n_queries)
        ]
        self._confidences: dict[tuple[int, str], float] = {}
        self._answers: dict[tuple[int, str], FinalAnswer | None] = {}

    def run(self, policy: Policy) -> Iterator[Replayed]:
        """Yields the outcome of every query that some backend may answer.

        A backend without a recorded score for a query cannot be asked it.
        """
        for row in range(self.dataset.n_queries):
            if len(self._missing[row]) < len(self.pool.backends):
                try:
                    outcome = self._one(row, policy)
                except NoFeasibleBackend:  # refused, as the caller of such a request would have been
                    continue
                yield Replayed(query=row, outcome=outcome)

    def outcome(self, policy: Policy) -> PolicyOutcome:
        """Returns one policy over all queries; '' and NaN where it excludes every backend."""
        n = self.dataset.n_queries
        backend, cost, score, calls = [""] * n, np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, dtype=np.int64)
        for replayed in self.run(policy):
            row, outcome = replayed.query, replayed.outcome
            backend[row] = outcome.step.backend
            cost[row] = outcome.cost_usd
            score[row] = self.dataset.quality[row, self._columns[outcome.step.backend]]
            calls[row] = len(outcome.steps)
        return PolicyOutcome(policy=policy.name, backend=tuple(backend), cost_usd=cost, score=score, n_calls=calls)

    def curve(self, name: str, policy: Policy, lams: FloatArray, *, progress: Progress) -> Curve:
        """Returns the policy at each lam."""
        labels = tuple(lam_label(float(lam)) for lam in lams)
        swept = [replace(policy, name=label, lam=float(lam)) for label, lam in zip(labels, lams, strict=True)]
        outcomes = [self.outcome(each) for each in progress.over(swept, name=f"replaying {name}", total=len(swept))]
        return Curve(
            name=name,
            labels=labels,
            cost_usd=np.stack([outcome.cost_usd for outcome in outcomes]),
            score=np.stack([outcome.score for outcome in outcomes]),
        )

    def confidences(self) -> Confidences | None:
        """Returns confidence against score for every recorded answer; None where answers cannot be judged."""
        if not self.pool.can_check:
            return None
        rows, names, values, scores = [], [], [], []
        for row in range(self.dataset.n_queries):
            for name, column in self._columns.items():
                completion = self.dataset.completion(row, column)
                if completion is not None:
                    rows.append(row)
                    names.append(name)
                    values.append(self._confidence(row, name, completion))
                    scores.append(self.dataset.completion_score(row, column))
        if not rows:
            return None
        return Confidences(
            backend=tuple(names), confidence=np.array(values), score=np.array(scores), query=np.array(rows)
        )

    def _one(self, row: int, policy: Policy) -> Outcome:
        query, estimates = self.dataset.queries[row], self.estimates[row]
        if self._missing[row]:
            policy = replace(policy, deny=(*policy.deny, *self._missing[row]))
        flow = self.pool.flow(
            query,
            self.pool.decide(query, policy, estimates),
            assess=lambda name, completion: self._confidence(row, name, completion),
            read=lambda name, completion: self._answer(row, name, completion),
        )
        reply: Completion | None = None
        while True:
            try:
                name = next(flow) if reply is None else flow.send(reply)
            except StopIteration as end:
                outcome: Outcome = end.value
                return outcome
            reply = self._recorded(row, name)

    def _recorded(self, row: int, name: str) -> Completion:
        column = self._columns[name]
        found = self.dataset.completion(row, column)
        return replace(found or Completion(text=""), cost_usd=float(self.dataset.cost_usd[row, column]))

    def _confidence(self, row: int, name: str, completion: Completion) -> float:
        """Returns the confidence in a recorded answer; an answer whose text was not recorded keeps its estimate."""
        key = (row, name)
        if key not in self._confidences:
            estimates = self.estimates[row]
            estimate = float(estimates.quality[estimates.backends.index(name)])
            has_text = self.dataset.completion(row, self._columns[name]) is not None
            self._confidences[key] = (
                self.pool.confidence(self.dataset.queries[row], completion, backend=name, estimate=estimate)
                if has_text
                else estimate
            )
        return self._confidences[key]

    def _answer(self, row: int, name: str, completion: Completion) -> FinalAnswer | None:
        """Returns what a recorded answer comes to."""
        key = (row, name)
        if key not in self._answers:
            self._answers[key] = final_answer(completion)
        return self._answers[key]


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
