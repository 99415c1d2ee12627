"""The log of a running router, request by request: what was asked, with which chance, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..backends import Query
from .errors import TraceError
from .gathering import Gathering
from .readers import find_files
from .rows import Trace
from .traces import Progress, gather


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One answered request: the calls on the way to its answer, and those made beside them."""

    query: Query | None  # None: the log holds no content
    calls: tuple[Trace, ...]

    @property
    def query_id(self) -> str:
        """The id that all its calls share."""
        return self.calls[0].query_id

    @property
    def answer(self) -> Trace:
        """The call whose answer was returned."""
        return next(call for call in self.calls if call.final)

    @property
    def cost_usd(self) -> float:
        """What the calls of the cascade cost together."""
        calls = [call for call in self.calls if call.step is not None]
        verdicts = [verdict for call in calls for verdict in call.verdicts]
        return sum(call.cost_usd or 0.0 for call in calls) + sum(verdict.cost_usd or 0.0 for verdict in verdicts)

    def find(self, backend: str) -> Trace | None:
        """Returns the call that this backend answered with a known chance, if there is one."""
        for call in self.calls:
            if call.backend == backend and call.is_answer and call.propensity is not None:
                return call
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """The answered requests of a log, and how many there were that got no answer."""

    requests: tuple[LoggedRequest, ...]
    n_unanswered: int
    notes: tuple[str, ...]

    @property
    def shadows(self) -> list[Trace]:
        """The calls that were made beside the requests."""
        return [call for request in self.requests for call in request.calls if call.step is None]

    def without(self, query_ids: Iterable[str]) -> Log:
        """Returns the log but for the requests of these ids; the notes tell how many they were.

        Raises:
            TraceError: nothing is left.
        """
        left_out = set(query_ids)
        kept = tuple(request for request in self.requests if request.query_id not in left_out)
        n_gone = len(self.requests) - len(kept)
        if not kept:
            raise TraceError("the log holds no request that was not learned from; expected some, or --split all")
        gone = (f"Of the log, {n_gone:,} graded requests are left out that training on it learns from.",)
        return replace(self, requests=kept, notes=(*self.notes, *(gone if n_gone else ())))


def read_log(paths: Sequence[Path], *, skip_bad_rows: bool = False, progress: Progress | None = None) -> Log:
    """Returns the requests in files and folders of a log, with or without content, feedback joined to their answers.

    Raises:
        TraceError: a file cannot be read, a row is wrong, or no request was answered.
    """
    files = find_files(paths)
    gathering = gather(Gathering(files=files, skip_bad_rows=skip_bad_rows, is_for_texts=False), progress=progress)
    calls: dict[str, list[Trace]] = {}
    for row in gathering.rows:
        if row.final is not None:
            calls.setdefault(row.query_id, []).append(row)
    requests = tuple(_request(rows) for rows in calls.values() if any(row.final for row in rows))
    if not requests:
        names = ", ".join(map(str, paths))
        raise TraceError(f"{names}: no answered request; expected the log of a running router, with column final")
    return Log(
        requests=requests,
        n_unanswered=len(calls) - len(requests) + len(gathering.refused - calls.keys()),
        notes=gathering.notes,
    )


def _request(calls: Sequence[Trace]) -> LoggedRequest:
    first = calls[0]
    query = None
    if first.messages is not None:
        query = Query.from_messages(first.messages, id=first.query_id)
    elif first.query:
        query = Query.from_text(first.query, id=first.query_id)
    return LoggedRequest(query=query, calls=tuple(calls))
