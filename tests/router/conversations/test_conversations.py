"""Conversations through the SDK: who answered last is known, and what it means is seen in decisions and bills."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.backends import Completion, FakeBackend, Query, Usage
from penstock.router import Router, Wishes
from penstock.router.conversations import CACHED_S, KEPT_S

from ..serving import write_models

MODELS = """
policies:
  auto: {objective: utility, lam: 10}
conversations: {file: turns.sqlite}
backends:
  small: {type: fake, tier: small, price: {input: 1, output: 0}}
  lrm: {type: fake, tier: lrm, price: {input: 10, cached_input: 0.1, output: 0}}
"""
LONG = "What does this contract say of liability? " * 400  # about 4,000 tokens
FOLLOW_UP = {"role": "user", "content": "ok, go on"}
LRM = Wishes(deny=("small",))


class Caching:
    """A provider that numbers its answers, and charges the price of cached input for what it has read before."""

    def __init__(self, name: str, *, keeps: bool = True) -> None:
        self.name = name
        self.n_answers = 0
        self._keeps = keeps
        self._seen = 0

    def __call__(self, query: Query) -> Completion:
        """Returns the next answer."""
        self.n_answers += 1
        n_tokens = len(query.text) // 4
        cached = min(self._seen, n_tokens) if self._keeps else 0
        self._seen = n_tokens
        usage = Usage(input_tokens=n_tokens, cached_input_tokens=cached, output_tokens=5)
        return Completion(text=f"Answer {self.n_answers} of {self.name}.", usage=usage)


class Clock:
    """A clock that a test sets."""

    now = 1_000_000.0

    def __call__(self) -> float:
        """Returns the time."""
        return self.now


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    """Yields a router that asks `small` first, over two providers."""
    with make_router(tmp_path) as router:
        yield router


def make_router(folder: Path, *, models: str = MODELS, **options: Any) -> Router:
    backends = {name: FakeBackend(Caching(name, **options)) for name in ("small", "lrm")}
    return Router.from_config(write_models(folder, models), backends=backends)


def grown(messages: list[Any], text: str) -> list[Any]:
    """Returns a conversation with an answer and a follow-up more."""
    return [*messages, {"role": "assistant", "content": text}, FOLLOW_UP]


def first(router: Router, wishes: Wishes = LRM) -> list[Any]:
    """Returns a conversation whose first answer was given by `lrm`."""
    messages: list[Any] = [{"role": "user", "content": LONG}]
    return grown(messages, router.ask(messages=messages, wishes=wishes).text)


def test_a_conversation_stays_with_the_backend_that_has_it_in_its_cache(router: Router) -> None:
    assert router.ask(LONG).backend == "small"
    answer = router.ask(messages=first(router))
    assert answer.backend == "lrm"
    assert "; stays with lrm, whose cache saves $0.0" in answer.decision.reason
    assert answer.completion.usage.cached_input_tokens > 4000


def test_a_stream_is_remembered_like_an_answer(router: Router) -> None:
    messages: list[Any] = [{"role": "user", "content": LONG}]
    text = "".join(chunk.text for chunk in router.stream(messages=messages, wishes=LRM))
    pieces = list(router.stream(messages=grown(messages, text)))
    assert pieces[-1].backend == "lrm"


def test_the_explanation_tells_what_a_new_conversation_would_have_got(router: Router) -> None:
    decision = router.route(messages=first(router))
    assert decision.backend == "lrm"
    assert "as the first request of a conversation: small" in decision.explain()


def test_asking_does_not_change_the_past(router: Router) -> None:
    messages = first(router)
    for _ in range(3):
        assert router.route(messages=messages).past.last == "lrm"


def test_what_was_cached_is_forgotten_when_providers_forget_it(router: Router) -> None:
    clock = Clock()
    router._conversations._clock = clock
    messages = first(router)
    clock.now += CACHED_S + 1
    past = router.route(messages=messages).past
    assert (past.last, dict(past.cached_tokens)) == ("lrm", {})
    clock.now += KEPT_S
    assert router.route(messages=messages).past.last == ""


def test_a_provider_that_keeps_nothing_is_not_stayed_with(tmp_path: Path) -> None:
    with make_router(tmp_path, keeps=False) as router:
        messages = first(router)
        second = router.ask(messages=messages)
        assert second.backend == "lrm"  # nobody could know yet
        third = router.ask(messages=grown(messages, second.text))
        assert third.backend == "small"
        assert third.decision.past.cached_tokens == {"lrm": 0}


def test_a_switch_and_back_finds_the_first_cache_again(router: Router) -> None:
    messages = first(router)
    second = router.ask(messages=messages, wishes=Wishes(deny=("lrm",)))
    past = router.route(messages=grown(messages, second.text)).past
    assert past.last == "small"
    assert past.authors == ("lrm", "small")
    assert set(past.cached_tokens) == {"lrm", "small"}
    assert past.cached_tokens["small"] > past.cached_tokens["lrm"] > 4000


def test_a_rewritten_conversation_is_known_by_its_name(router: Router) -> None:
    named = replace(LRM, conversation="chat-7")
    first(router, named)
    rewritten = [
        {"role": "user", "content": "Summary: a contract."},
        {"role": "assistant", "content": "I see."},
        FOLLOW_UP,
    ]
    assert router.route(messages=rewritten, wishes=Wishes(conversation="chat-7")).past.last == "lrm"
    assert router.route(messages=rewritten, wishes=Wishes(conversation="chat-8")).past.last == ""
    assert router.route(messages=rewritten).past.last == ""


def test_conversations_of_two_users_never_mix(router: Router) -> None:
    messages: list[Any] = [{"role": "user", "content": LONG}]
    text = router.ask(messages=messages, wishes=LRM, user="ann").text
    assert router.route(messages=grown(messages, text), user="ann").past.last == "lrm"
    assert router.route(messages=grown(messages, text), user="bob").past.last == ""


def test_conversations_of_two_keys_never_mix(router: Router) -> None:
    query = Query.from_messages(first(router))
    assert router.decide(query).past.last == "lrm"
    assert router.decide(query, asker="key-2").past.last == ""


def test_two_conversations_that_began_alike_know_their_own_answers(router: Router) -> None:
    start: list[Any] = [{"role": "user", "content": LONG}]
    one = router.ask(messages=start, wishes=LRM).text
    router.ask(messages=start)
    assert router.route(messages=grown(start, one)).past.last == "lrm"


def test_in_a_tool_loop_the_tier_does_not_drop(router: Router) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    router._fleet.backends()["lrm"]._answer = Completion(text="", tool_calls=(call,))  # type: ignore[attr-defined]
    start: list[Any] = [{"role": "user", "content": "Find it."}]
    answer = router.ask(messages=start, wishes=LRM)
    calls = {"role": "assistant", "content": None, "tool_calls": list(answer.completion.tool_calls)}
    loop = [*start, calls, {"role": "tool", "tool_call_id": "c", "content": "found"}]
    decision = router.route(messages=loop)
    assert decision.backend == "lrm"
    assert decision.excluded == {"small": "tier small is below lrm, and in a tool loop it never drops"}
    over = [*loop, {"role": "assistant", "content": "There it is."}, FOLLOW_UP]
    assert router.route(messages=over).excluded == {}


def test_a_backend_that_is_asked_by_name_has_no_past(router: Router) -> None:
    messages = first(router)
    answer = router.ask(messages=messages, policy="small")
    assert answer.decision.past.key == ""
    assert answer.backend == "small"


def test_processes_share_what_they_know_by_the_file(tmp_path: Path) -> None:
    with make_router(tmp_path) as one, make_router(tmp_path) as other:
        assert other.ask(messages=first(one)).backend == "lrm"


def test_a_store_that_fails_makes_every_conversation_new(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with make_router(tmp_path) as router:
        messages = first(router)
        router._conversations._store.close()
        assert router.ask(messages=messages).backend == "small"
    assert "turns.sqlite" in caplog.text


def test_without_a_file_it_is_kept_in_memory(tmp_path: Path) -> None:
    models = MODELS.replace("conversations: {file: turns.sqlite}\n", "")
    with make_router(tmp_path, models=models) as router:
        assert router.ask(messages=first(router)).backend == "lrm"
    assert not (tmp_path / "turns.sqlite").exists()
