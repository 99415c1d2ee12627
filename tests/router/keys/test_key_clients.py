"""Keys as OpenAI's and Anthropic's clients see them, over sockets, before two providers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from penstock.router.keys import Key, Store, new_key, open_store

from ..formats.upstreams import CLAUDE, GPT, MODELS, Between, between

WITH_KEYS = MODELS + "keys: {{file: keys.db}}\ntraces: {{folder: traces, content: true}}\n"
ASKED: list[Any] = [{"role": "user", "content": "What is 17 * 23?"}]


class Clients:
    """Both clients with one key, and the providers behind the sidecar."""

    def __init__(self, sidecar: Between, store: Store, **limits: Any) -> None:
        key, self.text = new_key(Key(id="", name="me", digest="", created_at=0.0, **limits))
        store.put(key)
        sidecar.gpt.says, sidecar.claude.says = GPT, CLAUDE
        self.sidecar = sidecar
        self.openai = sidecar.openai.with_options(api_key=self.text)
        self.anthropic = sidecar.anthropic.with_options(api_key=self.text)

    async def ask(self, client: str, model: str) -> Any:
        """Returns a reply that is not streamed."""
        if client == "openai":
            return await self.openai.chat.completions.create(model=model, messages=ASKED)
        return await self.anthropic.messages.create(model=model, messages=ASKED, max_tokens=10)

    async def refusal(self, client: str, model: str) -> Any:
        """Returns the error that the client raises."""
        with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as caught:
            await self.ask(client, model)
        return caught.value


def with_clients(folder: Path, what: Callable[[Clients], Awaitable[None]], **limits: Any) -> None:
    """Does something with clients that have a key."""

    async def run() -> None:
        store = open_store(folder / "keys.db")
        try:
            async with between(folder, models=WITH_KEYS) as sidecar:
                await what(Clients(sidecar, store, **limits))
        finally:
            store.close()

    asyncio.run(run())


def test_both_clients_send_their_key_as_they_do_to_their_providers(tmp_path: Path) -> None:
    async def run(clients: Clients) -> None:
        assert (await clients.ask("openai", "gpt")).choices[0].message.content == "It is 391."
        assert (await clients.ask("anthropic", "claude")).content[-1].text == "It is 391."
        assert [model.id async for model in clients.openai.models.list()] == ["auto", "gpt", "claude"]
        counted = await clients.anthropic.messages.count_tokens(model="gpt", messages=ASKED)
        assert counted.input_tokens > 0
        bearer = anthropic.AsyncAnthropic(base_url=clients.sidecar.url, auth_token=clients.text, max_retries=0)
        async with bearer.messages.stream(model="gpt", messages=ASKED, max_tokens=10) as stream:
            assert await stream.get_final_text() == "It is 391."
        await bearer.close()

    with_clients(tmp_path, run)


def test_refusals_are_each_clients_own_errors(tmp_path: Path) -> None:
    async def run(clients: Clients) -> None:
        error = await clients.refusal("openai", "claude")
        assert isinstance(error, openai.PermissionDeniedError)
        assert error.code == "model_not_allowed"
        error = await clients.refusal("anthropic", "claude")
        assert isinstance(error, anthropic.PermissionDeniedError)
        assert error.body["error"]["type"] == "permission_error"

        error = await clients.refusal("anthropic", "gpt")  # the third request of this key
        assert isinstance(error, anthropic.RateLimitError)
        assert error.body["error"]["type"] == "rate_limit_error"
        assert 1 <= int(error.response.headers["retry-after"]) <= 60
        error = await clients.refusal("openai", "gpt")
        assert isinstance(error, openai.RateLimitError)
        assert (error.code, error.type) == ("rate_limit_exceeded", "rate_limit_error")

        strange = clients.sidecar
        with pytest.raises(openai.AuthenticationError) as unknown:
            await strange.openai.chat.completions.create(model="gpt", messages=ASKED)
        assert unknown.value.code == "invalid_api_key"
        with pytest.raises(anthropic.AuthenticationError, match="authentication_error"):
            await strange.anthropic.messages.create(model="gpt", messages=ASKED, max_tokens=10)
        assert not strange.gpt.asked
        assert not strange.claude.asked

    with_clients(tmp_path, run, backends=("gpt",), rpm=2)


def test_clients_do_not_try_again_when_a_budget_is_spent(tmp_path: Path) -> None:
    async def run(clients: Clients) -> None:
        await clients.ask("openai", "gpt")
        answered = len(clients.sidecar.gpt.asked)
        for client in ("openai", "anthropic"):
            setattr(clients, client, getattr(clients, client).with_options(max_retries=2))
            error = await clients.refusal(client, "gpt")
            assert (error.status_code, error.response.headers["x-should-retry"]) == (429, "false")
            assert error.response.request.headers.get("x-stainless-retry-count", "0") == "0"
        assert len(clients.sidecar.gpt.asked) == answered

    with_clients(tmp_path, run, budget_usd_day=1e-9)


@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_the_key_goes_to_no_backend_and_into_no_trace(tmp_path: Path, client: str) -> None:
    seen: list[bytes] = []
    secrets: list[bytes] = []

    async def run(clients: Clients) -> None:
        secrets.append(clients.text.encode())
        for backend in ("gpt", "claude"):
            await clients.ask(client, backend)
        for asked in (*clients.sidecar.gpt.asked, *clients.sidecar.claude.asked):
            seen.append(repr((asked.path, dict(asked.headers))).encode() + asked.body)

    with_clients(tmp_path, run)
    traces = (tmp_path / "traces" / "traces.jsonl").read_bytes()
    assert len(seen) == traces.count(b"\n") == 2
    assert b"17 * 23" in traces
    for content in (*seen, traces):
        assert secrets[0] not in content


def test_addresses_of_images_are_passed_on_and_never_fetched(tmp_path: Path) -> None:
    async def run(clients: Clients) -> None:
        address = clients.sidecar.claude.url + "/image.png"  # a server that would notice
        image = {"type": "image_url", "image_url": {"url": address}}
        messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, image]}]
        await clients.openai.chat.completions.create(model="gpt", messages=messages)
        (asked,) = clients.sidecar.gpt.asked
        assert asked.json["messages"][0]["content"][1]["image_url"]["url"] == address
        assert not clients.sidecar.claude.asked

    with_clients(tmp_path, run)
