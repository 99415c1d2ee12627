"""Backends of third parties that break the contract."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.backends import (
    BackendError,
    BackendSpec,
    BackendTimeout,
    ConfigError,
    MalformedReply,
    Query,
    ServerFailed,
    Timeouts,
    create_backend,
)
from penstock.router import Router

CLASS = """
import asyncio, os, sys
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
        {aclose}
"""
WELL = {
    "init": "pass",
    "complete": "return DONE",
    "stream": "yield Chunk(text='hi'); yield Chunk(completion=DONE)",
    "count_tokens": "return 3",
    "aclose": "pass",
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


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        ("text=None", "a chunk's text is NoneType; expected str"),
        ("reasoning=None", "a chunk's reasoning is NoneType; expected str"),
        ("tool_calls=None", "a chunk's tool_calls are None; expected a tuple of mappings"),
        ("completion='hi'", "a chunk's completion is str; expected a Completion"),
    ],
)
def test_a_chunk_that_cannot_be_read_is_malformed(make: Make, chunk: str, told: str) -> None:
    with pytest.raises(MalformedReply, match=told):
        stream(make(stream=f"yield Chunk({chunk})"))


def test_a_stream_without_its_completion_is_malformed(make: Make) -> None:
    with pytest.raises(MalformedReply, match=r"stream\(\) ended without a chunk that carries the completion"):
        stream(make(stream="yield Chunk(text='hi')"))


def test_a_stream_that_goes_on_after_its_completion_is_malformed(make: Make) -> None:
    with pytest.raises(MalformedReply, match=r"stream\(\) went on after the chunk that carries the completion"):
        stream(make(stream="yield Chunk(completion=DONE); yield Chunk(text='more')"))


@pytest.mark.parametrize("call", [ask, stream])
@pytest.mark.parametrize(
    ("completion", "told"),
    [
        ("Completion(text=None)", "the completion's text is NoneType; expected str"),
        ("Completion(text='', cost_usd=-1.0)", "cost_usd is -1.0; expected US dollars from 0, or None"),
        ("Completion(text='', cost_usd=float('nan'))", "cost_usd is nan; expected US dollars from 0, or None"),
        ("Completion(text='', usage=None)", "usage is None; expected a Usage of whole numbers from 0"),
        ("Completion(text='', usage=Usage(output_tokens=-5))", "expected a Usage of whole numbers from 0"),
        ("Completion(text='', reasoning=None)", "the completion's reasoning is NoneType; expected str"),
        ("Completion(text='', tool_calls=None)", "tool_calls are None; expected a tuple of mappings"),
        ("Completion(text='', tool_calls=('f',))", "expected a tuple of mappings"),
        ("Completion(text='', tool_calls=({'id': 'a'},))", "a tool call is {'id': 'a'}; expected id and function"),
        ("Completion(text='', logprobs=(None,))", "the completion's logprobs are .*; expected a tuple of numbers"),
        ("Completion(text='', logprobs=(-1.0,), tokens=())", "expected a tuple of str, one for each of the logprobs"),
        ("Completion(text='', latency_s=None)", "latency_s is None; expected seconds from 0"),
        ("Completion(text='', first_token_s='1 s')", "first_token_s is '1 s'; expected seconds from 0"),
    ],
)
def test_a_completion_that_cannot_be_read_or_billed_is_malformed(
    make: Make, call: Callable[[BackendSpec], str], completion: str, told: str
) -> None:
    with pytest.raises(MalformedReply, match=told):
        call(make(complete=f"return {completion}", stream=f"yield Chunk(completion={completion})"))


@pytest.mark.parametrize(("call", "what"), [(ask, "no complete answer"), (stream, "no first token")])
def test_timeouts_hold_for_one_that_knows_of_none(make: Make, call: Callable[[BackendSpec], str], what: str) -> None:
    spec = make(complete="await asyncio.sleep(30)", stream="await asyncio.sleep(30); yield")
    with pytest.raises(BackendTimeout, match=rf"^mine: {what} within 0\.0\d s$"):
        call(replace(spec, timeout=Timeouts(first_token_s=0.01, total_s=0.02)))


def test_a_timeout_of_its_own_is_a_bug_like_any_other(make: Make) -> None:
    with pytest.raises(BackendError, match=r"raised TimeoutError: mine") as caught:
        ask(make(complete="raise TimeoutError('mine')"))
    assert not isinstance(caught.value, BackendTimeout)


def test_a_call_that_cancels_itself_fails_and_cancels_nobody_else(make: Make) -> None:
    with pytest.raises(BackendError, match=r"Mine cancelled its own call$"):
        ask(make(complete="raise asyncio.CancelledError"))


def test_cancelling_the_task_comes_through(make: Make) -> None:
    async def run() -> None:
        task = asyncio.create_task(
            create_backend(make(complete="await asyncio.sleep(30)")).complete(Query.from_text("?"))
        )
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


@pytest.mark.parametrize("call", [ask, stream])
def test_leaving_the_program_fails_the_call_alone(make: Make, call: Callable[[BackendSpec], str]) -> None:
    with pytest.raises(BackendError, match=r"raised SystemExit: no key$"):
        call(make(complete="sys.exit('no key')", stream="sys.exit('no key'); yield"))


def test_one_that_resists_its_end_says_whose_it_is(make: Make) -> None:
    with pytest.raises(BackendError, match=r"^mine: foreign_\d+:Mine raised OSError: stuck$"):
        asyncio.run(create_backend(make(aclose="raise OSError('stuck')")).aclose())


@pytest.mark.parametrize(
    ("first_line", "told"),
    [
        ("def (", "SyntaxError: invalid syntax"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit('x')", "SystemExit: x"),
    ],
)
def test_a_module_that_cannot_be_loaded_is_an_error_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_line: str, told: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    name = f"unloadable_{told[:4].lower()}"
    (tmp_path / f"{name}.py").write_text(first_line + "\n")
    with pytest.raises(ConfigError, match=rf"^backends\.mine\.type: cannot load '{name}:Mine': {told}"):
        create_backend(BackendSpec(name="mine", type=f"{name}:Mine"))


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


def test_timeouts_hold_for_a_count_of_tokens_too(make: Make) -> None:
    spec = replace(make(count_tokens="await asyncio.sleep(30)"), timeout=Timeouts(total_s=0.02))
    with pytest.raises(BackendTimeout):
        asyncio.run(create_backend(spec).count_tokens(Query.from_text("?")))  # type: ignore[attr-defined]


def test_a_count_of_tokens_that_is_no_number_is_malformed(make: Make) -> None:
    backend = create_backend(make(count_tokens="return None"))
    with pytest.raises(MalformedReply, match=r"count_tokens\(\) returned None; expected a whole number from 0"):
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
