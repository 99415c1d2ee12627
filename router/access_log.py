"""The access log: a line of JSON for every request, with what it cost and never with what was said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from ..backends import ConfigError
from .exchange import Exchange
from .sink import JsonlSink

STANDARD_OUTPUT = "-"


class AccessLog:
    """An observer that gives a record of every request to `write`."""

    def __init__(self, write: Callable[[Mapping[str, object]], None]) -> None:
        self._write = write

    def see(self, exchange: Exchange) -> None:
        """Writes a request down."""
        self._write(access_record(exchange))


def access_record(exchange: Exchange) -> dict[str, Any]:
    """Returns what is told of a request; a key by its name and id, a failure by its kind."""
    key, decision, answer, steps = exchange.key, exchange.decision, exchange.answer, exchange.steps
    record: dict[str, Any] = {
        "time": datetime.fromtimestamp(exchange.began_at, UTC).isoformat(timespec="milliseconds"),
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "duration_s": round(exchange.latency_s, 6),
        "trace_id": exchange.trace_id or None,
        "key": key.name or None if key is not None else None,
        "key_id": key.id or None if key is not None else None,
        "error": type(exchange.error).__name__ if exchange.error is not None else None,
    }
    if decision is None:
        return record
    usages = [step.completion.usage for step in steps if step.completion is not None]
    return record | {
        "model": exchange.model or None,
        "policy": decision.policy.name,
        "stream": exchange.is_stream,
        "backend": answer.backend if answer is not None else None,
        "route": ">".join(step.backend + ("!" if step.error else "") for step in steps),
        "input_tokens": sum(usage.input_tokens for usage in usages),
        "output_tokens": sum(usage.output_tokens for usage in usages),
        "cost_usd": sum(step.cost_usd for step in steps),
        "first_piece_s": round(exchange.first_piece_s, 6) if exchange.first_piece_s is not None else None,
    }


def open_access_log(where: str) -> tuple[AccessLog, Callable[[], None]]:
    """Returns an access log, and what closes it; `where` is a path that ends in .jsonl, or `-`: standard output.

    Raises:
        ConfigError: it is neither.
    """
    if where == STANDARD_OUTPUT:
        return AccessLog(_print), sys.stdout.flush
    if Path(where).suffix != ".jsonl":
        raise ConfigError(f"--access-log: expected a path that ends in .jsonl, or -, got {where!r:.80}")
    sink = JsonlSink(Path(where))
    return AccessLog(sink.write), sink.close


def _print(record: Mapping[str, object]) -> None:
    """Prints a line at once, as whoever follows it expects."""
    sys.stdout.buffer.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))
    sys.stdout.buffer.flush()
