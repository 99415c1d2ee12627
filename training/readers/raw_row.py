"""A row as a file holds it, and the header of those files that have one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import TraceError
from ..preferences import LOG_COMPARISON_COLUMNS, PREFERENCE_COLUMNS
from ..rows import COLUMNS, VERDICT_COLUMNS, Values, shown

KNOWN_COLUMNS = tuple(dict.fromkeys((*COLUMNS, *VERDICT_COLUMNS, *PREFERENCE_COLUMNS, *LOG_COMPARISON_COLUMNS)))
_FEEDBACK_COLUMNS = frozenset({"query_id", "backend", "score", "draw"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row as the file holds it, or why it could not be taken apart."""

    line: int  # where it starts, counted from 1; of Parquet the number of the row
    values: Values
    problem: str = ""


def place_of(path: Path, line: int) -> str:
    """Returns how messages name a row.

    >>> place_of(Path("traces.jsonl.gz"), 3), place_of(Path("traces.parquet"), 3)
    ('traces.jsonl.gz, line 3', 'traces.parquet, row 3')
    """
    return f"{path}, {'row' if '.parquet' in path.name.lower() else 'line'} {line}"


def check_header(path: Path, header: list[str], columns: Sequence[str] | None) -> list[str]:
    """Returns the names of a table's columns; `columns` as for `read_rows`.

    Raises:
        TraceError: one appears twice, or a required one is missing.
    """
    repeated = {column for column in header if header.count(column) > 1}
    if repeated:
        raise TraceError(f"{path}: column {shown(min(repeated))} appears twice; expected one of each name")
    is_preference = "backend" not in header and "winner" in header
    needed = ["backend_a", "backend_b", "winner"] if is_preference else ["query_id", "backend"]
    missing = [column for column in needed if column not in header] if columns is None else []
    is_feedback = "score" in header and _FEEDBACK_COLUMNS.issuperset(header)  # on another file's
    if not {"query", "messages"} & set(header) and not is_feedback:
        missing.append("query")
    if missing:
        found = ", ".join(map(shown, header[:30]))
        raise TraceError(f"{path}: column {', '.join(missing)} is missing; found {found}")
    return header
