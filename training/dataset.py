"""Traces as arrays: what every backend scored and cost on every query."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..backends import BackendSpec, Completion, Query, Usage
from ..backends.samples import sample_name
from ..classifiers import question_of
from .costs import CountTokens, price_traces
from .drafts import checkers_of, checks_by_query
from .errors import TraceError
from .evaluation import FloatArray, IntArray
from .rows import Trace, shown
from .traces import Traces

_Item = TypeVar("_Item")

RIGHT = 0.5  # the score from which an answer counts as right where only right and wrong are told apart


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dataset:
    """Queries by backends. A cell that no scored trace fills is not observed: NaN, and 0 draws."""

    query_ids: tuple[str, ...]  # n_queries, in the order of the traces
    queries: tuple[Query, ...]
    backends: tuple[str, ...]  # n_backends
    quality: FloatArray  # (n_queries, n_backends) mean score over draws, NaN = not observed
    n_draws: IntArray  # (n_queries, n_backends)
    cost_usd: FloatArray  # (n_queries, n_backends) mean over draws, NaN = not observed
    input_tokens: FloatArray  # (n_queries, n_backends) mean over draws; in these four NaN = not known
    output_tokens: FloatArray
    reasoning_tokens: FloatArray
    latency_s: FloatArray
    answers: NDArray[np.object_]  # (n_queries, n_backends) the Trace of the lowest draw, None = not observed
    tasks: tuple[str, ...]  # n_queries; in these four '' = not known
    datasets: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    checks: tuple[tuple[Trace, ...], ...] = ()  # n_queries: scored answers to drafts, which are in no matrix; () = none
    notes: tuple[str, ...] = ()  # sentences: what was computed, dropped, or looks odd

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.query_ids)

    @property
    def n_backends(self) -> int:
        """The number of backends."""
        return len(self.backends)

    @property
    def texts(self) -> tuple[str, ...]:
        """What every query asks, as `question_of` has it."""
        return tuple(question_of(query) for query in self.queries)

    @property
    def has_answers(self) -> bool:
        """Whether the text of any answer was recorded, so that a cascade can do more than route."""
        traces: list[Trace | None] = self.answers.ravel().tolist()
        return any(trace is not None and trace.response is not None for trace in traces)

    def completion(self, query: int, backend: int) -> Completion | None:
        """Returns the recorded answer of the lowest draw; None where no text of it was recorded."""
        trace: Trace | None = self.answers[query, backend]
        return None if trace is None else completion_of(trace)

    def completion_score(self, query: int, backend: int) -> float:
        """Returns the score of that very answer, where `quality` is the mean over draws; NaN if not observed."""
        trace: Trace | None = self.answers[query, backend]
        return math.nan if trace is None or trace.score is None else trace.score

    def as_answered(self) -> Dataset:
        """Returns the dataset with the score and cost of the very answers recorded, where there are draws of which
        `quality` and `cost_usd` are the means; cells without a recorded text keep their means."""
        quality, cost = self.quality.copy(), self.cost_usd.copy()
        for row, column in np.argwhere(self.n_draws > 1):
            trace: Trace = self.answers[row, column]
            if trace.response is not None and trace.score is not None:
                quality[row, column] = trace.score
                cost[row, column] = cost[row, column] if trace.cost_usd is None else trace.cost_usd
        return replace(self, quality=quality, cost_usd=cost)

    def take(self, indexes: ArrayLike) -> Dataset:
        """Returns the queries at these indexes, or those where a mask is true; the notes stay."""
        chosen = np.asarray(indexes)
        chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen.astype(np.int64)
        return Dataset(
            query_ids=_pick(self.query_ids, chosen),
            queries=_pick(self.queries, chosen),
            backends=self.backends,
            quality=self.quality[chosen],
            n_draws=self.n_draws[chosen],
            cost_usd=self.cost_usd[chosen],
            input_tokens=self.input_tokens[chosen],
            output_tokens=self.output_tokens[chosen],
            reasoning_tokens=self.reasoning_tokens[chosen],
            latency_s=self.latency_s[chosen],
            answers=self.answers[chosen],
            tasks=_pick(self.tasks, chosen),
            datasets=_pick(self.datasets, chosen),
            splits=_pick(self.splits, chosen),
            groups=_pick(self.groups, chosen),
            checks=_pick(self.checks, chosen) if self.checks else (),
            notes=self.notes,
        )


def completion_of(trace: Trace) -> Completion | None:
    """Returns the answer that a trace records, None where its text was not recorded."""
    if trace.response is None:
        return None
    usage = Usage(
        input_tokens=trace.input_tokens or 0,
        output_tokens=trace.output_tokens or 0,
        reasoning_tokens=trace.reasoning_tokens or 0,
        is_estimated=trace.input_tokens is None or trace.output_tokens is None,
    )
    return Completion(
        text=trace.response,
        usage=usage,
        logprobs=trace.logprobs,
        reasoning_logprobs=trace.reasoning_logprobs,
        entropies=trace.entropies,
        margins=trace.margins,
        model=trace.backend,
        latency_s=trace.latency_s or 0.0,
        cost_usd=trace.cost_usd,
    )


def recorded_verdict(trace: Trace, judge: str, *, expected_usd: float = 0.0) -> Completion | None:
    """Returns what a judge said of a recorded answer, None where it was not asked.

    A verdict of which no cost was recorded cost what was expected.
    """
    for verdict in trace.verdicts:
        if verdict.judge == judge:
            word, sure = ("yes", verdict.right) if verdict.right >= RIGHT else ("no", 1 - verdict.right)
            cost_usd = expected_usd if verdict.cost_usd is None else verdict.cost_usd
            return Completion(text=word, logprobs=(math.log(sure),), cost_usd=cost_usd)
    return None


def build_dataset(
    traces: Traces | Sequence[Trace],
    *,
    specs: Mapping[str, BackendSpec] | None = None,
    backends: Sequence[str] | None = None,
    count_tokens: CountTokens | None = None,
    allow_missing: bool = False,
) -> Dataset:
    """Returns the scored traces as arrays.

    Args:
        specs: the backends of models.yaml, whose prices complete missing costs. Every backend of the
            traces has to be among them.
        backends: the columns wanted, in this order; rows of others are left out. None: those of the
            traces, sorted.
        count_tokens: counts the tokens of a text, for rows with neither cost nor tokens.
        allow_missing: accept a backend of `specs` or `backends` without any scored trace. One of
            `backends` becomes a column of NaN, one of `specs` is left out.

    Raises:
        TraceError: no row has a score, a cost cannot be had, the backends do not match, or rows
            contradict each other.
    """
    given = tuple(traces.rows if isinstance(traces, Traces) else traces)
    checkers = checkers_of(given, specs or {})
    rows = _as_samples([row for row in given if not row.draft_of], {*(specs or ()), *(backends or ())})
    notes = list(traces.notes) if isinstance(traces, Traces) else []
    if specs is not None:
        _check_known({row.backend for row in rows}, specs)
    scored = [row for row in rows if row.score is not None]
    if not scored:
        raise TraceError(f"none of {len(rows)} rows has a score; expected a number from 0 to 1 in column score")
    if len(scored) < len(rows):
        notes.append(f"Rows without a score left out: {len(rows) - len(scored)} of {len(rows)}.")
    if backends is not None:
        wanted = [row for row in scored if row.backend in backends]
        if len(wanted) < len(scored):
            others = sorted({row.backend for row in scored} - set(backends))
            notes.append(f"Rows of other backends ({', '.join(others)}) left out: {len(scored) - len(wanted)}.")
        scored = wanted
    traced = {row.backend for row in scored}
    required = backends if backends is not None else specs if specs is not None else ()
    untraced = [name for name in required if name not in traced and name not in checkers]
    if untraced and (not allow_missing or not scored):
        found = ", ".join(sorted({row.backend for row in rows}))
        raise TraceError(f"backend {shown(untraced[0])}: no scored trace; the traces have {found}")
    priced, cost_notes = price_traces(scored, specs=specs, count_tokens=count_tokens)
    dataset = _fill(priced, tuple(backends) if backends is not None else tuple(sorted(traced)))
    scored_checks = [row for row in given if row.draft_of and row.score is not None]
    if specs is not None:
        _check_known({row.backend for row in scored_checks}, specs)
    priced_checks, check_notes = price_traces(scored_checks, specs=specs, count_tokens=count_tokens)
    checks, n_orphans = checks_by_query(priced_checks, dataset.query_ids, dataset.backends, dataset.answers)
    if n_orphans:
        check_notes.append(
            f"Answers to drafts left out, since the drafts are not among the graded answers: {n_orphans}."
        )
    return replace(dataset, checks=checks, notes=(*notes, *cost_notes, *check_notes, *_one_sided(dataset)))


def _as_samples(rows: Sequence[Trace], known: Set[str]) -> tuple[Trace, ...]:
    """Returns the rows, repeated draws being those of a backend of their own (`small#2`) where that is known."""
    names = [sample_name(row.backend, row.draw) for row in rows]
    return tuple(
        replace(row, backend=name, draw=0) if row.draw and name in known else row
        for row, name in zip(rows, names, strict=True)
    )


def _check_known(traced: Iterable[str], specs: Mapping[str, BackendSpec]) -> None:
    unknown = sorted(set(traced) - set(specs))
    if unknown:
        known = ", ".join(specs)
        raise TraceError(f"backend {shown(unknown[0])} of the traces is not in models.yaml; expected one of {known}")


@dataclass(slots=True)
class _Facts:
    """What the rows of one query say of the query itself."""

    first: Trace
    labels: dict[str, str] = field(default_factory=dict)

    def add(self, trace: Trace) -> None:
        if trace.query != self.first.query:
            raise TraceError(f"query_id {shown(trace.query_id)} has two texts; expected one")
        for column in ("task", "dataset", "split", "group"):
            here = getattr(trace, column)
            there = self.labels.setdefault(column, here) or here
            if here not in ("", there) and column in ("split", "group"):
                known = f"{shown(there)} and {shown(here)}"
                raise TraceError(f"query_id {shown(trace.query_id)} has two values of {column}: {known}; expected one")
            self.labels[column] = there
        if self.first.messages is None and trace.messages is not None:
            self.first = trace

    @property
    def query(self) -> Query:
        if self.first.messages is not None:
            return Query.from_messages(self.first.messages, id=self.first.query_id)
        return Query.from_text(self.first.query, id=self.first.query_id)


def _fill(traces: Sequence[Trace], backends: tuple[str, ...]) -> Dataset:
    facts: dict[str, _Facts] = {}
    for trace in traces:
        facts.setdefault(trace.query_id, _Facts(trace)).add(trace)
    rows_of = {query_id: index for index, query_id in enumerate(facts)}
    columns_of = {name: index for index, name in enumerate(backends)}
    cells = np.array([(rows_of[trace.query_id], columns_of[trace.backend]) for trace in traces], dtype=np.int64)
    shape = (len(facts), len(backends))

    def mean(column: str) -> FloatArray:
        values = np.array([getattr(trace, column) for trace in traces], dtype=np.float64)  # None becomes NaN
        return _mean_by_cell(values, cells, shape)

    n_draws = np.zeros(shape, dtype=np.int64)
    np.add.at(n_draws, (cells[:, 0], cells[:, 1]), 1)
    return Dataset(
        query_ids=tuple(facts),
        queries=tuple(fact.query for fact in facts.values()),
        backends=backends,
        quality=mean("score"),
        n_draws=n_draws,
        cost_usd=mean("cost_usd"),
        input_tokens=mean("input_tokens"),
        output_tokens=mean("output_tokens"),
        reasoning_tokens=mean("reasoning_tokens"),
        latency_s=mean("latency_s"),
        answers=_lowest_draws(traces, cells, shape),
        tasks=tuple(fact.labels["task"] for fact in facts.values()),
        datasets=tuple(fact.labels["dataset"] for fact in facts.values()),
        splits=tuple(fact.labels["split"] for fact in facts.values()),
        groups=tuple(fact.labels["group"] for fact in facts.values()),
    )


def _mean_by_cell(values: FloatArray, cells: IntArray, shape: tuple[int, int]) -> FloatArray:
    """Returns the mean of the values that fall into each cell, NaN among them not counted."""
    is_known = ~np.isnan(values)
    where = (cells[is_known, 0], cells[is_known, 1])
    sums = np.zeros(shape)
    counts = np.zeros(shape)
    np.add.at(sums, where, values[is_known])
    np.add.at(counts, where, 1.0)
    means = np.full(shape, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _lowest_draws(traces: Sequence[Trace], cells: IntArray, shape: tuple[int, int]) -> NDArray[np.object_]:
    answers = np.full(shape, None, dtype=np.object_)
    seen: set[tuple[int, int, int]] = set()
    for trace, (row, column) in zip(traces, cells.tolist(), strict=True):
        if (row, column, trace.draw) in seen:
            cell = f"query_id {shown(trace.query_id)}, backend {shown(trace.backend)}, draw {trace.draw}"
            raise TraceError(f"{cell}: two rows; expected one each, or repeated samples numbered in column draw")
        seen.add((row, column, trace.draw))
        there: Trace | None = answers[row, column]
        if there is None or trace.draw < there.draw:
            answers[row, column] = trace
    return answers


def _one_sided(dataset: Dataset) -> list[str]:
    """Returns a sentence for every backend of which nothing can be learned about when it fails."""
    notes = []
    for column, backend in enumerate(dataset.backends):
        scores = dataset.quality[:, column]
        is_right = scores[~np.isnan(scores)] >= RIGHT
        if is_right.size and (is_right.all() or not is_right.any()):
            verdict = "right" if is_right[0] else "wrong"
            notes.append(f"Backend {backend} is {verdict} on all of its {is_right.size} queries.")
    return notes


def _pick(items: tuple[_Item, ...], chosen: IntArray) -> tuple[_Item, ...]:
    return tuple(items[index] for index in chosen.tolist())
