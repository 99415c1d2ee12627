"""So many at once, the others one after the other."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from penstock.backends.turns import Turns


def test_lets_so_many_in_at_once_and_the_others_in_their_order() -> None:
    async def main() -> None:
        turns, came, inside, most = Turns(2), [], 0, 0

        async def visit(number: int) -> None:
            nonlocal inside, most
            async with turns:
                came.append(number)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*map(visit, range(7)))
        assert came == list(range(7))
        assert most == 2
        assert turns.take_now()
        assert turns.take_now()
        assert not turns.take_now()

    asyncio.run(main())


def test_nobody_who_comes_later_takes_the_turn_that_was_given_to_one_who_waits() -> None:
    async def main() -> None:
        turns = Turns(1)
        assert turns.take_now()
        waits = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        turns.give()
        assert not turns.take_now()
        await waits
        turns.give()
        assert turns.take_now()

    asyncio.run(main())


@pytest.mark.parametrize("has_come", [False, True])
def test_a_turn_is_not_lost_when_who_waits_for_it_is_cancelled(has_come: bool) -> None:
    async def main() -> None:
        turns = Turns(1)
        assert turns.take_now()
        waits = asyncio.create_task(turns.take())
        await asyncio.sleep(0)
        if has_come:
            turns.give()
        waits.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waits
        if not has_come:
            turns.give()
        assert turns.take_now()
        assert not turns.take_now()

    asyncio.run(main())


def test_gives_its_turn_back_when_what_it_did_fails() -> None:
    async def main() -> None:
        turns = Turns(1)
        with pytest.raises(ValueError, match="no"):
            async with turns:
                raise ValueError("no")
        assert turns.take_now()

    asyncio.run(main())
