"""Asking one backend again, and when no more: in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterable

import pytest

from penstock.backends import (
    BackendError,
    BackendSpec,
    BackendTimeout,
    BackendUnreachable,
    Breaker,
    Chunk,
    Completion,
    FakeBackend,
    InvalidRequest,
    MalformedReply,
    Query,
    RateLimited,
    ServerFailed,
    Timeouts,
)
from penstock.router.caller import NEVER, Caller
from penstock.router.gate import LocalGate

from .virtual_time import VirtualLoop, run_virtually

HELLO = Query.from_text("hello")
DOWN = ServerFailed("down", backend="small")


class Asking:
    """A caller whose backend answers in turn what it is given; each answer takes `takes_s`."""

    def __init__(
        self,
        *answers: str | BackendError,
        retries: int = 2,
        failures: int = 5,
        takes_s: float = 0.0,
        total_s: float = 600.0,
        backend: FakeBackend | None = None,
    ) -> None:
        self.loop = VirtualLoop()
        said = iter(answers)

        async def answer(query: Query) -> str | BackendError:
            await asyncio.sleep(takes_s)
            return next(said)

        self.backend = backend or FakeBackend(answer)
        spec = BackendSpec(
            name="small",
            type="fake",
            retries=retries,
            breaker=Breaker(failures=failures),
            timeout=Timeouts(total_s=total_s),
        )
        self.gate = LocalGate(spec, clock=self.loop.time)
        self.caller = Caller(spec, self.backend, self.gate, rng=random.Random(0), clock=self.loop.time)

    def texts(self, way: str, *, deadline_s: float | None = None) -> list[str]:
        """Returns the pieces of an answer that come as a stream, or the whole one."""
        return run_virtually(self._texts(way, deadline_s), self.loop)

    async def _texts(self, way: str, deadline_s: float | None) -> list[str]:
        deadline = NEVER if deadline_s is None else self.loop.time() + deadline_s
        if way == "complete":
            return [(await self.caller.complete(HELLO, deadline=deadline)).text]
        return [chunk.text async for chunk in self.caller.stream(HELLO, deadline=deadline) if chunk.text]

    @property
    def n_asked(self) -> int:
        """How often the backend was asked."""
        return len(self.backend.queries)

    @property
    def passed_s(self) -> float:
        """How much virtual time has passed."""
        return self.loop.now - 1000.0


WAYS = pytest.mark.parametrize("way", ["complete", "stream"])


@WAYS
def test_failures_that_pass_are_made_up_for(way: str) -> None:
    asking = Asking(DOWN, BackendUnreachable("reset"), "fine")
    assert asking.texts(way) == ["fine"]
    assert asking.n_asked == 3
    assert 0 < asking.passed_s <= 0.25 + 0.5


@WAYS
def test_after_so_many_failures_the_last_one_is_raised(way: str) -> None:
    asking = Asking(DOWN, DOWN, ServerFailed("the third", backend="small"), "fine")
    with pytest.raises(ServerFailed, match="the third"):
        asking.texts(way)
    assert asking.n_asked == 3


@WAYS
@pytest.mark.parametrize("error", [InvalidRequest("no"), BackendTimeout("slow"), RateLimited("x", retry_after_s=9)])
def test_some_failures_are_not_waited_for(way: str, error: BackendError) -> None:
    asking = Asking(error, "fine")
    with pytest.raises(type(error)):
        asking.texts(way)
    assert (asking.n_asked, asking.passed_s) == (1, 0)


@WAYS
def test_it_is_not_asked_again_before_the_provider_allows_it(way: str) -> None:
    asking = Asking(RateLimited("slow down", retry_after_s=0.9), "fine")
    assert asking.texts(way) == ["fine"]
    assert 0.9 <= asking.passed_s <= 0.9 + 0.25


def test_no_retry_begins_after_the_total_timeout_of_the_backend() -> None:
    asking = Asking(DOWN, "fine", takes_s=8, total_s=8)
    with pytest.raises(ServerFailed):
        asking.texts("complete")
    assert asking.n_asked == 1


def test_a_circuit_that_has_opened_ends_the_retries() -> None:
    asking = Asking(DOWN, DOWN, "fine", retries=9, failures=2)
    with pytest.raises(ServerFailed):
        asking.texts("complete")
    assert asking.n_asked == 2


@WAYS
def test_the_deadline_ends_a_call(way: str) -> None:
    asking = Asking("fine", takes_s=10)
    with pytest.raises(BackendTimeout, match="small: the request's deadline_s has passed"):
        asking.texts(way, deadline_s=4)
    assert asking.passed_s == 4


@WAYS
def test_no_retry_begins_after_the_deadline(way: str) -> None:
    asking = Asking(DOWN, "fine", takes_s=3.9999999, retries=9)
    with pytest.raises(ServerFailed):
        asking.texts(way, deadline_s=4)
    assert asking.n_asked == 1


@WAYS
def test_after_the_deadline_nobody_is_asked(way: str) -> None:
    asking = Asking("fine")
    with pytest.raises(BackendTimeout):
        asking.texts(way, deadline_s=0)
    assert asking.n_asked == 0


class Turning(FakeBackend):
    """Takes so long for its first piece in turn, the last time for ever."""

    def __init__(self, *seconds: float) -> None:
        super().__init__(answer=self._answer)
        self._left = list(seconds)

    async def _answer(self, query: Query) -> str:
        await asyncio.sleep(self._left.pop(0) if len(self._left) > 1 else self._left[0])
        return "fine"


async def ask(asking: Asking, way: str, *, deadline_s: float | None = None) -> str:
    """Returns the answer, or the kind of error."""
    deadline = NEVER if deadline_s is None else asking.loop.time() + deadline_s
    try:
        if way == "complete":
            return (await asking.caller.complete(HELLO, deadline=deadline)).text
        return "".join([chunk.text async for chunk in asking.caller.stream(HELLO, deadline=deadline)])
    except BackendError as error:
        return type(error).__name__


@WAYS
def test_a_deadline_shorter_than_calls_take_is_no_failure_of_the_backend(way: str) -> None:
    asking = Asking(backend=Turning(10), failures=1)

    async def run() -> list[str]:
        return [await ask(asking, way, deadline_s=seconds) for seconds in (None, 1, 1, None)]

    assert run_virtually(run(), asking.loop) == ["fine", "BackendTimeout", "BackendTimeout", "fine"]


@WAYS
def test_a_backend_that_hangs_past_the_deadline_is_left_alone(way: str) -> None:
    asking = Asking(backend=Turning(1, 1, 60), failures=2)

    async def run() -> list[str]:
        return [await ask(asking, way, deadline_s=10) for _ in range(5)]

    assert run_virtually(run(), asking.loop) == ["fine", "fine", "BackendTimeout", "BackendTimeout", "BackendBusy"]


@WAYS
def test_a_backend_that_has_hung_from_the_first_call_on_is_left_alone(way: str) -> None:
    asking = Asking(backend=Turning(60), failures=2)

    async def run() -> list[str]:
        return [await ask(asking, way, deadline_s=10) for _ in range(3)]

    assert run_virtually(run(), asking.loop) == ["BackendTimeout", "BackendTimeout", "BackendBusy"]


def test_a_client_that_is_slow_to_take_a_stream_does_not_count_against_the_backend() -> None:
    asking = Asking(backend=Turning(1), failures=1)

    async def take_slowly() -> None:
        async for _ in asking.caller.stream(HELLO, deadline=asking.loop.time() + 5):
            await asyncio.sleep(7)

    async def run() -> str:
        with pytest.raises(BackendTimeout):
            await take_slowly()
        return await ask(asking, "complete")

    assert run_virtually(run(), asking.loop) == "fine"


class Breaking(FakeBackend):
    """Streams so many chunks, then goes wrong."""

    def __init__(self, chunks: Iterable[Chunk], error: BackendError | None) -> None:
        super().__init__(answer="never")
        self._chunks = tuple(chunks)
        self._error = error

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the chunks and raises."""
        self.queries.append(query)
        for chunk in self._chunks:
            yield chunk
        if self._error is not None:
            raise self._error


