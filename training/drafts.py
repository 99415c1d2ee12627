"""Answers to drafts: which rows they are, and what they teach of handing answers over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..backends import BackendSpec
from ..backends.usage import estimated_tokens
from ..classifiers.difficulty import difficulty_of, fit_ability
from ..classifiers.handover import HandOver, fit_handover, level_of
from .errors import TraceError
from .evaluation import FloatArray
from .rows import Trace, shown

if TYPE_CHECKING:
    from .dataset import Dataset


def checkers_of(rows: Sequence[Trace], specs: Mapping[str, BackendSpec]) -> Set[str]:
    """Returns the backends that check drafts.

    Raises:
        TraceError: a scored answer of one of them is to no draft.
    """
    checkers = {row.backend for row in rows if row.draft_of} | {name for name in specs if specs[name].checks_draft}
    for row in rows:
        if row.backend in checkers and not row.draft_of and row.score is not None:
            raise TraceError(
                f"query_id {shown(row.query_id)}, backend {shown(row.backend)}: column draft_of: missing; expected the"
                " backend whose answer it was given, since it checks drafts"
            )
    return checkers


def checks_by_query(
    rows: Sequence[Trace], query_ids: Sequence[str], backends: Sequence[str], answers: NDArray[np.object_]
) -> tuple[tuple[tuple[Trace, ...], ...], int]:
    """Returns the answers to drafts, the first of each checker and drafter, by query; and how many rows are left out
    because the text of their draft is not among `answers` (n_queries, n_backends).
    """
    if not rows:
        return (), 0
    rows_of = {query_id: index for index, query_id in enumerate(query_ids)}
    columns_of = {name: index for index, name in enumerate(backends)}
    checks: list[dict[tuple[str, str], Trace]] = [{} for _ in query_ids]
    n_orphans = 0
    for trace in rows:
        row, column = rows_of.get(trace.query_id), columns_of.get(trace.draft_of)
        draft: Trace | None = None if row is None or column is None else answers.item(row, column)
        if row is None or draft is None or draft.response is None:
            n_orphans += 1
        else:
            checks[row].setdefault((trace.backend, trace.draft_of), trace)
    return tuple(tuple(found.values()) for found in checks), n_orphans


def fit_drafts(
    dataset: Dataset, estimates: FloatArray, confidences: FloatArray, expected: FloatArray
) -> HandOver | None:
    """Returns what the answers to drafts teach; None where they are too few.

    All out of fold: `estimates` and `confidences` (n_queries, n_backends), `expected` (n_queries, 3, n_backends) cost,
    tokens and latency. A draft in which nothing gives confidence is as likely to be right as was estimated.
    """
    cells = [(row, trace) for row, traces in enumerate(dataset.checks) for trace in traces]
    if not cells:
        return None
    rows = np.array([row for row, _ in cells])
    columns = np.array([dataset.backends.index(trace.draft_of) for _, trace in cells])
    confidence = confidences[rows, columns]
    drafts: list[Trace] = dataset.answers[rows, columns].tolist()
    taken = [(trace.cost_usd, trace.output_tokens, trace.latency_s) for _, trace in cells]
    return fit_handover(
        checkers=sorted({trace.backend for _, trace in cells}),
        drafters=dataset.backends,
        difficulty=difficulty_of(estimates, fit_ability(estimates))[rows],
        confidence=np.where(np.isfinite(confidence), confidence, estimates[rows, columns]),
        scores=np.array([trace.score for _, trace in cells], dtype=np.float64),
        taken=np.array(taken, dtype=np.float64),  # None becomes NaN
        levels=level_of(expected)[rows],
        draft_tokens=np.array([estimated_tokens(draft.response or "") for draft in drafts], dtype=np.float64),
        checker_of=[trace.backend for _, trace in cells],
        drafter_of=[trace.draft_of for _, trace in cells],
    )
