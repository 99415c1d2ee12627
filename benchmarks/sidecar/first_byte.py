"""How long the sidecar keeps the first byte of a stream, in CPU time of its own: one stream, and several at once.

    python -m benchmarks.sidecar.first_byte [--streams 16] [--rounds 40] [--runs 3]

The sidecar runs on an event loop whose time is the CPU time that it takes, and which leaps ahead where it waits. Its
clients, the provider and the network take none: bytes arrive a fixed time after they were sent. So it hardly matters
what else the machine does, which `python -m benchmarks.sidecar` shows more than anything. What the kernel does for real
sockets is left out, but for a guess. *all at once*: without the turns of `backends/in_turn.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import heapq
import itertools
import math
import selectors
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from penstock.backends import wires
from penstock.backends.in_turn import InTurn
from penstock.backends.wire import Wire
from penstock.router import Router
from penstock.router.connection import Connection
from penstock.router.server import Sidecar

from .contenders import sidecars
from .upstream import CHUNK_S, END, FRAMED, N_CHUNKS, STREAM

_NETWORK_S = 20e-6  # from one process to another
_ANSWER_S = 25e-6  # for the provider to begin, and for a client to ask again
_CALL_S = 6e-6  # of the kernel, to send or to receive
_ALL = sys.maxsize


class World(asyncio.SelectorEventLoop):
    """An event loop whose time is CPU time. Threads and sockets must not be used."""

    def __init__(self) -> None:
        self.idle_s = 0.0
        self._shift_s = 0.0  # of its time to the CPU's
        self._events: list[tuple[float, int, Callable[[bytes], None], bytes]] = []
        self._numbers = itertools.count()
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Returns the seconds of CPU time, and of waiting."""
        return time.thread_time() + self._shift_s

    def pass_for_free(self, call: Callable[[float, bytes], None], data: bytes) -> None:
        """Has those who take no time see what is sent now."""
        self._shift_s += _CALL_S
        before = time.thread_time()
        call(self.time() + _NETWORK_S, data)
        self._shift_s -= time.thread_time() - before

    def bring(self, when: float, call: Callable[[bytes], None], data: bytes) -> None:
        """Has the sidecar receive something."""
        heapq.heappush(self._events, (when + _NETWORK_S, next(self._numbers), call, data))

    def leap(self, timeout: float | None) -> None:
        """Goes on to what comes next, at most so many seconds ahead, and receives all that has come by then."""
        now = self.time()
        next_at = self._events[0][0] if self._events else math.inf
        wait_s = min(next_at - now, math.inf if timeout is None else timeout)
        if wait_s > 0:
            assert wait_s < math.inf, "everybody waits for something that never comes"
            self._shift_s += wait_s
            self.idle_s += wait_s
        now = self.time()
        while self._events and self._events[0][0] <= now:
            _, _, call, data = heapq.heappop(self._events)
            self._shift_s += _CALL_S
            call(data)


class _Selector(selectors.SelectSelector):
    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Returns that no socket is ready, having received what has come."""
        self._world.leap(timeout)
        return []


class Pipe(asyncio.Transport):
    """What the sidecar writes to; `see` is told what, and when it arrives."""

    def __init__(self, world: World, see: Callable[[float, bytes], None]) -> None:
        super().__init__()
        self._world = world
        self._see = see

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Sends at once."""
        self._world.pass_for_free(self._see, bytes(data))

    def is_closing(self) -> bool:
        """Never is."""
        return False

    def close(self) -> None:
        """Has nothing to close."""

    abort = close


class Client:
    """Streams one answer after the other."""

    def __init__(self, world: World, connection: Connection, request: bytes, *, n_rounds: int) -> None:
        self._world, self._connection, self._request = world, connection, request
        self._n_left = n_rounds
        self.first_bytes: list[float] = []
        self.is_done = world.create_future()
        connection.connection_made(Pipe(world, self._see))

    def ask(self, when: float) -> None:
        """Asks."""
        self._asked, self._received, self._n_left = when, b"", self._n_left - 1
        self._is_first = True
        self._world.bring(when, self._connection.data_received, self._request)

    def _see(self, when: float, data: bytes) -> None:
        self._received += data
        if self._is_first and b"data: " in self._received:
            assert self._received.startswith(b"HTTP/1.1 200 "), self._received
            self._is_first = False
            self.first_bytes.append(when - self._asked)
        if self._received.endswith(b"\r\n0\r\n\r\n"):
            if self._n_left:
                self.ask(when + _ANSWER_S)
            else:
                self.is_done.set_result(None)


