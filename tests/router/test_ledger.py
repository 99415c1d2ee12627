"""What several workers have counted together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.router import ledger
from penstock.router.figures import Figures, add_up, decode
from penstock.router.ledger import Ledger, Teller
from penstock.router.server import Sidecar

from .serving import PATIENCE_S, acall, make_router

uvloop = pytest.importorskip("uvloop")  # there are neither workers nor uvloop on Windows
ROW = ("penstock_requests_total", "/v1/models", "200")


def figures(requests: float, *, workers: float = 1) -> Figures:
    return Figures(sums={ROW: [requests]}, states={("penstock_workers",): [workers]})


def read(told: Figures) -> tuple[float, float]:
    """Returns the requests and the workers in some figures."""
    return told.sums[ROW][0], told.states["penstock_workers",][0]


async def asked_until(total: Callable[[], Awaitable[Figures]], expected: tuple[float, float]) -> None:
    end = time.monotonic() + PATIENCE_S
    while (told := read(await total())) != expected:
        assert time.monotonic() < end, told
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def working(shared: Ledger, requests: float) -> AsyncIterator[Teller]:
    """A worker that has served so many requests."""
    teller = Teller(shared.connect())
    async with teller.telling(lambda: figures(requests)):
        yield teller


def test_figures_are_read_as_they_were_written() -> None:
    told = Figures(sums={ROW: [1.5, 2], ("a",): [math.inf]}, states={("b", 'with "signs"\n'): [0]})
    assert decode(told.encode()) == told
    assert told.encode().count(b"\n") == 1


def test_figures_add_up_row_by_row() -> None:
    one = Figures(sums={("a",): [1, 2], ("b",): [3]}, states={("c",): [1]})
    other = Figures(sums={("a",): [10, 20], ("d",): [4]}, states={("c",): [1]})
    assert add_up([one, other]) == Figures(sums={("a",): [11, 22], ("b",): [3], ("d",): [4]}, states={("c",): [2]})
    assert one.sums["a",] == [1, 2]


def test_whoever_asks_is_told_of_all() -> None:
    async def ask() -> None:
        shared = Ledger()
        async with working(shared, 5) as one, working(shared, 7) as other:
            await asked_until(lambda: one.total(figures(5)), (12, 2))
            assert read(await other.total(figures(8))) == (13, 2)
            assert read(await one.total(figures(5))) == (13, 2)

    asyncio.run(ask())


def test_what_an_ended_worker_counted_stays_and_its_state_does_not() -> None:
    async def ask() -> None:
        shared = Ledger()
        async with working(shared, 5) as one:
            for _ in range(2):
                async with working(shared, 7):
                    pass
            await asked_until(lambda: one.total(figures(5)), (19, 1))

    asyncio.run(ask())


def test_half_a_line_of_a_worker_that_was_killed_is_not_taken() -> None:
    async def ask() -> None:
        shared = Ledger()
        async with working(shared, 5) as one:
            with shared.connect() as killed:
                killed.sendall(figures(7).encode() + figures(1000).encode()[:-1])
            await asked_until(lambda: one.total(figures(5)), (12, 1))

    asyncio.run(ask())


def test_nobody_finds_less_than_another_was_told_before() -> None:
    async def ask() -> None:
        shared = Ledger()
        async with working(shared, 0) as one, working(shared, 0) as other:
            told = []
            for n in range(20):
                told += [read(await teller.total(figures(n)))[0] for teller in (one, other)]
            assert told == sorted(told)
            assert told[-1] == 38

    asyncio.run(ask())


def test_a_worker_tells_again_and_again_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_TELL_S", 0.01)

    async def ask() -> None:
        shared, served = Ledger(), 0
        busy = Teller(shared.connect())
        async with working(shared, 5) as one, busy.telling(lambda: figures(served)):
            await asked_until(lambda: one.total(figures(5)), (5, 2))
            served = 3
            await asked_until(lambda: one.total(figures(5)), (8, 2))

    asyncio.run(ask())


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_worker_comes_to_its_end_also_where_the_first_process_has_gone(
    new_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_TELL_S", 0.01)
    monkeypatch.setattr(ledger, "_PATIENCE_S", 0.05)
    problems: list[dict[str, Any]] = []

    async def serve() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, problem: problems.append(problem))
        first, there = socket.socketpair()
        teller = Teller(there)
        async with teller.telling(lambda: figures(5)):
            await asyncio.sleep(0.02)
            first.close()  # with something unread, which is a reset
            await asyncio.sleep(0.05)
            with pytest.raises(TimeoutError):
                await teller.total(figures(5))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(serve())
        gc.collect()  # of a task that failed, and that nobody asked, the loop is told then
    assert not problems


def test_a_first_process_that_does_not_answer_fails_the_scrape_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_PATIENCE_S", 0.05)

    async def ask() -> None:
        silent, there = socket.socketpair()
        with silent:
            app = Sidecar(make_router(tmp_path), teller=Teller(there))
            events = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
            is_over, is_up = asyncio.Event(), asyncio.Event()

            async def receive() -> dict[str, Any]:
                if len(events) == 1:
                    await is_over.wait()
                return events.pop(0)

            async def send(event: Any) -> None:
                is_up.set()

            life = asyncio.create_task(app({"type": "lifespan"}, receive, send))
            await is_up.wait()
            assert (await acall(app, "/metrics")).status == 503
            assert (await acall(app, "/healthz")).status == 200
            is_over.set()
            await life

    asyncio.run(ask())
