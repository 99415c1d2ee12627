"""What is to be done a little later, if it is still to be done then."""

from __future__ import annotations

import asyncio

from penstock.router.soon import Soon


def test_calls_what_was_put_in_and_not_what_was_taken_out_again() -> None:
    called: list[str] = []

    async def main() -> None:
        soon = Soon(after_s=0.01)
        for name in ("stays", "goes", "stays too"):
            soon.put(name, lambda name=name: called.append(name), loop=asyncio.get_running_loop())
        soon.take("goes")
        await asyncio.sleep(0.05)
        soon.take("stays")  # it was called, and may be taken out all the same
        assert called == ["stays", "stays too"]
        soon.put("later", lambda: called.append("later"), loop=asyncio.get_running_loop())
        await asyncio.sleep(0.05)

    asyncio.run(main())
    assert called == ["stays", "stays too", "later"]


def test_serves_one_event_loop_after_the_other() -> None:
    soon, called = Soon(after_s=0.01), []

    async def main(name: str, *, wait_s: float) -> None:
        soon.put(name, lambda: called.append(name), loop=asyncio.get_running_loop())
        await asyncio.sleep(wait_s)

    asyncio.run(main("left with its loop", wait_s=0.0))
    asyncio.run(main("called", wait_s=0.05))
    assert "called" in called
