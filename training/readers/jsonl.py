"""Rows of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from ..rows import shown
from .compressed import open_plain
from .raw_row import RawRow


def read_jsonl(path: Path, _columns: Sequence[str] | None) -> Iterator[RawRow]:
    """Yields the rows of a file, empty lines passed over."""
    with open_plain(path) as file:
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
