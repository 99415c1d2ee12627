"""How many calls a backend gets at once, who waits, and who is told to come back."""

from __future__ import annotations

import asyncio

import pytest

from penstock.backends import BackendSpec, Breaker, Limits, ServerFailed
from penstock.router import BackendBusy
from penstock.router.gate import LocalGate

from .virtual_time import VirtualLoop, run_virtually


class Door:
    """A gate, and the calls that go through it, in virtual time."""

    def __init__(self, loop: VirtualLoop, *, concurrency: int = 2, queue: int = 1, queue_s: float = 10.0) -> None:
        limits = Limits(concurrency=concurrency, queue=queue, queue_s=queue_s)
        self.gate = LocalGate(
            BackendSpec(name="small", type="fake", limits=limits, breaker=Breaker(failures=1, rest_s=5)),
            clock=loop.time,
        )
        self.n_inside = self.most_inside = 0

    async def call(self, *, lasts_s: float = 1.0, fails: bool = False, wait_s: float = 1e9) -> str:
        async with self.gate.passage(wait_s=wait_s):
            self.n_inside += 1
            self.most_inside = max(self.most_inside, self.n_inside)
            try:
                await asyncio.sleep(lasts_s)
            finally:
                self.n_inside -= 1
            if fails:
                raise ServerFailed("down", backend="small")
        return "done"

    async def outcome(self, **how: float) -> str:
        try:
            return await self.call(**how)  # type: ignore[arg-type]  # all are numbers
        except BackendBusy as error:
            return error.reason
        except ServerFailed:
            return "failed"


def test_so_many_go_in_so_many_wait_and_the_others_are_told_to_come_back() -> None:
    loop = VirtualLoop()
    door = Door(loop)

    async def run() -> list[str]:
        return await asyncio.gather(*(door.outcome() for _ in range(5)))

    assert run_virtually(run(), loop) == ["done", "done", "done", *["busy with 2 calls, and 1 wait"] * 2]
    assert (door.most_inside, door.n_inside) == (2, 0)


def test_a_turn_that_does_not_come_in_time_is_an_error_that_says_when_to_come_back() -> None:
    loop = VirtualLoop()
    door = Door(loop, concurrency=1)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(door.call(lasts_s=60))
            await asyncio.sleep(0)
            with pytest.raises(BackendBusy, match="small: busy: no turn came within 10 s") as caught:
                await door.call()
            assert caught.value.retry_after_s == 1
            with pytest.raises(BackendBusy, match="within 3 s"):
                await door.call(wait_s=3)

    run_virtually(run(), loop)


def test_who_waits_and_leaves_makes_room_in_the_queue() -> None:
    loop = VirtualLoop()
    door = Door(loop, concurrency=1)

    async def run() -> list[str]:
        inside = asyncio.create_task(door.outcome(lasts_s=9))
        waiting = asyncio.create_task(door.outcome())
        await asyncio.sleep(1)
        assert door.gate.refusal() is not None
        waiting.cancel()
        await asyncio.sleep(1)
        assert door.gate.refusal() is None
        return [await inside, await door.outcome()]

    assert run_virtually(run(), loop) == ["done", "done"]


def test_a_call_that_is_cancelled_or_breaks_gives_its_place_back_and_is_no_failure() -> None:
    loop = VirtualLoop()
    door = Door(loop, concurrency=1, queue=0)

    async def run() -> str:
        task = asyncio.create_task(door.outcome(lasts_s=9))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        with pytest.raises(ZeroDivisionError):
            async with door.gate.passage(wait_s=1):
                raise ZeroDivisionError
        return await door.outcome()

    assert run_virtually(run(), loop) == "done"


def test_those_who_wait_are_told_when_the_backend_begins_to_fail() -> None:
    loop = VirtualLoop()
    door = Door(loop, concurrency=1, queue=2)

    async def run() -> list[str]:
        return await asyncio.gather(door.outcome(fails=True), door.outcome(), door.outcome())

    failed, *rest = run_virtually(run(), loop)
    assert failed == "failed"
    assert rest == ["left alone after a failure (ServerFailed), tried again in 5.0 s"] * 2


def test_after_the_rest_one_call_tries_it_and_opens_it_to_all() -> None:
    loop = VirtualLoop()
    door = Door(loop)

    async def run() -> list[str]:
        await door.outcome(fails=True)
        await asyncio.sleep(5)
        one = asyncio.create_task(door.outcome())
        await asyncio.sleep(0.5)
        other = await door.outcome()
        return [await one, other, await door.outcome()]

    assert run_virtually(run(), loop) == [
        "done",
        "left alone after a failure (ServerFailed), tried again just now",
        "done",
    ]


def test_the_state_tells_who_is_inside_who_waits_and_whether_it_is_left_alone() -> None:
    loop = VirtualLoop()
    door = Door(loop, concurrency=1)

    async def work() -> None:
        calls = [asyncio.create_task(door.outcome(fails=True)), asyncio.create_task(door.outcome())]
        await asyncio.sleep(0.5)
        state = door.gate.state()
        assert (state.in_flight, state.waiting, state.concurrency, state.circuit) == (1, 1, 1, "closed")
        await asyncio.gather(*calls)
        state = door.gate.state()
        assert (state.in_flight, state.waiting, state.circuit) == (0, 0, "open")
        assert "left alone" in (state.refusal or "")
        await asyncio.sleep(5)
        probe = asyncio.create_task(door.outcome())
        await asyncio.sleep(0.5)
        assert door.gate.state().circuit == "half_open"
        await probe
        assert door.gate.state().circuit == "closed"

    run_virtually(work(), loop)
