"""Rows of CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

from ..errors import TraceError
from ..rows import NUMBERS, Values, shown
from .compressed import open_plain
from .raw_row import RawRow, check_header

_FIELD_LIMIT = 2**31 - 1  # the largest that every platform's csv module takes; its own default cuts at 128 KiB


def read_csv(path: Path, columns: Sequence[str] | None) -> Iterator[RawRow]:
    """Yields the rows of a file; `columns` as for `read_rows`."""
    bad_lines: dict[int, str] = {}
    with open_plain(path) as file, _any_field_size():
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
                header = check_header(path, cells, columns)
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
