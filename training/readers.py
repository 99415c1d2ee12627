"""From a file of traces to its rows: JSONL, CSV and Parquet, each also compressed."""

from __future__ import annotations

import csv
import glob
import gzip
import json
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from .errors import TraceError
from .preferences import PREFERENCE_COLUMNS
from .rows import COLUMNS, NUMBERS, VERDICT_COLUMNS, Values, shown

if TYPE_CHECKING:
    import duckdb

KNOWN_COLUMNS = tuple(dict.fromkeys((*COLUMNS, *VERDICT_COLUMNS, *PREFERENCE_COLUMNS)))
_FEEDBACK_COLUMNS = frozenset({"query_id", "backend", "score", "draw"})
_ROWS_AT_ONCE = 1024
_FIELD_LIMIT = 2**31 - 1  # the largest that every platform's csv module takes; its own default cuts at 128 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row as the file holds it, or why it could not be taken apart."""

    line: int  # where it starts, counted from 1; of Parquet the number of the row
    values: Values
    problem: str = ""


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Returns the trace files that `paths` name, each once; of a folder all below it, in the order of their names.

    Raises:
        TraceError: a path does not exist, has no known ending, or is a folder without a trace file.
    """
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if _reader_of(file) is not None and file.is_file())
            if not found:
                raise TraceError(f"{path}: no trace file in this folder; expected names that end in {_endings()}")
        elif not path.exists():
            raise TraceError(f"{path}: no such file or folder")
        elif _reader_of(path) is None:
            raise TraceError(f"{path}: unknown kind of file; expected a name that ends in {_endings()}")
        else:
            found = [path]
        for file in found:
            files.setdefault(file.resolve(), file)
    if not files:
        raise TraceError("no traces: expected at least one file or folder")
    return list(files.values())


def read_rows(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[RawRow]:
    """Yields the rows of one file; columns that are not asked for may be left out.

    Args:
        columns: those of a file that holds no traces, of which only `query` or `messages` is required.
            None: those of traces and preferences.

    Raises:
        TraceError: the file as a whole cannot be read, or lacks a required column.
    """
    reader = _reader_of(path)
    if reader is None:
        raise TraceError(f"{path}: unknown kind of file; expected a name that ends in {_endings()}")
    try:
        yield from reader(path, columns)
    except (OSError, EOFError, zlib.error, _zstd_error()) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TraceError(f"{path}: cannot be read: {reason}") from error


def _read_jsonl(path: Path, _columns: Sequence[str] | None) -> Iterator[RawRow]:
    with _open(path) as file:
        for line, content in enumerate(file, start=1):
            content = content.removeprefix(b"\xef\xbb\xbf") if line == 1 else content
            if content.strip():
                yield _parse_json_line(line, content)


def _parse_json_line(line: int, content: bytes) -> RawRow:
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError:
        try:
            # Slower, but it reads NaN, so that the message can name the column that holds it.
            values = json.loads(content.decode())
        except UnicodeDecodeError as error:
            problem = f"not UTF-8: {shown(content[error.start : error.start + 4])} at byte {error.start} of the line"
            return RawRow(line=line, values={}, problem=problem)
        except (ValueError, RecursionError) as error:
            problem = f"not JSON: {shown(content.decode().strip())}: {error}"
            return RawRow(line=line, values={}, problem=problem)
        if problem := _lone_surrogate(values):
            return RawRow(line=line, values={}, problem=problem)
    if not isinstance(values, dict):
        return RawRow(line=line, values={}, problem=f"{shown(values)}; expected a JSON object with a key per column")
    return RawRow(line=line, values=values)


def _lone_surrogate(values: object) -> str:
    """Returns what is wrong where some text of a row is no Unicode, as "\\ud800" in JSON; '' where all is well."""
    for column, value in values.items() if isinstance(values, dict) else ():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return f"column {column}: {shown(value)} holds half a surrogate pair; expected Unicode text"
    return ""


def _read_csv(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    bad_lines: dict[int, str] = {}
    with _open(path) as file, _any_field_size():
        reader = csv.reader(_decode_lines(file, bad_lines))
        header: list[str] | None = None
        while True:
            line = reader.line_num + 1
            try:
                cells = next(reader, None)
                problem = ""
            except csv.Error as error:
                cells, problem = [], f"not CSV: {error}"
            if cells is None:
                return
            problem = next(iter(bad_lines.values()), problem)
            bad_lines.clear()
            if not cells and not problem:
                continue
            if header is None:
                if problem:
                    raise TraceError(f"{path}, line {line}: {problem}")
                header = _check_header(path, cells, columns)
            elif problem:
                yield RawRow(line=line, values={}, problem=problem)
            elif len(cells) != len(header):
                problem = f"{len(cells)} fields, from {shown(cells[0])} on; expected {len(header)}, as in the header"
                yield RawRow(line=line, values={}, problem=problem)
            else:
                yield RawRow(line=line, values=_csv_values(header, cells))


def _decode_lines(file: BufferedIOBase, bad_lines: dict[int, str]) -> Iterator[str]:
    for line, content in enumerate(file, start=1):
        try:
            yield content.decode("utf-8-sig" if line == 1 else "utf-8")
        except UnicodeDecodeError as error:
            where = f"byte {error.start} of line {line}"
            bad_lines[line] = f"not UTF-8: {shown(content[error.start : error.start + 4])} at {where}"
            yield content.decode(errors="replace")


def _csv_values(header: list[str], cells: list[str]) -> Values:
    values: dict[str, object] = {}
    for column, cell in zip(header, cells, strict=True):
        if cell == "":
            values[column] = None
        elif column in NUMBERS:
            values[column] = _csv_number(cell)
        else:
            values[column] = cell
    return values


def _csv_number(cell: str) -> object:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(cell.strip().lower(), cell)


@contextmanager
def _any_field_size() -> Iterator[None]:
    """Lets a CSV field be as long as a query may be; the limit belongs to the process, so it is put back."""
    before = csv.field_size_limit(_FIELD_LIMIT)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_parquet(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    import duckdb

    with _uncompressed(path) as plain, duckdb.connect(config={"autoload_known_extensions": "false"}) as connection:
        try:
            for row, values in enumerate(_query_parquet(connection, path, plain, columns), start=1):
                yield _parquet_row(row, values)
        except (duckdb.Error, UnicodeError) as error:
            reason = str(error).partition("\n")[0].replace(str(plain), "the file")
            raise TraceError(f"{path}: cannot be read as Parquet: {reason}") from error


def _query_parquet(
    connection: duckdb.DuckDBPyConnection, path: Path, plain: Path, columns: Sequence[str] | None
) -> Iterator[Values]:
    # The path is a bound value, and a pattern only to DuckDB: escaped, it names nothing but itself.
    source = [glob.escape(str(plain))]
    table = "read_parquet(?, hive_partitioning=false)"
    described = connection.execute(f"DESCRIBE SELECT * FROM {table}", source).fetchall()
    known = KNOWN_COLUMNS if columns is None else columns
    header = _check_header(path, [row[0] for row in described], columns)
    found = [column for column in header if column in known]
    selected = ", ".join(f'"{column}"' for column in found)  # only names that this code knows
    cursor = connection.execute(f"SELECT {selected} FROM {table}", source)
    unread: Values = dict.fromkeys(header)  # told of by the first row; their cells are not loaded
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            yield {**unread, **dict(zip(found, row, strict=True))}
            unread = {}


def _parquet_row(row: int, values: Values) -> RawRow:
    plain: dict[str, object] = {}
    for column, value in values.items():
        if isinstance(value, bytes):  # text written without the mark that says so
            try:
                value = value.decode()
            except UnicodeDecodeError as error:
                problem = f"column {column}: not UTF-8: {shown(value[error.start : error.start + 4])}"
                return RawRow(line=row, values={}, problem=problem)
        elif column == "messages" and isinstance(value, list):
            # A struct has every key in every message; those that a message lacks come as None.
            value = [
                {key: item for key, item in message.items() if item is not None}
                if isinstance(message, dict)
                else message
                for message in value
            ]
        plain[column] = value
    return RawRow(line=row, values=plain)


def _check_header(path: Path, header: list[str], columns: Sequence[str] | None) -> list[str]:
    repeated = {column for column in header if header.count(column) > 1}
    if repeated:
        raise TraceError(f"{path}: column {shown(min(repeated))} appears twice; expected one of each name")
    is_preference = "backend" not in header and "winner" in header
    needed = ["backend_a", "backend_b", "winner"] if is_preference else ["query_id", "backend"]
    missing = [column for column in needed if column not in header] if columns is None else []
    is_feedback = columns is None and "score" in header and _FEEDBACK_COLUMNS.issuperset(header)  # on another file's
    if not {"query", "messages"} & set(header) and not is_feedback:
        missing.append("query")
    if missing:
        found = ", ".join(map(shown, header[:30]))
        raise TraceError(f"{path}: column {', '.join(missing)} is missing; found {found}")
    return header


def _open(path: Path) -> BufferedIOBase:
    ending = path.suffix.lower()
    if ending == ".gz":
        return gzip.open(path, "rb")
    if ending == ".zst":
        return _open_zstd(path)
    return path.open("rb")


def _open_zstd(path: Path) -> BufferedIOBase:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.open(path, "rb")


def _zstd_error() -> type[Exception]:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    error: type[Exception] = zstd.ZstdError
    return error


@contextmanager
def _uncompressed(path: Path) -> Iterator[Path]:
    if path.suffix.lower() == ".parquet":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "traces.parquet")
        with _open(path) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target)
        yield plain


_Reader = Callable[[Path, Sequence[str] | None], Iterator[RawRow]]

_READERS: dict[str, _Reader] = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
_COMPRESSIONS = (".gz", ".zst")


def _reader_of(path: Path) -> _Reader | None:
    name = path.name.lower()
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    return _READERS.get(Path(name).suffix)


def _endings() -> str:
    return f"{', '.join(_READERS)}, each also with {' or '.join(_COMPRESSIONS)}"
