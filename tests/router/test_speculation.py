"""Calls that are begun before their turn: whether that is worth it, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.backends import Completion, FakeBackend, Query, ServerFailed
from penstock.classifiers import Estimates
from penstock.router import Answer, Policy, Router, decide, read_config
from penstock.router.ahead import Ahead
from penstock.router.cascade import cascade
from penstock.router.server import Sidecar
from penstock.router.speculation import HeadStart, head_start
from penstock.router.tally import Entry, Tally

from ..backends.loopback import Canned, Loopback
from .pieces import NAMES, estimates, outlook, spec
from .serving import HELLO, PATIENCE_S, JudgingPool, ListSink, serving, write_models
from .virtual_time import VirtualLoop, run_virtually

QUERY = Query.from_text("What is 17 * 23?")


def worth(
    policy: Policy,
    *,
    quality: tuple[float, float] = (0.5, 0.9),
    cost_usd: tuple[float, float] = (0.001, 0.01),
    latency_s: tuple[float, float] = (2.0, 3.0),
    power: float = 0.6,
) -> HeadStart | None:
    """Returns the head start given beside the first of two calls."""
    known = estimates(list(quality), list(cost_usd), latency_s=list(latency_s))
    decision = decide(
        QUERY,
        known,
        policy,
        specs={name: spec(name) for name in NAMES},
        escalation=outlook(list(quality), list(cost_usd), power=power).escalation,
    )
    decision = replace(decision, backend="small")
    return head_start(next(cascade(decision, assess=lambda *_: 0.0, charge=lambda *_: 0.0)), known)


def empty_tally() -> Tally:
    """Returns an empty account of a request."""
    known = estimates([0.5, 0.9], [0.001, 0.01])
    decision = decide(
        QUERY,
        known,
        policy(),
        specs={name: spec(name) for name in NAMES},
        escalation=outlook([0.5, 0.9], [0.001, 0.01]).escalation,
    )
    return Tally(decision, lambda *_: 0.001)


def policy(**keys: Any) -> Policy:
    """Returns a policy that speculates within four seconds."""
    return Policy(**{"name": "quick", "lam": 20, "max_latency_s": 4.0, "speculate": True} | keys)


def test_a_call_that_would_come_too_late_after_the_first_is_begun_as_late_as_it_may() -> None:
    assert worth(policy()) == HeadStart(backend="mid", after_s=1.0)


@pytest.mark.parametrize(
    ("keys", "latency_s", "why"),
    [
        ({"speculate": False}, (2.0, 3.0), "not asked for"),
        ({"max_latency_s": None}, (2.0, 3.0), "no limit"),
        ({"max_latency_s": 6.0}, (2.0, 3.0), "there is time for both"),
        ({"max_calls": 1}, (2.0, 3.0), "nobody is asked next"),
        ({"max_cost_usd": 0.0105}, (2.0, 3.0), "the budget is for one"),
        ({}, (2.0, float("nan")), "who knows"),
        ({}, (float("nan"), 3.0), "who knows"),
    ],
)
def test_no_head_start_is_given(keys: Mapping[str, Any], latency_s: tuple[float, float], why: str) -> None:
    assert worth(policy(**keys), latency_s=latency_s) is None, why


def test_a_head_start_has_to_be_worth_what_is_lost_where_it_was_in_vain() -> None:
    # The better the first answer is expected to be, the likelier the other call is in vain.
    assert worth(policy(), quality=(0.6, 0.9)) is not None
    assert worth(policy(), quality=(0.85, 0.95), cost_usd=(0.0001, 0.01)) is None
    assert worth(policy(), quality=(0.85, 0.95), cost_usd=(0.0001, 0.0001)) is not None


# Carried out

MODELS = """
policies:
  auto: {lam: 20, max_latency_s: 4, speculate: true}
backends:
  small: {type: fake, tier: small, price: {input: 0.04, output: 0.10}, retries: 0}
  lrm: {type: fake, tier: lrm, price: {input: 1.0, output: 4}, retries: 0}
