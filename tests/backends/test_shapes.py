"""Every provider's reply is understood as it is meant, in both forms."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from penstock.backends import Completion, Query

from .conftest import serving
from .shapes import SHAPES, Shape


def completion_of(shape: Shape, *, is_stream: bool) -> Completion:
    async def run() -> Completion:
        async with serving(shape) as backend:
            query = Query.from_text("17 * 23?")
            if not is_stream:
                return await backend.complete(query)
            chunks = [chunk async for chunk in backend.stream(query)]
            assert chunks[-1].completion is not None
            return chunks[-1].completion

    return asyncio.run(run())


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_reply_is_understood(shape: Shape, is_stream: bool) -> None:
    completion = completion_of(shape, is_stream=is_stream)
    calls = [(call["function"]["name"], orjson.loads(call["function"]["arguments"])) for call in completion.tool_calls]
    assert (completion.text, completion.reasoning) == (shape.text, shape.reasoning)
    assert completion.finish_reason == shape.finish_reason
    assert tuple(calls) == shape.tool_calls
    assert (completion.logprobs, completion.tokens) == (shape.logprobs, shape.tokens)
    assert completion.entropies == (None if shape.entropies is None else pytest.approx(shape.entropies))
    assert completion.margins == (None if shape.margins is None else pytest.approx(shape.margins))
    assert completion.model == "m"
    if shape.usage is None:
        assert completion.usage.is_estimated
    else:
        assert completion.usage == shape.usage
