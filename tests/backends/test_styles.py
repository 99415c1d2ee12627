from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from penstock.backends import (
    BackendError,
    BackendSpec,
    Chunk,
    Completion,
    InvalidRequest,
    Original,
    Price,
    Query,
    create_backend,
)
from penstock.backends.rewriting import RewritingBackend
from penstock.backends.styles import CHECK_DRAFT, instructed, instruction_of, with_draft

from .loopback import Canned, Loopback

ASKED = {"role": "user", "content": "What is 17 * 23?"}


class Recorder:
    """A backend that keeps what it was asked."""

    def __init__(self) -> None:
        self.spec = BackendSpec(name="small", type="fake")
        self.asked: list[Query] = []

    async def complete(self, query: Query) -> Completion:
        self.asked.append(query)
        return Completion(text="391")

    async def stream(self, query: Query) -> AsyncIterator[Chunk]:
        self.asked.append(query)
        yield Chunk(completion=Completion(text="391"))

    async def aclose(self) -> None:
        pass


class Counter(Recorder):
    """One that also counts tokens: the words of its messages."""

    async def count_tokens(self, query: Query) -> int:
        return len(query.text.split())


@pytest.mark.parametrize("style", ["direct", "draft", "budget-64"])
def test_built_in_styles_tell_the_model_something(style: str) -> None:
    assert instruction_of(style)


@pytest.mark.parametrize("style", ["budget-0", "budget-", "budget-1e3", "terse", ""])
def test_what_is_no_style_tells_nothing(style: str) -> None:
    assert instruction_of(style) is None


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        ([ASKED], [{"role": "system", "content": "Be brief."}, ASKED]),
        (
            [{"role": "system", "content": "You add."}, ASKED],
            [{"role": "system", "content": "You add.\n\nBe brief."}, ASKED],
        ),
        (
            [{"role": "developer", "content": [{"type": "text", "text": "You add."}]}, ASKED],
            [
                {
                    "role": "developer",
                    "content": [{"type": "text", "text": "You add."}, {"type": "text", "text": "Be brief."}],
                },
                ASKED,
            ],
        ),
    ],
    ids=["none", "text", "parts"],
)
def test_the_instruction_ends_the_system_message(messages: list[Any], told: list[Any]) -> None:
    query = Query.from_messages(messages, params={"temperature": 0})
    assert list(instructed(query, "Be brief.").messages) == told
    assert list(query.messages) == messages
    assert instructed(query, "Be brief.").params == {"temperature": 0}


@pytest.mark.parametrize(
    ("system", "told"),
    [
        (None, "Be brief."),
        ("You add.", "You add.\n\nBe brief."),
        (
            [{"type": "text", "text": "You add.", "cache_control": {"type": "ephemeral"}}],
            [
                {"type": "text", "text": "You add.", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": "Be brief."},
            ],
        ),
    ],
)
def test_a_request_of_the_messages_api_is_told_in_its_own_words(system: Any, told: Any) -> None:
    body = {"messages": [ASKED]} | ({} if system is None else {"system": system})
    query = replace(Query.from_messages([ASKED]), original=Original(format="messages", body=body))
    original = instructed(query, "Be brief.").original
    assert original is not None
    assert original.body == {"messages": [ASKED], "system": told}
    assert body == {"messages": [ASKED]} | ({} if system is None else {"system": system})


def test_every_way_of_asking_is_styled() -> None:
    inner = Counter()
    backend = RewritingBackend(inner, partial(instructed, instruction="Be brief."))
    query = Query.from_messages([ASKED])

    async def ask() -> tuple[str, str, int]:
        whole = await backend.complete(query)
        pieces = [chunk async for chunk in backend.stream(query)]
        n_tokens: int = await backend.count_tokens(query)
        assert pieces[-1].completion is not None
        return whole.text, pieces[-1].completion.text, n_tokens

    assert asyncio.run(ask()) == ("391", "391", 7)
    assert [query.messages[0]["content"] for query in inner.asked] == ["Be brief.", "Be brief."]


def test_a_backend_that_cannot_count_does_not_learn_it() -> None:
    assert not hasattr(RewritingBackend(Recorder(), partial(instructed, instruction="Be brief.")), "count_tokens")


def test_a_spec_with_an_instruction_makes_a_styled_backend() -> None:
    spec = BackendSpec(name="small~draft", type="fake", instruction="Be brief.")
    assert isinstance(create_backend(spec), RewritingBackend)
    assert create_backend(spec).spec is spec
    assert not isinstance(create_backend(replace(spec, instruction="")), RewritingBackend)


# Drafts

DRAFT = "Draft of the answer, to be checked:\n\n<draft>\n392\n</draft>"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("What is 17 * 23?", f"What is 17 * 23?\n\n{DRAFT}"),
        (
            [{"type": "text", "text": "What is 17 * 23?"}],
            [{"type": "text", "text": "What is 17 * 23?"}, {"type": "text", "text": DRAFT}],
        ),
    ],
    ids=["text", "parts"],
)
@pytest.mark.parametrize("is_original", [False, True])
def test_the_draft_ends_the_last_message_in_the_words_of_every_format(
    content: Any, told: Any, is_original: bool
) -> None:
    asked = {"role": "user", "content": content}
    earlier = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    query = replace(Query.from_messages([*earlier, asked]), draft="392")
    if is_original:
        query = replace(query, original=Original(format="messages", body={"messages": [*earlier, asked], "top_k": 1}))
    given = with_draft(query)
    assert list(given.messages) == [*earlier, {"role": "user", "content": told}]
    if given.original is not None:
        assert given.original.body == {"messages": [*earlier, {"role": "user", "content": told}], "top_k": 1}
    assert list(query.messages) == [*earlier, asked]


def test_without_a_draft_there_is_nothing_to_check() -> None:
    with pytest.raises(InvalidRequest, match="this backend checks drafts, and there is none"):
        with_draft(Query.from_messages([ASKED]))


@pytest.mark.parametrize("type", ["openai", "anthropic"])
@pytest.mark.parametrize("format", ["", "chat", "messages", "responses"])
def test_every_provider_reads_draft_and_instruction_whatever_format_the_request_came_in(type: str, format: str) -> None:
    async def run() -> Any:
        async with Loopback(Canned(status=500)) as server:
            spec = BackendSpec(
                name="check",
                type=type,
                model="m",
                base_url=server.url,
                instruction=instruction_of(CHECK_DRAFT) or "",
                checks_draft=True,
                price=Price(usd_per_1m_input=1, usd_per_1m_output=1),
            )
            backend = create_backend(spec)
            query = replace(Query.from_messages([ASKED]), draft="392")
            if format:
                body = {"messages": [ASKED], "max_tokens": 9} if format != "responses" else {"input": ASKED["content"]}
                query = replace(query, original=Original(format=format, body=body, headers={"authorization": "secret"}))
            with pytest.raises(BackendError):
                await backend.complete(query)
            await backend.aclose()
            return server.asked[0].json

    sent = asyncio.run(run())
    told = str(sent)
    assert sent["messages"][-1]["content"] == f"What is 17 * 23?\n\n{DRAFT}"
    assert "The last message ends with a draft of the answer to it" in told
    assert "secret" not in told