"""


class TimedPool(JudgingPool):
    """A judging pool that expects small to take two seconds and lrm three, or so many times as long."""

    scale = 1.0

    def estimate(self, text: str) -> Estimates:
        """Returns estimates with latencies."""
        return timed(super().estimate(text), self.scale)

    def estimate_query(self, query: Query, *others: Any, **more: Any) -> Estimates:
        """Returns estimates with latencies."""
        return timed(super().estimate_query(query, *others, **more), self.scale)


def timed(known: Estimates, scale: float) -> Estimates:
    """Returns estimates with latencies."""
    return estimates(
        known.quality.tolist(), known.cost_usd.tolist(), latency_s=[2 * scale, 3 * scale], backends=known.backends
    )


class Timed(FakeBackend):
    """Takes its time, and notes when it was begun and when it was left."""

    def __init__(self, answer: str | ServerFailed, takes_s: float) -> None:
        super().__init__(answer=answer)
        self.takes_s = takes_s
        self.begun_s: list[float] = []
        self.left_s: list[float] = []

    async def complete(self, query: Query) -> Completion:
        """Returns the answer when its time has passed."""
        now = asyncio.get_running_loop().time
        self.begun_s.append(now() - 1000)
        try:
            await asyncio.sleep(self.takes_s)
        except asyncio.CancelledError:
            self.left_s.append(now() - 1000)
            raise
        return await super().complete(query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a request ended, and how long it took."""

    answer: Answer
    took_s: float
    records: list[Mapping[str, Any]]


def confidence_of(text: str) -> float:
    return 1.0 if text.startswith("right") else 0.0


def ran(folder: Path, small: Timed, lrm: Timed, *, models: str = MODELS, is_streamed: bool = False) -> Ran:
    """Returns what becomes of a request, in virtual time."""
    config = read_config(write_models(folder, models))
    loop, sink = VirtualLoop(), ListSink()
    pool = TimedPool(config.backends, confidence_of)
    router = Router(config, pool, sink=sink, backends={"small": small, "lrm": lrm}, clock=loop.time)

    async def run() -> Answer:
        router.live_on(asyncio.get_running_loop())
        if not is_streamed:
            return await router.answer(QUERY)
        *_, last = [chunk async for chunk in router.answer_stream(QUERY)]
        assert last.answer is not None
        return last.answer

    answer = run_virtually(run(), loop)
    return Ran(answer=answer, took_s=answer.latency_s, records=sink.records)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_both_answers_are_there_in_time_where_the_first_is_bad(tmp_path: Path, is_streamed: bool) -> None:
    small, lrm = Timed("wrong", 2.0), Timed("right", 3.0)
    done = ran(tmp_path, small, lrm, is_streamed=is_streamed)
    assert (done.answer.text, done.answer.path) == ("right", "small>lrm")
    assert lrm.begun_s == [pytest.approx(1.0, abs=0.01)]
    assert done.took_s == pytest.approx(4.0, abs=0.05)


def test_without_speculation_it_takes_one_after_the_other(tmp_path: Path) -> None:
    done = ran(tmp_path, Timed("wrong", 2.0), Timed("right", 3.0), models=MODELS.replace(", speculate: true", ""))
    assert done.took_s == pytest.approx(5.0, abs=0.05)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_loser_is_broken_off_at_once_and_paid_for(tmp_path: Path, is_streamed: bool) -> None:
    small, lrm = Timed("right", 2.0), Timed("right", 3.0)
    done = ran(tmp_path, small, lrm, is_streamed=is_streamed)
    assert done.answer.backend == "small"
    assert done.answer.path == "small>lrm~"
    assert lrm.left_s == [pytest.approx(2.0, abs=0.01)]
    assert done.took_s == pytest.approx(2.0, abs=0.05)
    first, lost = done.answer.steps
    assert lost.is_given_up
    assert lost.cost_usd > 0
    assert done.answer.cost_usd == first.cost_usd + lost.cost_usd
    assert [(record["backend"], record["given_up"], record["final"]) for record in done.records] == [
        ("small", False, True),
        ("lrm", True, False),
    ]


