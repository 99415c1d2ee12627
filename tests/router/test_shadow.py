"""Calls beside the ones that answer: who is asked, how often, for how much, and that nobody notices."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import Backend, FakeBackend, InvalidRequest, Query
from penstock.router import Answer, NullSink, Pool, Router, Wishes, read_config
from penstock.router.content import NoContent
from penstock.router.conversations import Conversations, open_turns
from penstock.router.fleet import Fleet
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.logbook import Logbook
from penstock.router.server import Sidecar
from penstock.router.shadow import Shadow
from penstock.router.shadow_share import ShadowShare

from .keys.door import NOON, used
from .serving import HELLO, ListSink, WaitingBackend, acall, write_models

MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
traces: {{folder: log, content: on}}
shadow: {{share: {share}, max_usd_per_day: {usd}, concurrency: {concurrency}}}
backends:
  small: {{type: fake, tier: small, price: {{input: 0.04, output: 0.10}}, answer: "It is 391."}}
  mid: {{type: fake, tier: mid, price: {{input: 1.0, output: 100}}, answer: "391", supports: [streaming]}}
  lrm:
    {{type: fake, tier: lrm, price: {{input: 1.0, output: 200}}, answer: "Surely.", limits: {{concurrency: {slots}}}}}
"""


def shadowing(
    folder: Path,
    ask: Callable[[Router], Coroutine[Any, Any, Any]],
    *,
    share: float = 1.0,
    usd: float = 100.0,
    concurrency: int = 4,
    slots: int = 64,
    **backends: Backend,
) -> list[dict[str, Any]]:
    """Returns the records of a router that also asks others, after `ask` has used it."""
    text = MODELS.format(share=share, usd=usd, concurrency=concurrency, slots=slots)
    path = write_models(folder, text)

    async def run() -> None:
        router = Router.from_config(path, backends=backends)
        router.live_on(asyncio.get_running_loop())
        try:
            await ask(router)
            await settle()
        finally:
            await router.aclose()

    asyncio.run(run())
    return list(map(orjson.loads, (folder / "log" / "traces.jsonl").read_bytes().splitlines()))


async def settle(n_turns: int = 1000) -> None:
    """Lets all go on that waits for nothing from outside: a shadow call of a fake backend comes to its end."""
    for _ in range(n_turns):
        await asyncio.sleep(0)


async def ask_once(router: Router) -> Answer:
    """Asks one question."""
    return await router.aask("What is 17 * 23?")


