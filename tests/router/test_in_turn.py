"""Requests that came together begin one after the other."""

from __future__ import annotations

import asyncio
from pathlib import Path

from penstock.backends import Completion, FakeBackend, Query
from penstock.router.in_turn import InTurn
from penstock.router.server import Sidecar

from .serving import HELLO, acall, make_router


def test_one_goes_on_at_each_turn_of_the_loop_in_the_order_of_coming() -> None:
    turn_of: dict[str, int] = {}

    async def main() -> None:
        line, n_turns = InTurn(), 0

        async def come(name: str) -> None:
            await line.wait()
            turn_of[name] = n_turns

        coming = asyncio.gather(*map(come, ("first", "second", "third")))
        while not coming.done():
            await asyncio.sleep(0)
            n_turns += 1

    asyncio.run(main())
    assert list(turn_of) == ["first", "second", "third"]
    assert len(set(turn_of.values())) == 3


def test_who_comes_alone_goes_on_at_once() -> None:
    async def main() -> None:
        line = InTurn()
        for _ in range(3):
            coming = line.wait()
            try:
                coming.send(None)
            except StopIteration:
                await asyncio.sleep(0)
            else:
                raise AssertionError("waited")

    asyncio.run(main())


def test_who_has_left_is_passed_over() -> None:
    async def main() -> None:
        line = InTurn()
        first, left, stays = (asyncio.create_task(line.wait()) for _ in range(3))
        await asyncio.sleep(0)
        assert (first.done(), left.done(), stays.done()) == (True, False, False)
        left.cancel()
        await asyncio.wait_for(stays, 5)
        assert left.cancelled()

    asyncio.run(main())


def test_serves_one_event_loop_after_the_other() -> None:
    line = InTurn()
    for _ in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(line.wait())  # which ends before the turn of the next one comes
        loop.close()


def test_of_requests_that_came_together_the_first_is_answered_before_the_last_begins(tmp_path: Path) -> None:
    begun: list[int] = []
    answered_at: list[int] = []  # after how many had begun

    class Prompt(FakeBackend):
        async def complete(self, query: Query) -> Completion:
            begun.append(1)
            await asyncio.sleep(0)
            return await super().complete(query)

    app = Sidecar(make_router(tmp_path, small=Prompt(answer="391")))

    async def ask() -> None:
        await acall(app, "/v1/chat/completions", {"model": "small", "messages": HELLO})
        answered_at.append(len(begun))

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(30)))

    asyncio.run(main())
    assert answered_at[0] < 10
