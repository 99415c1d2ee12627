"""Asks a server over and over on a few connections, and tells how it did. Runs in a process of its own."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import cycle

import httptools
import uvloop

_PATIENCE_S = 60.0  # for the replies under way when time is up


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What to ask: one of the requests after the other, on so many connections, for so long or so often."""

    port: int
    requests: Sequence[bytes]  # each whole, head and body
    n_connections: int
    seconds: float
    n_most: int | None = None  # requests
    expected: bytes  # stands in the body of every good reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of it. Times are medians, in seconds."""

    n_replies: int
    n_bad: int  # of another status than 200, or without what was expected
    seconds: float
    latency_s: float
    first_byte_s: float  # of the body
    cpu_share: float  # of one core, that the asking itself took

    @property
    def per_s(self) -> float:
        """Replies a second."""
        return self.n_replies / self.seconds


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What all connections have seen so far."""

    n_left: float
    until: float
    latencies: list[float] = field(default_factory=list)
    first_bytes: list[float] = field(default_factory=list)
    n_bad: int = 0


class _Connection(asyncio.Protocol):
    """Asks, reads the reply, asks again."""

    def __init__(self, load: Load, tally: _Tally, requests: cycle[bytes]) -> None:
        self._load, self._tally, self._requests = load, tally, requests
        self.is_done = asyncio.get_running_loop().create_future()
        self._is_waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins."""
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        """Reads on; the parser calls the methods below."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Counts a reply that will not come."""
        if self._is_waiting:
            self._tally.n_bad += 1
        if not self.is_done.done():
            self.is_done.set_result(None)

    def on_body(self, body: bytes) -> None:
        """Notes the first byte, and keeps the beginning and the end."""
        if not self._body:
            self._first_byte = time.perf_counter()
        self._body += body

    def on_message_complete(self) -> None:
        """Counts the reply and asks again."""
        now, tally = time.perf_counter(), self._tally
        self._is_waiting = False
        if self._parser.get_status_code() != 200 or self._load.expected not in self._body:
            tally.n_bad += 1
        tally.latencies.append(now - self._started)
        tally.first_bytes.append(self._first_byte - self._started)
        if now >= tally.until or tally.n_left <= 0 or not self._parser.should_keep_alive():
            self._transport.close()
        else:
            self._ask()

    def _ask(self) -> None:
        self._tally.n_left -= 1
        self._body, self._first_byte, self._is_waiting = b"", 0.0, True
        self._parser = httptools.HttpResponseParser(self)
        self._started = time.perf_counter()
        self._transport.write(next(self._requests))  # type: ignore[attr-defined]  # uvloop's is no asyncio.Transport


async def _run(load: Load) -> Outcome:
    loop, requests = asyncio.get_running_loop(), cycle(load.requests)
    started, cpu_before = time.perf_counter(), time.process_time()
    tally = _Tally(n_left=load.n_most or float("inf"), until=started + load.seconds)

    async def work() -> None:
        while time.perf_counter() < tally.until and tally.n_left > 0:
            _, connection = await loop.create_connection(
                lambda: _Connection(load, tally, requests), "127.0.0.1", load.port
            )
            await connection.is_done

    async with asyncio.timeout(load.seconds + _PATIENCE_S):
        await asyncio.gather(*(work() for _ in range(load.n_connections)))
    seconds = time.perf_counter() - started
    return Outcome(
        n_replies=len(tally.latencies),
        n_bad=tally.n_bad,
        seconds=seconds,
        latency_s=statistics.median(tally.latencies),
        first_byte_s=statistics.median(tally.first_bytes),
        cpu_share=(time.process_time() - cpu_before) / seconds,
    )


def run(load: Load) -> Outcome:
    """Returns what came of a load."""
    return uvloop.run(_run(load))
