"""Reads the completions of one backend out of trace files."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from .errors import BackendError
from .samples import sample_name
from .types import Completion, Query, Usage


class BadRecording(ValueError):
    """A trace file cannot be read; the text names file and line."""


def read_recordings(paths: Sequence[Path], backend: str) -> dict[str, Completion]:
    """Returns the completions of `backend`, each by its query's id and by its text.

    Of several draws of one query the first one counts, but for a sample (`small#2`), which is the draw of its number.

    Raises:
        BadRecording: a row is wrong, or there is none for `backend`.
    """
    recordings: dict[str, Completion] = {}
    for path in paths:
        for line, row in _rows_of(path):
            try:
                if sample_name(row["backend"], row.get("draw") or 0) != backend and row["backend"] != backend:
                    continue
                keys = _keys_of(row)
                completion = _completion_of(row)
            except (BackendError, KeyError, TypeError, ValueError) as error:
                reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
                raise BadRecording(f"{path}:{line}: {reason}") from error
            for key in keys:
                recordings.setdefault(key, completion)
    if not recordings:
        raise BadRecording(f"no row of backend {backend!r} in {', '.join(map(str, paths))}")
    return recordings


def _rows_of(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yields every row with its line, or its number in Parquet, from 1."""
    if path.suffix == ".parquet":
        yield from _parquet_rows(path)
        return
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    row = orjson.loads(line)
                except orjson.JSONDecodeError as error:
                    raise BadRecording(f"{path}:{number}: not JSON: {error}") from error
                if not isinstance(row, dict):
                    raise BadRecording(f"{path}:{number}: expected an object with the columns of a trace")
                yield number, row
    except (OSError, EOFError) as error:
        raise BadRecording(f"{path}: {error}") from error


def _parquet_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    import duckdb  # only for those who replay Parquet

    try:
        with duckdb.connect() as connection:
            found = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
            names = [column[0] for column in found.description]
            number = 0
            while batch := found.fetchmany(1024):
                for values in batch:
                    number += 1
                    yield number, dict(zip(names, values, strict=True))
    except duckdb.Error as error:
        raise BadRecording(f"{path}: {error}") from error


def _keys_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    text = row.get("query")
    if text is None:
        messages = row.get("messages")
        if messages is None:
            raise ValueError("query: expected text, or messages")
        text = Query.from_messages(orjson.loads(messages) if isinstance(messages, str) else messages).text
    if not isinstance(text, str):
        raise TypeError("query: expected text")
    return str(row["query_id"]), text


def _completion_of(row: Mapping[str, Any]) -> Completion:
    response = row.get("response")
    if response is not None and not isinstance(response, str):
        raise ValueError("response: expected text")
    columns = ("input_tokens", "output_tokens", "reasoning_tokens")
    counts = {column: _number(row, column) for column in columns}
    return Completion(
        text=response or "",
        usage=Usage(
            **{column: int(count or 0) for column, count in counts.items()},
            is_estimated=counts["input_tokens"] is None or counts["output_tokens"] is None,
        ),
        logprobs=_numbers(row, "logprobs"),
        reasoning_logprobs=_numbers(row, "reasoning_logprobs"),
        entropies=_numbers(row, "entropies"),
        margins=_numbers(row, "margins"),
        model=row["backend"],
        latency_s=_number(row, "latency_s") or 0.0,
        cost_usd=_number(row, "cost_usd"),
    )


def _numbers(row: Mapping[str, Any], column: str) -> tuple[float, ...] | None:
    values = row.get(column)
    if isinstance(values, str):
        values = orjson.loads(values)
    if values is not None and not all(isinstance(value, int | float) for value in values):
        raise ValueError(f"{column}: expected a list of numbers")
    return tuple(map(float, values)) if values else None


def _number(row: Mapping[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or not math.isfinite(value):
        raise ValueError(f"{column}: expected a number from 0, got {value!r}")
    return float(value)