def _provide(world: World, wire: Wire, n_chunks: int) -> Callable[[float, bytes], None]:
    """Returns what answers a request on a wire: a chunk at every tick of the provider's clock."""

    def see(when: float, data: bytes) -> None:
        when += _ANSWER_S
        tick = int(when / CHUNK_S)
        world.bring(when, wire.data_received, STREAM + FRAMED)
        for number in range(1, n_chunks):
            world.bring(max(when, (tick + number) * CHUNK_S), wire.data_received, FRAMED)
        world.bring((tick + n_chunks) * CHUNK_S, wire.data_received, END)

    return see


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What came of some streams; seconds."""

    first_bytes: list[float]  # more than with the provider asked directly
    cpu_s: float  # a stream
    load: float  # of the core


async def _stream(
    world: World, folder: Path, *, n_streams: int, n_chunks: int, n_rounds: int, in_turn: bool
) -> Figures:
    async def opened(self: wires.Wires) -> Wire:
        wire = Wire(self._in_turn if in_turn else InTurn(_ALL))
        wire.connection_made(Pipe(world, _provide(world, wire, n_chunks)))
        return wire

    wires.Wires._open = opened  # type: ignore[method-assign]  # the provider has no address
    contender = sidecars(folder, 9, Path("none"), folder / "questions.json")[0]
    models = folder / "models.yaml"
    models.write_text(models.read_text(encoding="utf-8").replace("artefact: none\n", ""), encoding="utf-8")
    async with Router.from_config(models) as router:
        app = Sidecar(router)
        if not in_turn:
            app._begins = InTurn(_ALL)
        router.live_on(world)
        config = uvicorn.Config(app, log_config=None)
        config.load()
        request = contender.requests(is_stream=True)[0]
        clients = [
            Client(world, Connection(config, ServerState(), {}, world), request, n_rounds=n_rounds)
            for _ in range(n_streams)
        ]
        gc.collect()
        gc.freeze()
        started, idle_s = world.time(), world.idle_s
        for client in clients:
            client.ask(started)
        await asyncio.gather(*(client.is_done for client in clients))
        waited_s, took_s = world.idle_s - idle_s, world.time() - started
        direct_s = _ANSWER_S + 2 * _NETWORK_S
        return Figures(
            first_bytes=[first - direct_s for client in clients for first in client.first_bytes[n_rounds // 5 :]],
            cpu_s=(took_s - waited_s) / n_streams / n_rounds,
            load=1 - waited_s / took_s,
        )


def measure(folder: Path, *, n_runs: int, **how: Any) -> Figures:
    """Returns the figures of so many streams at once: of the run that took the least CPU, since others only slow it."""
    return min((_measure(folder, **how) for _ in range(n_runs)), key=lambda found: found.cpu_s)


def _measure(folder: Path, **how: Any) -> Figures:
    world = World()
    asyncio.set_event_loop(world)
    try:
        return world.run_until_complete(_stream(world, folder, **how))
    finally:
        world.close()


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, default=16, help="at once")
    parser.add_argument("--rounds", type=int, default=40, help="streams of each client")
    parser.add_argument("--runs", type=int, default=3, help="of which the quickest counts")
    options = parser.parse_args()
    print(f"{'':<24}{'1st byte +ms':>13}{'p90':>7}{'CPU us':>9}{'a chunk':>9}{'load':>7}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "questions.json").write_text('{"": ""}', encoding="utf-8")
        for n_streams, in_turn in ((1, True), (options.streams, True), (options.streams, False)):
            how = {"n_streams": n_streams, "n_rounds": options.rounds, "n_runs": options.runs, "in_turn": in_turn}
            found = measure(folder, n_chunks=N_CHUNKS, **how)
            chunk_s = (measure(folder, n_chunks=2 * N_CHUNKS, **how).cpu_s - found.cpu_s) / N_CHUNKS
            p90_s = statistics.quantiles(found.first_bytes, n=10)[-1]
            print(
                f"{n_streams} at once, {'in turn' if in_turn else 'all at once':<12}"
                f"{statistics.median(found.first_bytes) * 1e3:>13.2f}{p90_s * 1e3:>7.2f}"
                f"{found.cpu_s * 1e6:>9.0f}{chunk_s * 1e6:>9.1f}{found.load:>7.2f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
