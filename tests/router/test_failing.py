"""A router over backends that fail, are busy or are slow: it goes on by the same rule, or says when to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import (
    AuthenticationFailed,
    Backend,
    BackendError,
    BackendTimeout,
    FakeBackend,
    InvalidRequest,
    Query,
    RateLimited,
    ServerFailed,
)
from penstock.router import AllBackendsFailed, NoBackendFree, NoFeasibleBackend, Pool, Router, Wishes, read_config
from penstock.router.server import Sidecar

from .serving import HELLO, acall, write_models
from .virtual_time import VirtualLoop, run_virtually

MODELS = """
policies:
  auto: {{objective: utility, lam: 20}}
  soon: {{objective: utility, lam: 20, deadline_s: 10}}
backends:
  small: {{type: fake, tier: small, price: {{input: 0.04, output: 0.10}}, {keys}}}
  mid: {{type: fake, tier: mid, price: {{input: 1, output: 100}}}}
  lrm: {{type: fake, tier: lrm, price: {{input: 1, output: 1000}}}}
"""
DOWN = ServerFailed("the model fell over", backend="small")


def run(
    folder: Path, what: Callable[[Router], Awaitable[Any]], *, keys: str = "retries: 0", **backends: Backend
) -> Any:
    """Returns what comes of a router in virtual time. It likes `small` best, then `mid`, then `lrm`."""
    config = read_config(write_models(folder, MODELS.format(keys=keys)))
    given = {name: backends.get(name, FakeBackend(answer=f"from {name}")) for name in config.backends}
    loop = VirtualLoop()
    router = Router(config, Pool(config.backends, None), backends=given, clock=loop.time)

    async def live() -> Any:
        router.live_on(loop)
        return await what(router)

    return run_virtually(live(), loop)


def says(*answers: str | BackendError) -> FakeBackend:
    """Returns a backend that says these things in turn, the last one for ever."""
    left = list(answers)
    return FakeBackend(lambda query: left.pop(0) if len(left) > 1 else left[0])


def takes(seconds: float) -> FakeBackend:
    """Returns a backend that is slow."""

    async def answer(query: Query) -> str:
        await asyncio.sleep(seconds)
        return "at last"

    return FakeBackend(answer)


async def path_of(router: Router, **how: Any) -> str:
    """Returns who was asked for an answer."""
    return (await router.aask("x", **how)).path


async def paths_of(router: Router, n: int, **how: Any) -> list[str]:
    return [await path_of(router, **how) for _ in range(n)]


# Falling back


def test_a_failure_that_passes_is_no_reason_to_ask_another_backend(tmp_path: Path) -> None:
    assert run(tmp_path, path_of, keys="retries: 1", small=says(DOWN, "fine")) == "small"


@pytest.mark.parametrize(
    "error", [DOWN, InvalidRequest("no"), AuthenticationFailed("no"), BackendTimeout("x"), RateLimited("x")]
)
def test_a_failure_falls_back_to_whom_the_rule_likes_best_of_the_rest(tmp_path: Path, error: BackendError) -> None:
    without_small = run(tmp_path, lambda router: path_of(router, wishes=Wishes(deny=("small",))))
    assert without_small == "mid"
    assert run(tmp_path, path_of, small=says(error)) == f"small!>{without_small}"
    assert run(tmp_path, path_of, small=says(error), mid=says(error)) == "small!>mid!>lrm"


def test_when_all_fail_every_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(AllBackendsFailed) as caught:
        run(tmp_path, path_of, small=says(DOWN), mid=says(DOWN), lrm=says(InvalidRequest("no")))
    assert list(caught.value.causes) == ["small", "mid", "lrm"]


# The circuit breaker


def test_a_backend_that_keeps_failing_is_left_alone_and_tried_again(tmp_path: Path) -> None:
    async def what(router: Router) -> list[str]:
        paths = await paths_of(router, 7)
        await asyncio.sleep(5)
        return [*paths, *await paths_of(router, 2)]

    small = says(*[DOWN] * 5, "fine")
    assert run(tmp_path, what, small=small) == [*["small!>mid"] * 5, "mid", "mid", "small", "small"]


def test_the_decision_says_who_is_left_alone_and_why(tmp_path: Path) -> None:
    async def what(router: Router) -> None:
        await paths_of(router, 5)
        decision = router.route("x")
        reason = "left alone after 5 failures in a row (ServerFailed), tried again in 5.0 s"
        assert decision.backend == "mid"
        assert decision.reason.endswith(f"; without small: {reason}")
        assert f"excluded: {reason}" in decision.explain()
        assert decision.as_dict()["estimates"][0]["excluded"] == reason

    run(tmp_path, what, small=says(DOWN))


def test_who_is_excluded_by_a_wish_is_not_said_to_be_left_alone(tmp_path: Path) -> None:
    async def what(router: Router) -> None:
        await paths_of(router, 5)
        decision = router.decide(Query.from_text("x"), wishes=Wishes(deny=("small",)))
        assert (decision.excluded, decision.unavailable) == ({"small": "in deny"}, {})
        with pytest.raises(NoFeasibleBackend) as caught:
            router.decide(Query.from_text("x"), wishes=Wishes(deny=("small", "mid", "lrm")))
        assert not isinstance(caught.value, NoBackendFree)

    run(tmp_path, what, small=says(DOWN))


def test_where_nobody_else_may_be_asked_it_says_when_to_come_back(tmp_path: Path) -> None:
    async def what(router: Router) -> None:
        for _ in range(5):
            with pytest.raises(AllBackendsFailed):
                await path_of(router, policy="small")
        with pytest.raises(NoBackendFree, match="small: left alone after 5 failures") as caught:
            await path_of(router, policy="small")
        assert caught.value.retry_after_s == 5

    small = says(DOWN)
    run(tmp_path, what, small=small)
    assert len(small.queries) == 5


def test_a_wait_that_a_provider_asks_for_is_kept_to(tmp_path: Path) -> None:
    async def what(router: Router) -> list[str]:
        paths = await paths_of(router, 2)
        await asyncio.sleep(30)
        return [*paths, await path_of(router)]

    small = says(RateLimited("slow down", retry_after_s=30), "fine")
    assert run(tmp_path, what, small=small) == ["small!>mid", "mid", "small"]


# As many calls as a backend takes

NARROW = "retries: 0, limits: {concurrency: 2, queue: 1, queue_s: 3}"


async def all_at_once(router: Router, n: int, **how: Any) -> list[str]:
    outcomes = await asyncio.gather(*(path_of(router, **how) for _ in range(n)), return_exceptions=True)
    return [outcome if isinstance(outcome, str) else type(outcome).__name__ for outcome in outcomes]


def test_those_who_find_a_backend_busy_are_sent_to_the_next_best(tmp_path: Path) -> None:
    async def what(router: Router) -> list[str]:
        return await all_at_once(router, 5)

    assert run(tmp_path, what, keys=NARROW, small=takes(1)) == ["small", "small", "small", "mid", "mid"]


def test_those_whose_turn_does_not_come_fall_back(tmp_path: Path) -> None:
    async def what(router: Router) -> list[str]:
        return await all_at_once(router, 3)

    assert run(tmp_path, what, keys=NARROW, small=takes(60)) == ["small", "small", "small!>mid"]


def test_where_all_are_busy_requests_are_shed_at_once(tmp_path: Path) -> None:
    small = takes(1)

    async def what(router: Router) -> list[str]:
        return await all_at_once(router, 500, policy="small")

    shed = run(tmp_path, what, keys=NARROW, small=small)
    assert sorted(shed) == ["NoBackendFree"] * 497 + ["small"] * 3
    assert len(small.queries) == 3


@pytest.mark.parametrize("is_stream", [False, True])
def test_the_sidecar_sheds_with_a_status_and_a_time_to_come_back(tmp_path: Path, is_stream: bool) -> None:
    body = {"messages": HELLO, "model": "small", "stream": is_stream}

    async def what(router: Router) -> Any:
        app = Sidecar(router)
        return await asyncio.gather(*(acall(app, "/v1/chat/completions", body) for _ in range(4)))

    *answered, shed = run(tmp_path, what, keys=NARROW, small=takes(1))
    assert [got.status for got in answered] == [200, 200, 200]
    assert (shed.status, shed.headers["retry-after"]) == (503, "1")
    assert shed.json["error"]["code"] == "overloaded"


def test_the_reason_header_and_readyz_tell_who_is_left_alone(tmp_path: Path) -> None:
    async def what(router: Router) -> Any:
        app = Sidecar(router)
        for _ in range(5):
            await acall(app, "/v1/chat/completions", {"messages": HELLO})
        return await acall(app, "/v1/chat/completions", {"messages": HELLO}), await acall(app, "/readyz")

    answered, ready = run(tmp_path, what, small=says(DOWN))
    assert "without small: left alone after 5 failures in a row" in answered.headers["x-penstock-reason"]
    assert list(ready.json["unavailable"]) == ["small"]
    assert "fell over" not in str(ready.json)


# The deadline of a policy


def test_the_deadline_is_one_for_all_calls(tmp_path: Path) -> None:
    async def what(router: Router) -> float:
        started = asyncio.get_running_loop().time()
        with pytest.raises(AllBackendsFailed) as caught:
            await path_of(router, policy="soon")
        assert {type(cause) for cause in caught.value.causes.values()} == {BackendTimeout}
        return asyncio.get_running_loop().time() - started

    lrm = takes(4)
    assert run(tmp_path, what, small=takes(60), mid=takes(60), lrm=lrm) == 10
    assert not lrm.queries


def test_what_is_left_of_the_deadline_is_there_for_the_next_best(tmp_path: Path) -> None:
    async def what(router: Router) -> str:
        return await path_of(router, policy="soon")

    async def fails_late(query: Query) -> BackendError:
        await asyncio.sleep(6)
        return DOWN

    assert run(tmp_path, what, small=FakeBackend(fails_late), mid=takes(3)) == "small!>mid"
