"""Noticing that a client has gone, or takes nothing any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from penstock.router.asgi import ON_GONE, ClientGone, UntilGone


async def never() -> Any:
    await asyncio.Event().wait()


async def at_once() -> None:
    pass


async def gone() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def test_work_is_cancelled_when_the_client_leaves() -> None:
    async def run() -> None:
        async with UntilGone({}, gone):
            await never()

    with pytest.raises(ClientGone):
        asyncio.run(run())


def test_where_the_server_calls_nobody_watches() -> None:
    calls: list[Callable[[], None] | None] = []
    scope = {"extensions": {ON_GONE: calls.append}}

    async def unasked() -> Any:
        raise AssertionError("asked for what came next")

    async def run() -> None:
        async with UntilGone(scope, unasked):
            await asyncio.sleep(0)
            leave = calls[-1]
            assert leave is not None
            leave()
            await never()

    with pytest.raises(ClientGone):
        asyncio.run(run())
    assert calls[-1] is None  # it is not to be called any more


def test_a_client_that_leaves_twice_has_only_gone() -> None:
    calls: list[Callable[[], None] | None] = []
    n_cleaned = 0

    async def run() -> None:
        nonlocal n_cleaned
        async with UntilGone({"extensions": {ON_GONE: calls.append}}, never, patience_s=0.02) as client:
            try:
                await client.give(never())  # it takes nothing,
            finally:
                leave = calls[-1]
                assert leave is not None
                leave()  # and then it leaves
                await asyncio.sleep(0)
                n_cleaned += 1

    with pytest.raises(ClientGone):
        asyncio.run(run())
    assert n_cleaned == 1


def test_a_client_that_takes_nothing_counts_as_gone() -> None:
    async def run() -> None:
        async with UntilGone({}, never, patience_s=0.05) as client:
            await client.give(at_once())
            await client.give(never())

    with pytest.raises(ClientGone):
        asyncio.run(run())


def test_waiting_for_the_next_piece_is_no_fault_of_the_client() -> None:
    async def run() -> str:
        async with UntilGone({}, never, patience_s=0.02) as client:
            await client.give(at_once())
            await asyncio.sleep(0.2)
            await client.give(at_once())
        return "well"

    assert asyncio.run(run()) == "well"
