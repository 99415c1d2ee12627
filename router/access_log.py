"""The access log: a line of JSON for every request, with what it cost and never with what was said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from ..backends import ConfigError
from .exchange import Exchange
from .losses import Losses
from .sink import JsonlSink

STANDARD_OUTPUT = "-"
_LINES = "lines of the access log"


class AccessLog:
    """An observer that gives a record of every request to `write`."""

    def __init__(self, write: Callable[[Mapping[str, object]], None]) -> None:
        self._write = write

    def see(self, exchange: Exchange) -> None:
        """Writes a request down."""
        self._write(access_record(exchange))


def access_record(exchange: Exchange) -> dict[str, Any]:
    """Returns what is told of a request; a key by its name and id, a failure by its kind."""
    key, decision, calls = exchange.key, exchange.decision, exchange.calls
    record: dict[str, Any] = {
        "time": datetime.fromtimestamp(exchange.began_at, UTC).isoformat(timespec="milliseconds"),
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "duration_s": round(exchange.latency_s, 6),
        "trace_id": exchange.trace_id or None,
        "key": key.name or None if key is not None else None,
        "key_id": key.id or None if key is not None else None,
        "error": exchange.error,
    }
    if decision is None:
        return record
    return record | {
        "model": exchange.model or None,
        "policy": decision.policy.name,
        "stream": exchange.is_stream,
        "backend": calls[exchange.chosen].backend if exchange.chosen is not None else None,
        "route": ">".join(call.backend + ("!" if call.error else "") for call in calls),
        "input_tokens": sum(call.usage.input_tokens for call in calls),
        "output_tokens": sum(call.usage.output_tokens for call in calls),
        "cost_usd": exchange.cost_usd,
        "first_piece_s": round(exchange.first_piece_s, 6) if exchange.first_piece_s is not None else None,
    }


def open_access_log(where: str) -> tuple[AccessLog, Callable[[], None]]:
    """Returns an access log, and what closes it; `where` is a path that ends in .jsonl, or `-`: standard output.

    Raises:
        ConfigError: it is neither.
    """
    if where == STANDARD_OUTPUT:
        printer = _Printer(sys.stdout.buffer)
        return AccessLog(printer.write), printer.close
    if Path(where).suffix != ".jsonl":
        raise ConfigError(f"--access-log: expected a path that ends in .jsonl, or -, got {where!r:.80}")
    sink = JsonlSink(Path(where), what=_LINES)
    return AccessLog(sink.write), sink.close


class _Printer:
    """Prints each line at once, as whoever follows it expects. One who has left is no reason to fail a request."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._losses = Losses(_LINES)

    def write(self, record: Mapping[str, object]) -> None:
        """Prints a record; what cannot be printed is counted, not raised."""
        try:
            self._file.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
            self._file.flush()
        except (OSError, ValueError) as error:  # a file that was closed is a ValueError
            self._losses.see(f"standard output: {error}")

    def close(self) -> None:
        """Logs what was lost and not yet told."""
        self._losses.close()