def test_a_first_answer_that_is_quicker_than_expected_costs_nothing_more(tmp_path: Path) -> None:
    small, lrm = Timed("right", 0.5), Timed("right", 3.0)
    done = ran(tmp_path, small, lrm)
    assert done.answer.path == "small"
    assert lrm.begun_s == []


def test_a_loser_that_failed_is_told_and_costs_nothing(tmp_path: Path) -> None:
    done = ran(tmp_path, Timed("right", 2.0), Timed(ServerFailed("down", backend="lrm"), 0.5))
    assert done.answer.path == "small>lrm!"
    assert done.answer.steps[1].cost_usd == 0


def test_a_call_begun_too_early_for_its_error_falls_back_as_ever(tmp_path: Path) -> None:
    done = ran(tmp_path, Timed("wrong", 2.0), Timed(ServerFailed("down", backend="lrm"), 0.5))
    assert done.answer.path == "small>lrm!"
    assert done.answer.text == "wrong"


def test_a_call_that_has_begun_is_not_begun_again() -> None:
    begun: list[str] = []

    async def complete(backend: str, entry: Entry) -> Completion:
        entry.sent()
        begun.append(backend)
        await asyncio.sleep(60)
        return Completion(text="late")

    async def run() -> None:
        async with Ahead(complete, empty_tally()) as ahead:
            for _ in range(2):  # as after a first call that failed, when another one takes its place
                ahead.begin("mid", after_s=1.0)
                await asyncio.sleep(2)
        assert len(ahead.lost()) == 1
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtually(run())
    assert begun == ["mid"]


def test_when_the_first_fails_the_other_need_not_begin_again(tmp_path: Path) -> None:
    small, lrm = Timed(ServerFailed("down", backend="small"), 1.5), Timed("right", 3.0)
    done = ran(tmp_path, small, lrm)
    assert done.answer.path == "small!>lrm"
    assert len(lrm.begun_s) == 1
    assert done.took_s == pytest.approx(4.0, abs=0.05)


def test_cancelling_the_request_ends_both_calls(tmp_path: Path) -> None:
    small, lrm = Timed("right", 2.0), Timed("right", 3.0)
    config = read_config(write_models(tmp_path, MODELS))
    router = Router(config, TimedPool(config.backends, confidence_of), backends={"small": small, "lrm": lrm})

    async def run() -> None:
        router.live_on(asyncio.get_running_loop())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await router.answer(QUERY)

    run_virtually(run())
    assert len(small.left_s) == len(lrm.left_s) == 1


def test_the_explanation_tells_of_the_head_start(tmp_path: Path) -> None:
    config = read_config(write_models(tmp_path, MODELS))
    with Router(config, TimedPool(config.backends, confidence_of)) as router:
        assert "lrm is begun after 1.00 s" in router.route("What is 17 * 23?").explain()


def test_over_sockets_the_provider_of_the_loser_sees_its_caller_leave(tmp_path: Path) -> None:
    async def run() -> None:
        async with Loopback(Canned(ending="hang")) as provider:

            async def once_both_run(_query: Query) -> str:
                async with asyncio.timeout(PATIENCE_S):
                    while not provider.has_been_asked.is_set():
                        await asyncio.sleep(0.005)
                return "right"

            models = MODELS.replace("max_latency_s: 4", "max_latency_s: 0.004").replace(
                "lrm: {type: fake,", f'lrm: {{type: openai, model: m, base_url: "{provider.url}",'
            )
            config = read_config(write_models(tmp_path, models))
            pool = TimedPool(config.backends, confidence_of)
            pool.scale = 0.001
            small = FakeBackend(answer=once_both_run)
            with serving(Sidecar(Router(config, pool, backends={"small": small}))) as url:
                async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, verify=False) as client:  # no TLS
                    got = await client.post("/v1/chat/completions", json={"messages": HELLO})
                async with asyncio.timeout(PATIENCE_S):
                    await provider.has_hung_up.wait()
        assert got.headers["x-penstock-path"] == "small>lrm~"
        assert got.json()["penstock"]["steps"][1]["cost_usd"] > 0

    asyncio.run(run())
