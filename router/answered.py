"""Whose answer a trace id stands for, read back from the trace log that other processes write to as well."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import orjson


def answered_by(files: Iterable[Path], trace_id: str) -> str | None:
    """Returns the backend whose answer was returned, None where no record in these files says so."""
    needle = json.dumps(trace_id, ensure_ascii=False).encode("utf-8", "replace")
    for file in files:
        try:
            with file.open("rb") as lines:
                for line in lines:
                    # Most lines are of others, and most of what is in them need not be parsed.
                    if needle in line and (backend := _backend_in(line, trace_id)) is not None:
                        return backend
        except OSError:  # removed or renamed meanwhile
            continue
    return None


def _backend_in(line: bytes, trace_id: str) -> str | None:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:  # torn by a crash
        return None
    is_answer = isinstance(record, dict) and record.get("query_id") == trace_id and record.get("final") is True
    backend = record.get("backend") if is_answer else None
    return backend if isinstance(backend, str) else None
