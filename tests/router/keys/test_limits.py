"""What a key has used, and what happens when it has used too much."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.backends import Chunk, FakeBackend, PenstockError, Query, ServerFailed
from penstock.router import Router
from penstock.router.keys import Claim, Key, MemoryStore, new_key, open_store
from penstock.router.keys.limits import limits_of
from penstock.router.server import Sidecar

from ..serving import (
    HELLO,
    MODELS,
    PATIENCE_S,
    BreakingBackend,
    ListSink,
    WaitingBackend,
    acall,
    call,
    make_judging_router,
    serving,
    write_models,
)
from .door import NOON, Door, used


def error_of(got: Any) -> tuple[int, str, str]:
    """Returns status, code and message."""
    return got.status, got.json["error"]["code"], got.json["error"]["message"]


def test_requests_of_a_minute_are_counted_and_the_next_is_refused(tmp_path: Path) -> None:
    door = Door(tmp_path, rpm=2)
    assert [door.call("/v1/models").status, door.chat().status] == [200, 200]
    got = door.chat()
    assert error_of(got) == (429, "rate_limit_exceeded", "this key may have 2 requests a minute")
    assert got.headers["retry-after"] == "40"
    door.now += 40
    assert door.chat().status == 200


def test_a_refused_request_is_not_counted(tmp_path: Path) -> None:
    door = Door(tmp_path, rpm=1)
    assert [door.chat().status for _ in range(3)] == [200, 429, 429]
    assert door.used["requests a minute"] == 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_tokens_of_a_minute_are_those_of_whole_and_streamed_answers(tmp_path: Path, is_stream: bool) -> None:
    door = Door(tmp_path, tpm=5)
    assert door.chat(stream=is_stream).status == 200
    usage = Door(tmp_path).chat().json["usage"]
    assert door.used["tokens a minute"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert error_of(door.chat()) == (429, "rate_limit_exceeded", "this key may have 5 tokens a minute")
    assert door.call("/v1/models").status == 200
    door.now += 40
    assert door.chat().status == 200


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("window", ["day", "month"])
def test_a_spent_budget_refuses_the_next_request_before_any_call(tmp_path: Path, is_stream: bool, window: str) -> None:
    lrm = FakeBackend(answer="391")
    door = Door(tmp_path, lrm=lrm, **{f"budget_usd_{window}": 1e-9})
    assert door.chat(model="lrm", stream=is_stream).status == 200
    assert door.used["usd a day"] == door.used["usd a month"] > 1e-9
    got = door.chat(model="lrm", stream=is_stream)
    assert error_of(got) == (429, "budget_spent", f"the budget of this key is spent: $1e-09 a {window}")
    assert got.headers["x-should-retry"] == "false"
    assert int(got.headers["retry-after"]) > 60
    assert len(lrm.queries) == 1
    assert door.call("/v1/models").status == 200
    door.now += int(got.headers["retry-after"])
    assert door.chat(model="lrm").status == 200


def test_what_is_spent_is_what_the_answer_says_it_cost(tmp_path: Path) -> None:
    door = Door(tmp_path)
    costs = [door.chat(model=name).json["penstock"]["cost_usd"] for name in ("small", "lrm", "best")]
    assert door.used["usd a day"] == pytest.approx(sum(costs), rel=1e-12)


def test_every_call_of_a_cascade_is_counted(tmp_path: Path) -> None:
    door = Door(tmp_path)
    backends = {"small": FakeBackend(answer="wrong"), "lrm": FakeBackend(answer="right")}
    app = Sidecar(make_judging_router(tmp_path, backends), keys=door.store, clock=lambda: NOON)
    got = call(app, "/v1/chat/completions", {"messages": HELLO}, headers={"x-api-key": door.text})
    assert got.json["penstock"]["path"] == "small>lrm"
    assert door.used["usd a day"] == got.json["penstock"]["cost_usd"]


def escalating(
    folder: Path, door: Door, small: FakeBackend | None = None, *, is_stream: bool = False
) -> tuple[Any, FakeBackend]:
    """Returns the reply to a request whose first answer looks wrong, and the backend that would be asked then."""
    lrm = FakeBackend(answer="right")
    router = make_judging_router(folder, {"small": small or FakeBackend(answer="wrong"), "lrm": lrm})
    app = Sidecar(router, keys=door.store, clock=lambda: NOON)
    body = {"messages": HELLO, "stream": is_stream}
    return call(app, "/v1/chat/completions", body, headers={"x-api-key": door.text}), lrm


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("limits", [{"budget_usd_day": 1e-9}, {"budget_usd_month": 1e-9}, {"tpm": 1}])
def test_a_budget_that_the_first_call_has_spent_allows_no_second(tmp_path: Path, is_stream: bool, limits: Any) -> None:
    door = Door(tmp_path, **limits)
    got, lrm = escalating(tmp_path, door, is_stream=is_stream)
    assert got.status == 200
    assert "wrong" in got.body.decode()
    assert not lrm.queries
    assert door.used["usd a day"] > 0


def test_a_budget_that_holds_both_calls_allows_them(tmp_path: Path) -> None:
    got, lrm = escalating(tmp_path, Door(tmp_path, budget_usd_day=1.0, tpm=10**6))
    assert got.json["penstock"]["path"] == "small>lrm"
    assert len(lrm.queries) == 1


def test_what_others_have_spent_of_a_budget_meanwhile_counts_before_a_further_call(tmp_path: Path) -> None:
    door = Door(tmp_path, budget_usd_day=1.0)

    def spends(query: Query) -> str:
        (counter,) = (limit for limit in limits_of(door.key, NOON) if (limit.unit, limit.window) == ("usd", "day"))
        door.store.charge([Claim(counter=counter.counter, amount=1.0, expires_at=counter.ends_at)], now=NOON)
        return "wrong"

    got, lrm = escalating(tmp_path, door, FakeBackend(answer=spends))
    assert (got.status, got.json["penstock"]["path"]) == (200, "small")
    assert not lrm.queries


def test_a_first_call_that_failed_has_spent_nothing_and_another_is_made(tmp_path: Path) -> None:
    door = Door(tmp_path, budget_usd_day=1e-9)
    got, lrm = escalating(tmp_path, door, FakeBackend(answer=ServerFailed("down")))
    assert got.json["penstock"]["path"] == "small!>lrm"
    assert len(lrm.queries) == 1


def test_a_request_whose_call_failed_costs_nothing(tmp_path: Path) -> None:
    broken = FakeBackend(answer=ServerFailed("down"))
    door = Door(tmp_path, small=broken, lrm=broken)
    assert door.chat().status == 502
    assert door.used["usd a day"] == 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_hangs_up_pays_what_was_expected(tmp_path: Path, is_stream: bool) -> None:
    waiting = WaitingBackend()
    door = Door(tmp_path, lrm=waiting)
    expected = door.call("/v1/route", {"messages": HELLO, "model": "lrm"}).json["estimates"][1]["cost_usd"]

    async def leave() -> None:
        gone = asyncio.Event()
        body = {"messages": HELLO, "model": "lrm", "stream": is_stream}
        asked = asyncio.create_task(
            acall(door.app, "/v1/chat/completions", body, headers={"x-api-key": door.text}, gone=gone)
        )
        await asyncio.to_thread(waiting.has_begun.wait)
        gone.set()
        await asked

    asyncio.run(leave())
    assert door.used["usd a day"] == expected > 0


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_client_that_hangs_up_in_the_middle_of_a_cascade_pays_for_every_call(tmp_path: Path, is_stream: bool) -> None:
    door, waiting, sink = Door(tmp_path), WaitingBackend(), ListSink()
    router = make_judging_router(tmp_path, {"small": FakeBackend(answer="wrong"), "lrm": waiting}, sink=sink)
    app = Sidecar(router, keys=door.store, clock=lambda: NOON)
    expected = router.route("What is 17 * 23?").estimates.cost_usd

    async def leave() -> None:
        router.live_on(asyncio.get_running_loop())
        gone = asyncio.Event()
        body = {"messages": HELLO, "stream": is_stream}
        asked = asyncio.create_task(
            acall(app, "/v1/chat/completions", body, headers={"x-api-key": door.text}, gone=gone)
        )
        await asyncio.to_thread(waiting.has_begun.wait)
        gone.set()
        await asked

    asyncio.run(leave())
    paid, broken = sink.records
    assert [record["error"] for record in sink.records] == [None, "BrokenOff"]
    assert paid["cost_usd"] > 0
    assert broken["cost_usd"] == expected[1]
    assert door.used["usd a day"] == paid["cost_usd"] + broken["cost_usd"]


def test_a_client_that_leaves_before_its_turn_pays_nothing(tmp_path: Path) -> None:
    models = MODELS.replace("tools]}", "tools], limits: {concurrency: 1}}")
    waiting, store = WaitingBackend(), MemoryStore()
    (first, first_text), (second, second_text) = (new_key(Key(id="", name=n, digest="", created_at=0)) for n in "ab")
    store.put(first)
    store.put(second)
    router = Router.from_config(write_models(tmp_path, models), backends={"lrm": waiting})
    app = Sidecar(router, keys=store, clock=lambda: NOON)

    async def leave() -> None:
        router.live_on(asyncio.get_running_loop())
        gone = [asyncio.Event(), asyncio.Event()]
        body = {"messages": HELLO, "model": "lrm"}
        asked = []
        for text, event in zip((first_text, second_text), gone, strict=True):
            headers = {"x-api-key": text}
            asked.append(asyncio.create_task(acall(app, "/v1/chat/completions", body, headers=headers, gone=event)))
            await asyncio.to_thread(waiting.has_begun.wait)
        while not router.gates()["lrm"].waiting:
            await asyncio.sleep(0)
        for task, event in zip(reversed(asked), reversed(gone), strict=True):
            event.set()
            await task

    asyncio.run(leave())
    assert used(store, first, NOON)["usd a day"] > 0
    assert used(store, second, NOON)["usd a day"] == 0


def test_a_stream_that_breaks_pays_for_what_came(tmp_path: Path) -> None:
    door = Door(tmp_path, lrm=BreakingBackend())
    assert b"the model fell over" in door.chat(model="lrm", stream=True).body
    assert door.used["usd a day"] > 0


def test_more_than_was_expected_counts_as_what_came(tmp_path: Path) -> None:
    class Talkative(BreakingBackend):
        async def stream(self, query: Any) -> Any:
            yield Chunk(text="word " * 80_000)
            raise self._error

    door = Door(tmp_path, lrm=Talkative())
    assert door.chat(model="lrm", stream=True).status == 200
    assert door.used["usd a day"] == pytest.approx(100_000 * 200 / 1e6, rel=0.01)


def test_a_budget_survives_a_restart_and_is_shared(tmp_path: Path) -> None:
    door = Door(tmp_path, store=open_store(tmp_path / "keys.db"), budget_usd_day=1e-9)
    assert door.chat(model="lrm").status == 200
    door.store.close()
    store = open_store(tmp_path / "keys.db")
    app = Sidecar(make_judging_router(tmp_path, {}), keys=store, clock=lambda: NOON)
    assert call(app, "/v1/chat/completions", {"messages": HELLO}, headers={"x-api-key": door.text}).status == 429
    store.close()


def test_keys_of_models_yaml_are_asked_for(tmp_path: Path) -> None:
    with Router.from_config(write_models(tmp_path, MODELS + "keys: {file: keys.db}\n")) as router:
        app = Sidecar(router)
        with serving(app):
            pass  # whose end closes the file
        assert call(app, "/v1/models").status == 401
    assert (tmp_path / "keys.db").exists()


class FlakyStore(MemoryStore):
    """A store that can be out of reach."""

    is_broken = False

    def charge(self, claims: Sequence[Claim], *, now: float) -> tuple[float, ...]:
        """Raises while it is broken."""
        if self.is_broken:
            raise PenstockError("keys.file: disk full")
        return super().charge(claims, now=now)


def test_a_store_out_of_reach_refuses_and_tells_the_log_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FlakyStore()
    door = Door(tmp_path, store=store, rpm=5)
    store.is_broken = True
    assert error_of(door.chat()) == (503, "keys_unavailable", "keys cannot be looked up just now; try again")
    assert "disk full" in caplog.text


def test_what_could_not_be_written_is_written_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = FlakyStore()
    door = Door(tmp_path, store=store)  # without limits, so that only the end of a request writes
    store.is_broken = True
    costs = [door.chat(model="lrm").json["penstock"]["cost_usd"] for _ in range(2)]
    assert "what keys have used is not written yet: keys.file: disk full" in caplog.text
    store.is_broken = False
    costs.append(door.chat(model="lrm").json["penstock"]["cost_usd"])
    assert door.used["usd a day"] == pytest.approx(sum(costs), rel=1e-12)


def test_what_could_not_be_written_is_written_at_the_end_at_the_latest(tmp_path: Path) -> None:
    store = FlakyStore()
    door = Door(tmp_path, store=store)

    with serving(door.app) as url:
        store.is_broken = True
        body = {"messages": HELLO, "model": "lrm"}
        got = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"x-api-key": door.text}, timeout=PATIENCE_S)
        store.is_broken = False
        assert door.used["usd a day"] == 0
    assert door.used["usd a day"] == got.json()["penstock"]["cost_usd"] > 0


def test_requests_at_once_add_up_over_a_socket(tmp_path: Path) -> None:
    door = Door(tmp_path, store=open_store(tmp_path / "keys.db"), rpm=30)

    with serving(door.app) as url, httpx.Client(headers={"x-api-key": door.text}, timeout=PATIENCE_S) as client:

        def ask(number: int) -> httpx.Response:
            body = {"messages": HELLO, "model": "lrm", "stream": bool(number % 2)}
            return client.post(f"{url}/v1/chat/completions", json=body)

        with ThreadPoolExecutor(8) as pool:
            replies = list(pool.map(ask, range(40)))
    answered = [reply for reply in replies if reply.status_code == 200]
    assert len(answered) == 30
    assert {reply.status_code for reply in replies} == {200, 429}
    store = open_store(tmp_path / "keys.db")
    whole = next(reply.json() for reply in answered if reply.headers["content-type"] == "application/json")
    assert used(store, door.key, NOON)["usd a day"] == pytest.approx(30 * whole["penstock"]["cost_usd"])
    store.close()


def test_no_key_reaches_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    door = Door(tmp_path, lrm=FakeBackend(answer=ServerFailed("down")), rpm=2)
    assert [door.chat(model="lrm").status for _ in range(3)] == [502, 502, 429]
    call(door.app, "/v1/models", headers={"authorization": f"Bearer {door.text}x"})
    assert "401" in caplog.text
    assert door.text.split("_", 2)[2] not in caplog.text
