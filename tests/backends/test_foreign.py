"""Backends of third parties that break the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.backends import (
    BackendError,
    BackendSpec,
    ConfigError,
    MalformedReply,
    Query,
    ServerFailed,
    create_backend,
)
from penstock.router import Router

CLASS = """
import os
from penstock.backends import Chunk, Completion, ServerFailed, Usage

DONE = Completion(text="hi", usage=Usage(input_tokens=1, output_tokens=1), model="m", latency_s=0.1)

class Mine:
    def __init__(self, spec):
        {init}
        self.spec = spec
    async def complete(self, query):
        {complete}
    async def stream(self, query):
        {stream}
    async def count_tokens(self, query):
        {count_tokens}
    async def aclose(self):
        pass
"""
WELL = {
    "init": "pass",
    "complete": "return DONE",
    "stream": "yield Chunk(text='hi'); yield Chunk(completion=DONE)",
    "count_tokens": "return 3",
}
Make = Callable[..., BackendSpec]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Make:
    """Writes a third party's module, well-behaved but for what is given, and returns the spec that names its class."""
    name = f"foreign_{abs(hash(request.node.name))}"
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**bodies: str) -> BackendSpec:
        (tmp_path / f"{name}.py").write_text(CLASS.format(**WELL | bodies))
        return BackendSpec(name="mine", type=f"{name}:Mine", model="m", api_key_env="MINE_KEY")

    return write


def ask(spec: BackendSpec) -> str:
    return asyncio.run(create_backend(spec).complete(Query.from_text("?"))).text


def stream(spec: BackendSpec) -> str:
    async def run() -> str:
        return "".join([chunk.text async for chunk in create_backend(spec).stream(Query.from_text("?"))])

    return asyncio.run(run())


def test_one_that_keeps_the_contract_works_as_it_is(make: Make) -> None:
    spec = make()
    assert (ask(spec), stream(spec)) == ("hi", "hi")
    assert asyncio.run(create_backend(spec).count_tokens(Query.from_text("?"))) == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("call", [ask, stream])
def test_an_error_of_another_kind_fails_the_call_and_is_its_cause(
    make: Make, call: Callable[[BackendSpec], str]
) -> None:
    spec = make(complete="raise KeyError('x')", stream="yield Chunk(text='h'); raise KeyError('x')")
    with pytest.raises(BackendError, match=r"mine: foreign_\d+:Mine raised KeyError: 'x'") as caught:
        call(spec)
    assert isinstance(caught.value.__cause__, KeyError)
    assert not caught.value.retryable


@pytest.mark.parametrize("call", [ask, stream])
def test_an_error_of_ours_comes_through_as_it_is(make: Make, call: Callable[[BackendSpec], str]) -> None:
    fails = "raise ServerFailed('down', backend='mine')"
    with pytest.raises(ServerFailed, match=r"^mine: down$"):
        call(make(complete=fails, stream=f"{fails}; yield"))


def test_the_key_is_not_told_with_the_error(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE_KEY", "very-secret")
    with pytest.raises(BackendError, match=r"ValueError: \*\*\* is no good$"):
        ask(make(complete="raise ValueError(os.environ['MINE_KEY'] + ' is no good')"))


def test_something_else_than_a_completion_is_malformed(make: Make) -> None:
    with pytest.raises(MalformedReply, match=r"complete\(\) returned str; expected a Completion"):
        ask(make(complete="return 'hi'"))


def test_something_else_than_a_chunk_is_malformed(make: Make) -> None:
    with pytest.raises(MalformedReply, match=r"stream\(\) gave str; expected a Chunk"):
        stream(make(stream="yield 'hi'"))


def test_a_stream_without_its_completion_is_malformed(make: Make) -> None:
    with pytest.raises(MalformedReply, match=r"stream\(\) ended without a chunk that carries the completion"):
        stream(make(stream="yield Chunk(text='hi')"))


def test_one_that_cannot_be_made_is_an_error_of_the_configuration(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"^backends\.mine: foreign_\d+:Mine cannot be made: ZeroDivisionError: "):
        create_backend(make(init="1 / 0"))


def test_one_that_drops_its_spec_is_an_error_of_the_configuration(make: Make) -> None:
    with pytest.raises(ConfigError, match="keeps no `spec`; expected the one that it was given"):
        create_backend(make(init="spec = None"))


def test_tokens_that_cannot_be_counted_fail_the_call(make: Make) -> None:
    backend = create_backend(make(count_tokens="raise OSError('no counter')"))
    with pytest.raises(BackendError, match=r"raised OSError: no counter$"):
        asyncio.run(backend.count_tokens(Query.from_text("?")))  # type: ignore[attr-defined]


def test_the_cascade_falls_back_from_one_with_a_bug(make: Make, tmp_path: Path) -> None:
    spec = make(complete="return {}['answer']")
    (tmp_path / "models.yaml").write_text(
        f"backends:\n  mine: {{type: '{spec.type}', price: {{input: 0, output: 0}}}}\n"
        "  spare: {type: fake, answer: spare, price: {input: 1, output: 1}}\n"
    )
    with Router.from_config(tmp_path / "models.yaml") as router:
        answer = router.ask("?")
    assert answer.text == "spare"
    assert answer.path == "mine!>spare"
