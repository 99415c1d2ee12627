"""A third party's backend, held to the contract: whatever goes wrong in it is a failure of that backend alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any, TypeVar

from .errors import FOREIGN_ERRORS, BackendError, ConfigError, MalformedReply, PenstockError
from .hiding import redact
from .http import CallClock
from .spec import BackendSpec
from .types import Backend, Chunk, Completion, Query
from .wellformed import flaw_in_chunk, flaw_in_completion, kind_of

_Result = TypeVar("_Result")


class ForeignBackend:
    """The inner backend, with every error that it may not raise made one that a cascade falls back on.

    A bug of its author's is not asked a second time; the error that it raised is the cause of ours. `timeout` of
    models.yaml holds, whether or not the class knows of it.
    """

    def __init__(self, inner: Backend) -> None:
        self.spec = inner.spec
        self._inner = inner
        if hasattr(inner, "count_tokens"):
            self.count_tokens = self._count_tokens

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        clock = CallClock(self.spec.timeout, waits_for_first_token=False)
        with self._bugs_told():
            completion = await self._in_time(self._inner.complete(query), clock)
        if not isinstance(completion, Completion):
            raise self._malformed(f"complete() returned {kind_of(completion)}; expected a Completion")
        self._check(flaw_in_completion(completion))
        return completion

    async def stream(self, query: Query) -> AsyncIterator[Chunk]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        is_whole = False
        clock = CallClock(self.spec.timeout, waits_for_first_token=True)
        with self._bugs_told():
            async with AsyncExitStack() as stack:
                chunks: Any = self._inner.stream(query)
                if hasattr(chunks, "aclose"):
                    stack.push_async_callback(chunks.aclose)
                rest = aiter(chunks)
                while True:
                    try:
                        chunk = await self._in_time(anext(rest), clock)
                    except StopAsyncIteration:
                        break
                    clock.see_token()
                    if not isinstance(chunk, Chunk):
                        raise self._malformed(f"stream() gave {kind_of(chunk)}; expected a Chunk")
                    self._check(flaw_in_chunk(chunk))
                    if is_whole:
                        raise self._malformed("stream() went on after the chunk that carries the completion")
                    is_whole = chunk.completion is not None
                    yield chunk
        if not is_whole:
            raise self._malformed("stream() ended without a chunk that carries the completion")

    async def aclose(self) -> None:
        """Frees connections and threads; may be called twice."""
        with self._bugs_told():
            await self._inner.aclose()

    async def _count_tokens(self, query: Query) -> int:
        inner: Any = self._inner
        clock = CallClock(self.spec.timeout, waits_for_first_token=False)
        with self._bugs_told():
            n_tokens = await self._in_time(inner.count_tokens(query), clock)
        if not isinstance(n_tokens, int) or n_tokens < 0:
            raise self._malformed(f"count_tokens() returned {n_tokens!r:.60}; expected a whole number from 0")
        return n_tokens

    @contextmanager
    def _bugs_told(self) -> Iterator[None]:
        try:
            yield
        except BackendError:
            raise
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise BackendError(f"{self.spec.type} cancelled its own call", backend=self.spec.name) from error
        except FOREIGN_ERRORS as error:
            told = f"{self.spec.type} raised {_told(error, self.spec)}"
            raise BackendError(told, backend=self.spec.name) from error

    async def _in_time(self, awaited: Awaitable[_Result], clock: CallClock) -> _Result:
        """Returns what is awaited, or raises BackendTimeout once the clock's deadline has passed."""
        try:
            async with asyncio.timeout_at(clock.deadline) as limit:
                return await awaited
        except TimeoutError as error:
            if limit.expired():
                raise clock.timeout(self.spec.name) from error
            raise

    def _check(self, flaw: str | None) -> None:
        if flaw is not None:
            raise self._malformed(flaw)

    def _malformed(self, what: str) -> MalformedReply:
        return MalformedReply(f"{self.spec.type}: {what}", backend=self.spec.name)


def create_foreign(backend_type: Any, spec: BackendSpec) -> ForeignBackend:
    """Returns a third party's backend, held to the contract.

    Raises:
        ConfigError: it cannot be made of this spec.
    """
    try:
        inner: Backend = backend_type(spec)
    except PenstockError:
        raise
    except FOREIGN_ERRORS as error:
        raise ConfigError(f"backends.{spec.name}: {spec.type} cannot be made: {_told(error, spec)}") from error
    if not isinstance(getattr(inner, "spec", None), BackendSpec):
        raise ConfigError(f"backends.{spec.name}: {spec.type} keeps no `spec`; expected the one that it was given")
    return ForeignBackend(inner)


def _told(error: BaseException, spec: BackendSpec) -> str:
    """Returns the kind of an error and what it says, without the backend's key."""
    key = os.environ.get(spec.api_key_env, "") if spec.api_key_env else ""
    return redact(f"{type(error).__name__}: {error}".removesuffix(": "), [key])
