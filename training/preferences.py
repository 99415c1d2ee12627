"""Pairwise preferences: which of two backends answered better, turned into a score for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from .errors import BadRow
from .rows import Trace, Values, parse_amount, parse_label, parse_name, parse_query, parse_text, shown

PREFERENCE_COLUMNS = (
    "query_id",
    "query",
    "messages",
    "backend_a",
    "backend_b",
    "winner",
    "response_a",
    "response_b",
    "cost_usd_a",
    "cost_usd_b",
    "task",
    "dataset",
    "split",
    "group",
)

LOG_COMPARISON_COLUMNS = ("query_id", "backend", "other_query_id", "other_backend", "winner")

Place = TypeVar("Place")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """One comparison: the outcome of either backend, winner 1, loser 0, a tie 0.5 each."""

    a: Trace
    b: Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed(Generic[Place]):
    """A trace and the place of the row that it came from."""

    trace: Trace
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class LogComparison:
    """One comparison of two answers in the trace log, each named by query_id and backend."""

    sides: tuple[tuple[str, str], tuple[str, str]]
    scores: tuple[float, float]


def is_log_comparison(values: Values) -> bool:
    """Returns whether a row compares two answers that have rows of their own."""
    return values.get("winner") is not None and values.get("other_backend") is not None


def parse_log_comparison(values: Values) -> LogComparison:
    """Returns the comparison that a row of the trace log holds.

    Raises:
        BadRow: a column is missing, or holds what is not allowed.
    """
    winner = parse_text(values, "winner") or ""
    if winner not in _LOG_SCORES:
        raise BadRow(f"column winner: {shown(winner)}; expected one of {', '.join(_LOG_SCORES)}")
    sides = (
        (parse_name(values, "query_id"), parse_name(values, "backend")),
        (parse_name(values, "other_query_id"), parse_name(values, "other_backend")),
    )
    return LogComparison(sides=sides, scores=_LOG_SCORES[winner])


_LOG_SCORES = {"this": (1.0, 0.0), "other": (0.0, 1.0), "tie": (0.5, 0.5)}


def is_preference(values: Values) -> bool:
    """Returns whether a row compares two backends rather than telling the outcome of one."""
    compares = values.get("winner") is not None or values.get("backend_a") is not None
    return compares and values.get("backend") is None


def parse_preference(values: Values) -> Preference:
    """Returns the comparison that a row of a file holds.

    A row without `query_id` gets one from its text. Besides the columns of a trace, `response_a`,
    `response_b`, `cost_usd_a` and `cost_usd_b` may tell more of either side.

    Raises:
        BadRow: a column is missing, or holds what is not allowed.
    """
    query, messages = parse_query(values)
    name_a, name_b = parse_name(values, "backend_a"), parse_name(values, "backend_b")
    if name_a == name_b:
        raise BadRow(f"column backend_b: {shown(name_b)} is backend_a too; expected two different backends")
    score_a = _score_of_a(values, name_a, name_b)
    a = Trace(
        query_id=parse_label(values, "query_id") or f"query-{hashlib.sha256(query.encode()).hexdigest()[:16]}",
        query=query,
        messages=messages,
        backend=name_a,
        score=score_a,
        response=parse_text(values, "response_a"),
        cost_usd=parse_amount(values, "cost_usd_a"),
        task=parse_text(values, "task") or "",
        dataset=parse_text(values, "dataset") or "",
        split=parse_text(values, "split") or "",
        group=parse_label(values, "group"),
    )
    b = replace(
        a,
        backend=name_b,
        score=1 - score_a,
        response=parse_text(values, "response_b"),
        cost_usd=parse_amount(values, "cost_usd_b"),
    )
    return Preference(a=a, b=b)


def _score_of_a(values: Values, name_a: str, name_b: str) -> float:
    winner = parse_text(values, "winner")
    scores = {"a": 1.0, "backend_a": 1.0, "b": 0.0, "backend_b": 0.0, "tie": 0.5, name_a: 1.0, name_b: 0.0}
    if winner is None or winner not in scores:
        allowed = f"a, b, tie, {shown(name_a)} or {shown(name_b)}"
        raise BadRow(f"column winner: {shown(winner)}; expected one of {allowed}")
    return scores[winner]


def average(sides: Iterable[Placed[Place]]) -> list[Placed[Place]]:
    """Returns one trace for every answer that was compared, its score the mean over its comparisons.

    Answers of one backend to one query are told apart by their text and numbered as draws. Each
    keeps the place of its first comparison.
    """
    answers: dict[tuple[str, str], dict[str | None, list[Placed[Place]]]] = {}
    for side in sides:
        cell = answers.setdefault((side.trace.query_id, side.trace.backend), {})
        cell.setdefault(side.trace.response, []).append(side)
    averaged = []
    for cell in answers.values():
        for draw, compared in enumerate(cell.values()):
            score = sum(side.trace.score or 0.0 for side in compared) / len(compared)
            costs = [side.trace.cost_usd for side in compared if side.trace.cost_usd is not None]
            cost_usd = sum(costs) / len(costs) if costs else None
            first = compared[0]
            trace = replace(first.trace, score=score, cost_usd=cost_usd, draw=draw)
            averaged.append(Placed(trace=trace, place=first.place))
    return averaged
