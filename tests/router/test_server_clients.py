"""The sidecar as the official OpenAI client sees it, over a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from penstock.backends import Backend, FakeBackend, RateLimited, ServerFailed
from penstock.router.server import Sidecar

from .serving import PATIENCE_S, BreakingBackend, WaitingBackend, make_router, serving

ASKED: list[Any] = [{"role": "user", "content": "What is 17 * 23?"}]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serving(Sidecar(make_router(tmp_path))) as url:
        yield f"{url}/v1"


def client_of(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=PATIENCE_S)


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with client_of(url) as client:
        yield client


def test_a_completion(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="auto", messages=ASKED)
    assert done.choices[0].message.content == "It is 391."
    assert done.model == "small"
    assert done.usage is not None
    assert done.usage.total_tokens > 0
    assert (done.model_extra or {})["penstock"]["path"] == "small"


def test_the_headers_of_a_completion(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="best", messages=ASKED)
    assert raw.headers["x-penstock-backend"] == "lrm"
    assert raw.parse().id == f"chatcmpl-{raw.headers['x-penstock-trace-id']}"


def test_a_stream(client: openai.OpenAI) -> None:
    options: Any = {"include_usage": True}
    with client.chat.completions.create(model="auto", messages=ASKED, stream=True, stream_options=options) as stream:
        chunks = list(stream)
    assert "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices) == "It is 391."
    assert chunks[-1].usage is not None
    assert (chunks[-1].model_extra or {})["penstock"]["backend"] == "small"


def test_an_async_completion_and_stream(url: str) -> None:
    async def run() -> tuple[str | None, str]:
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=PATIENCE_S) as client:
            done = await client.chat.completions.create(model="auto", messages=ASKED)
            stream = await client.chat.completions.create(model="auto", messages=ASKED, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        return done.choices[0].message.content, text

    assert asyncio.run(run()) == ("It is 391.", "It is 391.")


def test_wishes_as_extra_body_and_as_extra_headers(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(model="auto", messages=ASKED, extra_body={"penstock": {"deny": ["small"]}})
    assert done.model == "lrm"
    done = client.chat.completions.create(model="auto", messages=ASKED, extra_headers={"x-penstock-deny": "small"})
    assert done.model == "lrm"


def test_the_list_of_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["auto", "best", "small", "lrm"]


def test_an_unknown_model_is_not_found_as_with_the_provider(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="expected one of auto, best, small, lrm") as caught:
        client.chat.completions.create(model="gpt", messages=ASKED)
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (RateLimited("slow down", retry_after_s=2), openai.RateLimitError),
        (ServerFailed("down"), openai.InternalServerError),
    ],
)
def test_failures_upstream_are_the_clients_own_errors(
    tmp_path: Path, answer: Any, expected: type[openai.APIStatusError], is_stream: bool
) -> None:
    backend: Backend = FakeBackend(answer=answer)
    with serving(Sidecar(make_router(tmp_path, small=backend))) as url, client_of(f"{url}/v1") as client:
        with pytest.raises(expected) as caught:
            client.chat.completions.create(model="small", messages=ASKED, stream=is_stream)
        assert caught.value.response.headers.get("retry-after") == ("2" if expected is openai.RateLimitError else None)


def test_a_failure_in_the_middle_of_a_stream_is_raised(tmp_path: Path) -> None:
    with (
        serving(Sidecar(make_router(tmp_path, small=BreakingBackend()))) as url,
        client_of(f"{url}/v1") as client,
        client.chat.completions.create(model="auto", messages=ASKED, stream=True) as stream,
    ):
        assert next(stream).choices[0].delta.content == "One"
        with pytest.raises(openai.APIError, match="the model fell over"):
            next(stream)


def test_closing_a_stream_ends_the_call_upstream(tmp_path: Path) -> None:
    small = WaitingBackend()
    with serving(Sidecar(make_router(tmp_path, small=small))) as url, client_of(f"{url}/v1") as client:
        with client.chat.completions.create(model="auto", messages=ASKED, stream=True) as stream:
            assert next(iter(stream)).choices[0].delta.content == "One"
        assert small.was_left.wait(PATIENCE_S)


def test_many_at_once(tmp_path: Path) -> None:
    async def slowly(query: Any) -> str:
        await asyncio.sleep(0.01)
        return f"about {query.text}"

    backend = FakeBackend(slowly)
    with serving(Sidecar(make_router(tmp_path, small=backend))) as url, client_of(f"{url}/v1") as client:

        def ask(number: int) -> str | None:
            asked: list[Any] = [{"role": "user", "content": str(number)}]
            return client.chat.completions.create(model="auto", messages=asked).choices[0].message.content

        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(ask, range(40))) == [f"about {number}" for number in range(40)]
