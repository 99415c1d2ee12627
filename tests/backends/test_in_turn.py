"""Those who could go on all at once go on a few at a time."""

from __future__ import annotations

import asyncio

import pytest

from penstock.backends.in_turn import InTurn


@pytest.mark.parametrize("n", [1, 2])
def test_so_many_go_on_at_each_turn_of_the_loop_in_the_order_of_coming(n: int) -> None:
    turn_of: dict[str, int] = {}

    async def main() -> None:
        line, n_turns = InTurn(n), 0

        async def come(name: str) -> None:
            await line.wait()
            turn_of[name] = n_turns

        coming = asyncio.gather(*map(come, "abcdef"))
        while not coming.done():
            await asyncio.sleep(0)
            n_turns += 1

    asyncio.run(main())
    assert list(turn_of) == list("abcdef")
    turns = list(turn_of.values())
    assert [turns.count(turn) for turn in sorted(set(turns))] == [n] * (6 // n)


def test_who_comes_alone_goes_on_at_once() -> None:
    async def main() -> None:
        line = InTurn(1)
        for _ in range(3):
            with pytest.raises(StopIteration):  # it does not wait
                line.wait().send(None)
            await asyncio.sleep(0)

    asyncio.run(main())


def test_who_has_left_is_passed_over() -> None:
    async def main() -> None:
        line = InTurn(1)
        first, left, stays = (asyncio.create_task(line.wait()) for _ in range(3))
        await asyncio.sleep(0)
        assert (first.done(), left.done(), stays.done()) == (True, False, False)
        left.cancel()
        await asyncio.wait_for(stays, 5)
        assert left.cancelled()

    asyncio.run(main())


def test_serves_one_event_loop_after_the_other() -> None:
    line = InTurn(1)
    for _ in range(2):
        loop = asyncio.new_event_loop()
        waiters = [loop.create_future() for _ in range(9)]
        for waiter in waiters:
            waiter.add_done_callback(lambda _: None)  # for which a loop that is closed has no use
            line.wake(waiter)
        loop.run_until_complete(asyncio.wait_for(waiters[2], 5))
        loop.close()
        assert not waiters[-1].done()
