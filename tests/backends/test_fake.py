from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from penstock.backends import BackendSpec, Completion, ConfigError, Query, RateLimited, create_backend
from penstock.backends.fake import FakeBackend

QUERY = Query.from_text("6 * 7?")


def run(awaitable: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await awaitable

    return asyncio.run(wait())


def test_answer_may_be_a_text_a_completion_or_a_function() -> None:
    async def later(query: Query) -> str:
        return "42"

    completion = Completion(text="42")
    for answer in ("42", completion, lambda query: "42", lambda query: completion, later):
        assert run(FakeBackend(answer=answer).complete(QUERY)).text == "42"


def test_function_is_given_the_query() -> None:
    assert run(FakeBackend(lambda query: query.text[::-1]).complete(QUERY)).text == "?7 * 6"


def test_error_is_raised_whether_given_or_returned() -> None:
    error = RateLimited("slow down")
    for answer in (error, lambda query: error):
        with pytest.raises(RateLimited):
            run(FakeBackend(answer=answer).complete(QUERY))


def test_queries_are_kept_in_order() -> None:
    backend = FakeBackend("42")
    for text in ("a", "b"):
        run(backend.complete(Query.from_text(text)))
    assert [query.text for query in backend.queries] == ["a", "b"]


def test_spec_and_answer_go_together() -> None:
    spec = BackendSpec(name="lrm", type="fake", tier="lrm")
    backend = FakeBackend(spec, answer=lambda query: "42")
    assert (backend.spec, run(backend.complete(QUERY)).text) == (spec, "42")


def test_configuration_makes_one() -> None:
    backend = create_backend(BackendSpec(name="small", type="fake", options={"answer": "42", "latency_s": 0.01}))
    assert run(backend.complete(QUERY)).text == "42"


@pytest.mark.parametrize("options", [{"anwser": "42"}, {"answer": 42}, {"latency_s": "slow"}, {"latency_s": -1}])
def test_wrong_option_is_told(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"backends\.small\."):
        FakeBackend(BackendSpec(name="small", type="fake", options=options))


def test_usage_of_a_text_is_estimated() -> None:
    assert run(FakeBackend("42").complete(QUERY)).usage.is_estimated
