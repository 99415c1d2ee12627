"""Labelled traces from files, checked, and back into a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import orjson

from ..backends import Query
from ..classifiers.whole_file import whole_file
from .errors import TraceError
from .gathering import Gathering
from .readers import find_files, read_rows
from .rows import Trace, Verdict

__all__ = ["Progress", "Trace", "Traces", "read_traces", "write_traces"]

Progress = Callable[[Path, int], None]  # told the file being read and the rows read so far, of all files

_ROWS_PER_REPORT = 1000
_NAMES = tuple(column.name for column in fields(Trace))


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """Rows in the order of the files, and what was noticed while reading them."""

    rows: tuple[Trace, ...]
    n_skipped: int = 0
    skipped: tuple[str, ...] = ()  # what was wrong with the first few skipped rows
    notes: tuple[str, ...] = ()  # sentences: skipped, dropped, converted
    sha256: str = ""  # of the content of the rows, whatever the format they came in


def read_traces(paths: Sequence[Path], *, skip_bad_rows: bool = False, progress: Progress | None = None) -> Traces:
    """Returns the traces of several files and folders.

    A row that has `query_id`, `backend` and `score` (and `draw`) but no query column is feedback:
    it grades a row that has no score, and the last feedback on a row counts.

    Args:
        paths: files or folders; of a folder, all trace files below it.
        skip_bad_rows: count bad rows rather than raise at the first.
        progress: called with the file and the number of rows read so far, now and then.

    Raises:
        TraceError: a file cannot be read, a row is wrong, rows contradict each other, or there are none.
    """
    gathering = gather(Gathering(files=find_files(paths), skip_bad_rows=skip_bad_rows), progress=progress)
    return Traces(
        rows=tuple(gathering.rows),
        n_skipped=gathering.n_skipped,
        skipped=tuple(gathering.skipped),
        notes=gathering.notes,
        sha256=_content_hash(gathering.rows),
    )


def gather(gathering: Gathering, *, progress: Progress | None = None) -> Gathering:
    """Returns the gathering once it has taken every row of its files."""
    n_read = 0
    for number, path in enumerate(gathering.files):
        for raw in read_rows(path):
            gathering.take(raw, file=number)
            n_read += 1
            if progress is not None and n_read % _ROWS_PER_REPORT == 0:
                progress(path, n_read)
        if progress is not None:
            progress(path, n_read)
    gathering.finish()
    return gathering


def write_traces(rows: Iterable[Trace], path: Path) -> None:
    """Writes rows as JSONL; the file appears under its name only when it is whole.

    Raises:
        TraceError: the name does not end in .jsonl, or the file cannot be written.
    """
    if path.suffix.lower() != ".jsonl":
        raise TraceError(f"{path}: cannot be written as JSONL; expected a name that ends in .jsonl")
    with whole_file(path, failure=TraceError) as scratch, scratch.open("wb") as file:
        for row in rows:
            for record in (record_of(row), *(verdict_record(row, verdict) for verdict in row.verdicts)):
                file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def record_of(row: Trace) -> dict[str, object]:
    """Returns the row as JSON has it, columns that say nothing left out; verdicts are rows of their own."""
    record = {name: value for name in _NAMES if name != "verdicts" and (value := getattr(row, name)) not in (None, "")}
    if row.messages is not None and Query(messages=row.messages).text == row.query:
        del record["query"]  # it is read back from the messages
    if row.draw == 0:
        del record["draw"]
    return record


def verdict_record(row: Trace, verdict: Verdict) -> dict[str, object]:
    """Returns the row that says what a judge thinks of a row's answer."""
    record = {
        "query_id": row.query_id,
        "backend": verdict.judge,
        "judged": row.backend,
        "verdict": verdict.right,
        "cost_usd": verdict.cost_usd,
        "draw": row.draw or None,
    }
    return {name: value for name, value in record.items() if value is not None}


def _content_hash(rows: Iterable[Trace]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        values = [getattr(row, name) for name in _NAMES]
        digest.update(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()
