"""Tables out: CSV, JSONL or Parquet by the ending of the name, written beside their place and renamed."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from ..classifiers.whole_file import whole_file
from .errors import TraceError

ENDINGS = (".csv", ".csv.gz", ".jsonl", ".jsonl.gz", ".parquet")


def write_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path) -> int:
    """Writes the rows and returns how many there were; NaN is written as an empty cell, null in JSON.

    Raises:
        TraceError: the ending of the name is unknown, or the file cannot be written.
    """
    ending = ending_of(path)
    with whole_file(path, failure=TraceError) as scratch:
        if ending == ".parquet":
            return _write_parquet(rows, columns, scratch)
        return _write_lines(rows, columns, scratch, is_csv=".csv" in ending, is_gzip=ending.endswith(".gz"))


def ending_of(path: Path) -> str:
    """Returns the ending that tells the kind of table.

    Raises:
        TraceError: it is unknown.
    """
    for ending in ENDINGS:
        if path.name.endswith(ending):
            return ending
    raise TraceError(f"{path}: unknown kind of file; expected a name ending in {', '.join(ENDINGS)}")


def _write_lines(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path, *, is_csv: bool, is_gzip: bool
) -> int:
    n_rows = 0
    open_text = gzip.open if is_gzip else open
    with open_text(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        if is_csv:
            writer.writerow(columns)
        for row in rows:
            n_rows += 1
            values = [_plain(row.get(column)) for column in columns]
            if is_csv:
                writer.writerow(["" if value is None else value for value in values])
            else:
                file.write(orjson.dumps(dict(zip(columns, values, strict=True))).decode() + "\n")
    return n_rows


def _write_parquet(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], path: Path) -> int:
    """Goes through JSON lines, which DuckDB turns into Parquet in one statement."""
    import duckdb

    lines = path.with_name(f"{path.name}.jsonl")
    try:
        n_rows = _write_lines(rows, columns, lines, is_csv=False, is_gzip=False)
        with duckdb.connect() as connection:
            connection.execute(
                "CREATE TABLE t AS SELECT * FROM read_json(?, format='newline_delimited', sample_size=-1)", [str(lines)]
            )
            connection.table("t").write_parquet(str(path))
    finally:
        lines.unlink(missing_ok=True)
    return n_rows


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value
