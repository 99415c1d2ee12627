"""Rows of Parquet, through DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from ..errors import TraceError
from ..rows import Values, shown
from .compressed import uncompressed
from .raw_row import KNOWN_COLUMNS, RawRow, check_header

if TYPE_CHECKING:
    import duckdb

_ROWS_AT_ONCE = 1024


def read_parquet(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    """Yields the rows of a file; `columns` as for `read_rows`."""
    import duckdb

    with uncompressed(path) as plain, duckdb.connect(config={"autoload_known_extensions": "false"}) as connection:
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
    header = check_header(path, [row[0] for row in described], columns)
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
        elif isinstance(value, UUID):
            value = str(value)
        elif column == "messages":
            value = _without_none(value)
        plain[column] = value
    return RawRow(line=row, values=plain)


def _without_none(value: object) -> object:
    """Returns messages without what is None: a struct has every key in every message and in every part of one."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return value
