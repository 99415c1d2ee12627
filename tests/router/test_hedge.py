"""A second call beside one that is late: the first answer wins, and both are paid for. In virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import Chunk, Completion, FakeBackend, Query, ServerFailed, Usage
from penstock.router import Answer, Pool, Router, read_config
from penstock.router.exchange import Exchange
from penstock.router.figures import Figures
from penstock.router.keys import ANYONE
from penstock.router.metrics import Metrics
from penstock.router.page.recent import Recent, totals_for
from penstock.router.tally import Tally

from .serving import ListSink, write_models
from .virtual_time import VirtualLoop, run_virtually

MODELS = """
backends:
  small: {{type: fake, tier: small, price: {{input: 1, output: 1}}, {keys}}}
"""
HEDGED = "hedge: {after_quantile: 0.9}, retries: 0"
WAYS = pytest.mark.parametrize("is_stream", [False, True])


class Late(FakeBackend):
    """Takes a second for each call, but for those of which something else is said, by their number."""

    def __init__(self, **late: float | Exception) -> None:
        super().__init__(answer="never")
        self._late = {int(number.strip("_")): what for number, what in late.items()}
        self.n_asked = self.n_cancelled = 0

    async def complete(self, query: Query) -> Completion:
        """Returns the number of the call."""
        number = self.n_asked
        self.n_asked += 1
        what = self._late.get(number, 1.0)
        try:
            await asyncio.sleep(1.0 if isinstance(what, Exception) else what)
        except asyncio.CancelledError:
            self.n_cancelled += 1
            raise
        if isinstance(what, Exception):
            raise what
        return Completion(text=str(number), usage=Usage(input_tokens=10, output_tokens=10))

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the number, and then slowly the rest of nothing."""
        completion = await self.complete(query)
        yield Chunk(text=completion.text)
        await asyncio.sleep(5)
        yield Chunk(completion=completion)


def asked(folder: Path, backend: Late, *, is_stream: bool, n: int, keys: str = HEDGED) -> tuple[list[Answer], ListSink]:
    """Returns what so many requests get, one after the other; each must be of one piece."""
    config = read_config(write_models(folder, MODELS.format(keys=keys)))
    loop, sink = VirtualLoop(), ListSink()
    router = Router(config, Pool(config.backends, None), backends={"small": backend}, clock=loop.time, sink=sink)

    async def one() -> Answer:
        if not is_stream:
            return await router.aask("x")
        chunks = [chunk async for chunk in router.astream("x")]
        answer = chunks[-1].answer
        assert answer is not None
        assert "".join(chunk.text for chunk in chunks) == answer.text
        return answer

    async def live() -> list[Answer]:
        router.live_on(loop)
        return [await one() for _ in range(n)]

    return run_virtually(live(), loop), sink


@WAYS
def test_the_second_call_wins_where_the_first_is_late(tmp_path: Path, is_stream: bool) -> None:
    backend = Late(_20=60.0)
    answers, sink = asked(tmp_path, backend, is_stream=is_stream, n=21)
    last = answers[-1]
    assert (last.text, last.path, backend.n_cancelled) == ("21", "small>small~", 1)
    assert last.latency_s == pytest.approx(2 + 5 * is_stream)
    won, lost = sink.records[-2:]
    assert (won["final"], lost["final"], lost["given_up"]) == (True, False, True)
    assert won["query_id"] == lost["query_id"]
    assert last.cost_usd == won["cost_usd"] + lost["cost_usd"]
    assert lost["cost_usd"] > 0


@WAYS
def test_the_first_call_wins_where_it_is_only_a_little_late(tmp_path: Path, is_stream: bool) -> None:
    backend = Late(_20=1.5)
    answers, _ = asked(tmp_path, backend, is_stream=is_stream, n=21)
    assert (answers[-1].text, answers[-1].path, backend.n_cancelled) == ("20", "small>small~", 1)


@WAYS
def test_one_that_fails_leaves_it_to_the_other(tmp_path: Path, is_stream: bool) -> None:
    down: Any = ServerFailed("down", backend="small")
    answers, _ = asked(tmp_path, Late(_20=3.0, _21=down), is_stream=is_stream, n=21)
    assert (answers[-1].text, answers[-1].path) == ("20", "small>small!")
    assert answers[-1].cost_usd == pytest.approx(answers[0].cost_usd)  # a call that failed costs nothing


def test_both_answers_at_once_are_both_paid_for_and_one_is_returned(tmp_path: Path) -> None:
    answers, _ = asked(tmp_path, Late(_20=2.0), is_stream=False, n=21)
    assert (answers[-1].text, answers[-1].path) == ("20", "small>small~")
    assert answers[-1].cost_usd == pytest.approx(2 * answers[0].cost_usd)


@pytest.mark.parametrize("second", [1.0, ServerFailed("down", backend="small")], ids=["late", "failed"])
def test_a_second_call_beside_the_first_counts_as_no_move_to_another_backend(tmp_path: Path, second: Any) -> None:
    answers, _ = asked(tmp_path, Late(_20=3.0, _21=second), is_stream=False, n=21)
    exchange = Exchange(method="POST", path="/v1/chat/completions", began_at=0.0, key=ANYONE)
    exchange.tally = Tally(answers[-1].decision, lambda *_: 0.0)
    exchange.tally.answer = answers[-1]
    exchange.end()
    metrics, recent = Metrics(), Recent()
    for observer in (metrics, recent):
        observer.see(exchange)
    assert b"penstock_calls_total{" in metrics.text(metrics.figures())
    assert b"penstock_moves_total{" not in metrics.text(metrics.figures())
    assert totals_for(ANYONE, Figures(sums=recent.rows())).escalated == 0


@pytest.mark.parametrize(
    ("keys", "first_late"),
    [("retries: 0", 20), (HEDGED, 10), (HEDGED + ", limits: {concurrency: 2}", 20)],
    ids=["not asked for", "too few times seen", "no room"],
)
def test_there_is_no_second_call(tmp_path: Path, keys: str, first_late: int) -> None:
    backend = Late(**{f"_{first_late}": 60.0})
    answers, _ = asked(tmp_path, backend, is_stream=False, n=first_late + 1, keys=keys)
    assert (answers[-1].path, backend.n_asked) == ("small", first_late + 1)


def test_a_backend_that_has_become_slower_is_not_asked_twice_for_ever(tmp_path: Path) -> None:
    backend = Late(**{f"_{number}": 10 - number / 1000 for number in range(20, 400)})
    answers, _ = asked(tmp_path, backend, is_stream=False, n=60)
    assert [answer.path for answer in answers[-10:]] == ["small"] * 10