def test_once_a_piece_was_given_out_there_is_no_other_attempt() -> None:
    asking = Asking(backend=Breaking([Chunk(text="One")], DOWN))
    with pytest.raises(ServerFailed):
        asking.texts("stream")
    assert asking.n_asked == 1


def test_a_stream_without_its_completion_is_malformed() -> None:
    asking = Asking(backend=Breaking([Chunk(text="One")], None))
    with pytest.raises(MalformedReply, match="small: the stream ended without its completion"):
        asking.texts("stream")


@pytest.mark.parametrize("pieces", [[], [Chunk(text="One")]], ids=["none", "one"])
def test_streams_without_their_completion_open_the_circuit(pieces: list[Chunk]) -> None:
    asking = Asking(failures=1, retries=0, backend=Breaking(pieces, None))
    with pytest.raises(MalformedReply):
        asking.texts("stream")
    assert asking.gate.state().circuit == "open"


def test_the_deadline_ends_a_stream_that_has_begun() -> None:
    class Dripping(FakeBackend):
        async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
            for _ in range(100):
                await asyncio.sleep(1)
                yield Chunk(text="drip")
            yield Chunk(completion=Completion(text="drip" * 100))

    asking = Asking(backend=Dripping(answer="never"))
    with pytest.raises(BackendTimeout):
        asking.texts("stream", deadline_s=5.5)
    assert asking.passed_s == 5.5
