"""What every backend promises, whatever its type. `conftest.SUBJECTS` is what it runs over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Any

import pytest

from penstock.backends import BACKENDS, Backend, BackendError, Chunk, Completion, Query

from .conftest import FAIL, SUBJECTS

Make = Callable[[], AbstractAsyncContextManager[Backend]]
PARAMS = {"max_tokens": 8, "temperature": 0}


def asking(text: str = "17 * 23?") -> Query:
    return Query.from_messages([{"role": "user", "content": text}], params=PARAMS)


async def chunks_of(backend: Backend, query: Query) -> list[Chunk]:
    return [chunk async for chunk in backend.stream(query)]


def timeless(completion: Completion) -> Completion:
    """Returns a completion without what differs from call to call."""
    calls: tuple[Any, ...] = tuple(
        {**call["function"], "arguments": "".join(call["function"]["arguments"].split())}
        for call in completion.tool_calls
    )
    return replace(completion, latency_s=0, first_token_s=None, tool_calls=calls)


def test_every_built_in_type_has_a_subject() -> None:
    assert {type for type, _ in SUBJECTS.values()} == set(BACKENDS)


def test_backend_keeps_the_protocol_and_its_spec(make_backend: Make) -> None:
    async def run() -> None:
        async with make_backend() as backend:
            assert isinstance(backend, Backend)
            assert backend.spec.name

    asyncio.run(run())


def test_stream_and_whole_say_the_same(make_backend: Make) -> None:
    async def run() -> tuple[Completion, list[Chunk]]:
        async with make_backend() as backend:
            return await backend.complete(asking()), await chunks_of(backend, asking())

    whole, chunks = asyncio.run(run())
    streamed = chunks[-1].completion
    assert streamed is not None
    assert timeless(streamed) == timeless(whole)


def test_only_the_last_chunk_carries_the_completion(make_backend: Make) -> None:
    async def run() -> list[Chunk]:
        async with make_backend() as backend:
            return await chunks_of(backend, asking())

    *pieces, last = asyncio.run(run())
    assert last.completion is not None
    assert all(piece.completion is None for piece in pieces)


def test_chunks_add_up_to_the_completion(make_backend: Make) -> None:
    async def run() -> list[Chunk]:
        async with make_backend() as backend:
            return await chunks_of(backend, asking())

    chunks = asyncio.run(run())
    completion = chunks[-1].completion
    assert completion is not None
    assert "".join(chunk.text for chunk in chunks) == completion.text
    assert "".join(chunk.reasoning for chunk in chunks) == completion.reasoning
    arguments: dict[int, str] = {}
    for delta in (delta for chunk in chunks for delta in chunk.tool_calls):
        arguments[delta["index"]] = arguments.get(delta["index"], "") + delta["function"]["arguments"]
    assert list(arguments.values()) == [call["function"]["arguments"] for call in completion.tool_calls]


def test_completion_is_well_formed(make_backend: Make) -> None:
    async def run() -> Completion:
        async with make_backend() as backend:
            return await backend.complete(asking())

    completion = asyncio.run(run())
    assert completion.finish_reason in {"stop", "length", "tool_calls", "content_filter"}
    assert (completion.finish_reason == "tool_calls") == bool(completion.tool_calls)
    assert completion.usage.output_tokens > 0
    assert completion.usage.cached_input_tokens <= completion.usage.input_tokens
    assert completion.usage.reasoning_tokens <= completion.usage.output_tokens
    assert (completion.logprobs is None) == (completion.tokens is None)
    if completion.logprobs is not None and completion.tokens is not None:
        assert len(completion.logprobs) == len(completion.tokens)
        assert all(logprob <= 0 for logprob in completion.logprobs)
    for alternatives in (completion.entropies, completion.margins):
        assert alternatives is None or len(alternatives) == len(completion.logprobs or ())
        assert all(value >= 0 for value in alternatives or ())


def test_concurrent_queries_do_not_mix(make_backend: Make) -> None:
    async def run() -> tuple[list[Completion], list[Completion]]:
        queries = [asking(f"{number} * 23?") for number in range(17, 22)]
        async with make_backend() as backend:
            together = await asyncio.gather(*(backend.complete(query) for query in queries))
            return together, [await backend.complete(query) for query in queries]

    together, apart = asyncio.run(run())
    assert [completion.text for completion in together] == [completion.text for completion in apart]


@pytest.mark.parametrize("way", ["complete", "stream"])
def test_failure_is_a_backend_error(make_backend: Make, way: str) -> None:
    async def run() -> None:
        async with make_backend() as backend:
            if backend.spec.type == "local":  # which answers anything but what it cannot read
                query = Query(
                    messages=({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]},)
                )
            else:
                query = asking(FAIL)
            with pytest.raises(BackendError):
                await (backend.complete(query) if way == "complete" else chunks_of(backend, query))

    asyncio.run(run())


def test_answers_again_after_a_failure(make_backend: Make) -> None:
    async def run() -> Completion:
        async with make_backend() as backend:
            with suppress(BackendError):
                await backend.complete(asking(FAIL))
            return await backend.complete(asking())

    assert asyncio.run(run()).usage.output_tokens > 0


def test_stream_can_be_left_early(make_backend: Make) -> None:
    async def run() -> Completion:
        async with make_backend() as backend:
            stream = backend.stream(asking())
            await anext(stream)
            await stream.aclose()  # type: ignore[attr-defined]  # every one here is a generator
            return await backend.complete(asking())

    assert asyncio.run(run()).usage.output_tokens > 0


def test_answers_again_after_a_cancelled_call(make_backend: Make) -> None:
    async def run() -> Completion:
        async with make_backend() as backend:
            task = asyncio.ensure_future(backend.complete(asking()))
            await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):  # those that wait for nothing are done by now
                await task
            return await backend.complete(asking())

    assert asyncio.run(run()).usage.output_tokens > 0


def test_closing_twice_is_allowed(make_backend: Make) -> None:
    async def run() -> None:
        async with make_backend() as backend:
            await backend.complete(asking())
            await backend.aclose()
            await backend.aclose()

    asyncio.run(run())
