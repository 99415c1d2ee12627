"""The file that collected traces are appended to, made so that a kill at any moment costs no row."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import orjson

from ..errors import BadRow, TraceError
from ..prompts import Prompt
from ..readers import read_rows
from ..rows import Trace, Verdict, parse_count, parse_name, parse_score, parse_trace, shown
from ..traces import record_of, verdict_record

Key = tuple[str, str, int]  # query_id, backend, draw

_ENDINGS = (".jsonl", ".ndjson")
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PIECE = 1 << 16


class TraceFile:
    """A file of JSON lines that only grows. Each row is in the hands of the operating system once `append` returns."""

    def __init__(self, path: Path, file: int) -> None:
        self.path = path
        self.n_torn_bytes = 0  # of a last line that was cut off while it was written
        self._file = file

    def append(self, trace: Trace) -> None:
        """Adds a row.

        Raises:
            TraceError: the disk does not take it; the file is then as it was.
        """
        self._write(record_of(trace))

    def grade(self, key: Key, score: float) -> None:
        """Adds the score of a row that is there without one, as feedback on it.

        Raises:
            TraceError: as for `append`.
        """
        query_id, backend, draw = key
        self._write({"query_id": query_id, "backend": backend, "draw": draw, "score": score})

    def judge(self, row: Trace, verdict: Verdict) -> None:
        """Adds what a judge says of the answer of a row.

        Raises:
            TraceError: as for `append`.
        """
        self._write(verdict_record(row, verdict))

    def rows(self, prompts: Sequence[Prompt], *, with_texts_of: Collection[str] = ()) -> dict[Key, Trace]:
        """Returns the rows that are there, graded by the feedback on them; those with a score without their texts, but
        for answers of the backends in `with_texts_of`.

        Raises:
            TraceError: one is wrong, or belongs to a query that `prompts` tells differently.
        """
        asked = {prompt.query_id: prompt for prompt in prompts}
        found: dict[Key, Trace] = {}
        if os.fstat(self._file).st_size == 0:
            return found
        for raw in read_rows(self.path):
            try:
                if raw.problem:
                    raise BadRow(raw.problem)
                _take(raw.values, found, asked, with_texts_of)
            except BadRow as error:
                raise TraceError(f"{self.path}, line {raw.line}: {error}") from error
        return found

    def _write(self, record: Mapping[str, object]) -> None:
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        size = os.fstat(self._file).st_size
        try:
            n_written = os.write(self._file, line)
            if n_written < len(line):
                raise OSError(None, f"only {n_written} of {len(line)} bytes were taken; is the disk full?")
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, size)
            raise TraceError(f"{self.path}: cannot be written: {error.strerror or error}") from error

    def _mend(self) -> None:
        """Ends a last line that is whole, and cuts off one that is not."""
        size = os.fstat(self._file).st_size
        start = _start_of_last_line(self._file, size)
        if start == size:
            return
        os.lseek(self._file, start, os.SEEK_SET)
        line = b""
        while piece := os.read(self._file, _PIECE):
            line += piece
        try:
            is_whole = isinstance(orjson.loads(line), dict)
        except orjson.JSONDecodeError:
            is_whole = False
        if is_whole:
            os.write(self._file, b"\n")
        else:
            os.ftruncate(self._file, start)
            self.n_torn_bytes = size - start


@contextmanager
def open_trace_file(path: Path) -> Iterator[TraceFile]:
    """Yields the file, made where there is none, mended where its last line is torn, and locked.

    Raises:
        TraceError: its name has another ending, it cannot be opened, or somebody else is writing to it.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise TraceError(f"{path}: traces are appended as JSON lines; expected a name that ends in .jsonl")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, _FLAGS, 0o666)
    except OSError as error:
        raise TraceError(f"{path}: cannot be written: {error.strerror or error}") from error
    try:
        _lock(file, path)
        traces = TraceFile(path, file)
        traces._mend()
        yield traces
        with suppress(OSError):  # a pipe or the like has nothing to keep
            os.fsync(file)
    finally:
        os.close(file)


def _lock(file: int, path: Path) -> None:
    """Locks the file until it is closed, by a kill as well, where the system and the disk can."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise TraceError(f"{path}: another process is writing to it; expected one at a time") from error
    except OSError:
        return


def _start_of_last_line(file: int, size: int) -> int:
    """Returns where what follows the last line end begins: at `size` where nothing does."""
    end = size
    while end > 0:
        start = max(end - _PIECE, 0)
        os.lseek(file, start, os.SEEK_SET)
        place = os.read(file, end - start).rfind(b"\n")
        if place >= 0:
            return start + place + 1
        end = start
    return 0


def _take(
    values: Mapping[str, object], found: dict[Key, Trace], asked: Mapping[str, Prompt], with_texts_of: Collection[str]
) -> None:
    """Adds one row to those found, or its score where it is feedback."""
    if values.get("judged") is not None:
        return  # a verdict, which nothing here hangs on
    is_feedback = "query" not in values and "messages" not in values and values.get("score") is not None
    if is_feedback:
        key = (parse_name(values, "query_id"), parse_name(values, "backend"), parse_count(values, "draw") or 0)
        if key not in found:
            raise BadRow("column query: missing, and no row before has this query_id, backend and draw")
        graded = replace(found[key], score=parse_score(values))
        found[key] = graded if graded.backend in with_texts_of else _without_texts(graded)
        return
    trace = parse_trace(values)
    prompt = asked.get(trace.query_id)
    if prompt is not None:
        for column in ("query", "messages", "split", "group"):
            here, there = getattr(trace, column), getattr(prompt, column)
            if here != there:
                raise BadRow(
                    f"column {column}: {shown(here)} where {prompt.where} has {shown(there)} for the same query_id "
                    f"{shown(trace.query_id)}; expected the same prompts as before, or another file to write to"
                )
    key = (trace.query_id, trace.backend, trace.draw)
    earlier = found.get(key)
    if earlier is not None and earlier.score is not None and trace.score is None:
        return
    found[key] = trace if trace.score is None or trace.backend in with_texts_of else _without_texts(trace)


def _without_texts(trace: Trace) -> Trace:
    """Returns the row as far as it is needed once it has a score: a long file must fit into memory."""
    return replace(
        trace,
        query="",
        messages=None,
        response=None,
        logprobs=None,
        reasoning_logprobs=None,
        entropies=None,
        margins=None,
    )
