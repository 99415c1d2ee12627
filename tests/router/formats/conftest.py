"""One sidecar for all tests of a module, since starting one takes longer than most of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from .upstreams import CLAUDE, GPT, MODELS, Between, Says, between


class Talk(Protocol):
    """Returns what comes of a conversation through the sidecar, with providers that say so and so."""

    def __call__(self, what: Callable[[Between], Awaitable[Any]], *, gpt: Says = GPT, claude: Says = CLAUDE) -> Any: ...


@contextmanager
def talking(folder: Path, *, models: str = MODELS) -> Iterator[Talk]:
    """Yields a way to talk through one sidecar."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        sidecar = runner.run(stack.enter_async_context(between(folder, models=models)))

        def talk(what: Callable[[Between], Awaitable[Any]], *, gpt: Says = GPT, claude: Says = CLAUDE) -> Any:
            async def run() -> Any:
                sidecar.gpt.says, sidecar.claude.says = gpt, claude
                sidecar.gpt.asked.clear()
                sidecar.claude.asked.clear()
                return await what(sidecar)

            return runner.run(run())

        yield talk
        runner.run(stack.aclose())


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    """Returns a way to talk through one sidecar."""
    with talking(tmp_path_factory.mktemp("sidecar")) as talk:
        yield talk