def shadows(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the records of the calls beside."""
    return [record for record in records if record["step"] is None]


def test_a_shadow_call_is_recorded_beside_its_request_with_its_chance(tmp_path: Path) -> None:
    served, shadow = shadowing(tmp_path, ask_once)
    assert (served["backend"], served["final"], served["propensity"]) == ("small", True, 1.0)
    assert (shadow["query_id"], shadow["final"], shadow["propensity"]) == (served["query_id"], False, 0.5)
    assert shadow["backend"] in ("mid", "lrm")
    assert shadow["response"] == {"mid": "391", "lrm": "Surely."}[shadow["backend"]]
    assert shadow["cost_usd"] > 0
    assert shadow["messages"] == served["messages"]


@pytest.mark.parametrize(
    ("wishes", "policy", "allowed"),
    [
        (Wishes(deny=("mid",)), None, {"lrm"}),
        (Wishes(allow=("small", "mid")), None, {"mid"}),
        (Wishes(deny=("mid", "lrm")), None, set()),
        (Wishes(), "small", set()),
    ],
)
def test_nobody_is_asked_whom_the_request_might_not_have_gone_to(
    tmp_path: Path, wishes: Wishes, policy: str | None, allowed: set[str]
) -> None:
    async def ask(router: Router) -> None:
        for _ in range(12):
            await router.aask("What is 17 * 23?", policy=policy, wishes=wishes)

    assert {record["backend"] for record in shadows(shadowing(tmp_path, ask, concurrency=50))} == allowed


def test_a_backend_without_what_the_query_needs_is_not_asked(tmp_path: Path) -> None:
    async def ask(router: Router) -> None:
        for _ in range(12):
            await router.aask(messages=HELLO, tools=[{"type": "function", "function": {"name": "f"}}])

    assert {record["backend"] for record in shadows(shadowing(tmp_path, ask, concurrency=50))} == {"lrm"}


@pytest.mark.parametrize(("backends", "n_shadows"), [(("small",), 0), ((), 3)])
def test_a_key_is_held_to_its_backends_and_pays_for_its_answers_only(
    tmp_path: Path, backends: tuple[str, ...], n_shadows: int
) -> None:
    store = MemoryStore()
    key, text = new_key(Key(id="", name="me", digest="", created_at=0.0, backends=backends, budget_usd_day=1.0))
    store.put(key)

    async def ask(router: Router) -> None:
        app = Sidecar(router, keys=store, clock=lambda: NOON)
        for _ in range(3):
            body = {"messages": HELLO, "model": "auto"}
            assert (await acall(app, "/v1/chat/completions", body, headers={"x-api-key": text})).status == 200
            await settle()

    records = shadowing(tmp_path, ask)
    assert len(shadows(records)) == n_shadows
    assert used(store, key, NOON)["usd a day"] == pytest.approx(sum(r["cost_usd"] for r in records if r["final"]))


def test_the_answer_does_not_wait_for_a_shadow_call_and_closing_ends_it(tmp_path: Path) -> None:
    waiting = WaitingBackend()

    async def ask(router: Router) -> None:
        answer = await router.aask("What is 17 * 23?", wishes=Wishes(deny=("mid",)))
        assert answer.text == "It is 391."
        await asyncio.sleep(0)
        assert await asyncio.to_thread(waiting.has_begun.wait, 20)
        assert not waiting.was_left.is_set()

    (shadow,) = shadows(shadowing(tmp_path, ask, lrm=waiting))
    assert waiting.was_left.is_set()
    assert (shadow["backend"], shadow["error"]) == ("lrm", "GaveWay")
    assert shadow["cost_usd"] > 0  # what it was expected to cost: the provider may charge it


def test_a_shadow_call_gives_way_to_a_request(tmp_path: Path) -> None:
    waiting = WaitingBackend()

    class Busy(FakeBackend):
        """Waits for the first query, and answers the others in time."""

        async def complete(self, query: Query) -> Any:
            """Returns an answer."""
            if query.text == "first":
                return await waiting.complete(query)
            await asyncio.sleep(0.02)
            return await super().complete(query)

    async def ask(router: Router) -> None:
        await router.aask("first", wishes=Wishes(deny=("mid",)))
        await asyncio.to_thread(waiting.has_begun.wait, 20)
        answers = await asyncio.gather(*(router.aask("others", policy="lrm") for _ in range(4)))
        assert [answer.text for answer in answers] == ["Yes."] * 4

    (shadow,) = shadows(shadowing(tmp_path, ask, slots=2, lrm=Busy(answer="Yes.")))
    assert (shadow["backend"], shadow["error"]) == ("lrm", "GaveWay")


def test_only_so_many_shadow_calls_run_at_once(tmp_path: Path) -> None:
    waiting = WaitingBackend()

    async def ask(router: Router) -> None:
        for _ in range(10):
            await router.aask("What is 17 * 23?", wishes=Wishes(deny=("mid",)))

    assert len(shadows(shadowing(tmp_path, ask, concurrency=3, lrm=waiting))) == 3


def test_a_failing_shadow_call_is_recorded_and_tells_nobody(tmp_path: Path) -> None:
    class Failing(FakeBackend):
        """Refuses, and then breaks."""

        async def complete(self, query: Query) -> Any:
            """Raises."""
            raise InvalidRequest("no", backend="lrm") if query.text == "one" else RuntimeError("a bug")

    async def ask(router: Router) -> None:
        for text in ("one", "two"):
            assert (await router.aask(text, wishes=Wishes(deny=("mid",)))).text == "It is 391."
            await settle()
        assert not router.refusals()

    found = shadows(shadowing(tmp_path, ask, lrm=Failing()))
    assert [(record["error"], record["cost_usd"]) for record in found] == [("InvalidRequest", 0), ("RuntimeError", 0)]
    assert "response" not in found[0]


class Clerk:
    """Asks a shadow for calls without asking anything else first."""

    def __init__(self, folder: Path, share: ShadowShare, store: MemoryStore, *, clock: Callable[[], float]) -> None:
        text = MODELS.format(share=1, usd=1, concurrency=1, slots=64)
        config = read_config(write_models(folder, text))
        pool = Pool(config.backends, None)
        self.fleet = Fleet(config.backends, given={"lrm": FakeBackend(answer="word " * 1200)}, clock=time.perf_counter)
        self.sink = ListSink()
        self.shadow = Shadow(
            share,
            pool=pool,
            fleet=self.fleet,
            logbook=Logbook(self.sink, content=NoContent(), conversations=Conversations(open_turns(None))),
            store=store,
            rng=random.Random(7),
            clock=clock,
        )
        with Router(config, pool, sink=NullSink()) as router:
            self.query = Query.from_text("What is 17 * 23?")
            self.answer = router.ask("What is 17 * 23?")

    async def see(self, n: int) -> None:
        """Sees so many answers, one after the other."""
        self.fleet.live_on(asyncio.get_running_loop())
        for _ in range(n):
            self.shadow.see_answer(self.query, self.answer)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await self.fleet.aclose()


def test_calls_are_made_as_often_as_their_propensities_say(tmp_path: Path) -> None:
    share = ShadowShare(share=0.2, max_usd_per_day=1e6, concurrency=100)
    clerk = Clerk(tmp_path, share, MemoryStore(), clock=time.time)
    asyncio.run(clerk.see(2000))
    counts = Counter(record["backend"] for record in clerk.sink.records)
    assert {record["propensity"] for record in clerk.sink.records} == {0.1}
    for name in ("mid", "lrm"):
        assert abs(counts[name] - 200) < 4 * (2000 * 0.1 * 0.9) ** 0.5


def test_a_day_costs_no_more_than_its_budget_and_the_next_one_begins_anew(tmp_path: Path) -> None:
    store, now = MemoryStore(), [1_700_000_000.0]
    asked = []
    for _ in range(2):
        share = ShadowShare(share=1.0, max_usd_per_day=3.0, backends=("lrm",), concurrency=100)
        clerk = Clerk(tmp_path, share, store, clock=lambda: now[0])
        asyncio.run(clerk.see(50))
        spent = sum(record["cost_usd"] for record in clerk.sink.records)
        asked.append(len(clerk.sink.records))
        assert 0 < spent <= 3.0
        now[0] += 86_400
    assert asked[0] == asked[1] < 50


def test_the_budget_is_counted_across_restarts(tmp_path: Path) -> None:
    store, now = MemoryStore(), 1_700_000_000.0
    share = ShadowShare(share=1.0, max_usd_per_day=3.0, backends=("lrm",), concurrency=100)
    first = Clerk(tmp_path, share, store, clock=lambda: now)
    asyncio.run(first.see(500))
    again = Clerk(tmp_path, share, store, clock=lambda: now)
    asyncio.run(again.see(500))
    assert len(first.sink.records) > 0
    assert not again.sink.records


def test_streamed_requests_have_shadows_too(tmp_path: Path) -> None:
    async def ask(router: Router) -> None:
        got = await acall(Sidecar(router), "/v1/chat/completions", {"messages": HELLO, "stream": True})
        assert got.status == 200

    assert len(shadows(shadowing(tmp_path, ask))) == 1
