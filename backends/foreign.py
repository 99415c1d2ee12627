"""A third party's backend, held to the contract: whatever goes wrong in it is a failure of that backend alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from .errors import BackendError, ConfigError, MalformedReply, PenstockError
from .failures import redact
from .spec import BackendSpec
from .types import Backend, Chunk, Completion, Query


class ForeignBackend:
    """The inner backend, with every error that it may not raise made one that a cascade falls back on.

    A bug of its author's is not asked a second time; the error that it raised is the cause of ours.
    """

    def __init__(self, inner: Backend) -> None:
        self.spec = inner.spec
        self._inner = inner
        if hasattr(inner, "count_tokens"):
            self.count_tokens = self._count_tokens

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        with self._bugs_told():
            completion = await self._inner.complete(query)
        if not isinstance(completion, Completion):
            raise self._malformed(f"complete() returned {_kind_of(completion)}; expected a Completion")
        return completion

    async def stream(self, query: Query) -> AsyncIterator[Chunk]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        is_whole = False
        with self._bugs_told():
            async with AsyncExitStack() as stack:
                chunks: Any = self._inner.stream(query)
                if hasattr(chunks, "aclose"):
                    stack.push_async_callback(chunks.aclose)
                async for chunk in chunks:
                    if not isinstance(chunk, Chunk):
                        raise self._malformed(f"stream() gave {_kind_of(chunk)}; expected a Chunk")
                    is_whole = is_whole or chunk.completion is not None
                    yield chunk
        if not is_whole:
            raise self._malformed("stream() ended without a chunk that carries the completion")

    async def aclose(self) -> None:
        """Frees connections and threads; may be called twice."""
        await self._inner.aclose()

    async def _count_tokens(self, query: Query) -> int:
        inner: Any = self._inner
        with self._bugs_told():
            n_tokens: int = await inner.count_tokens(query)
        return n_tokens

    @contextmanager
    def _bugs_told(self) -> Iterator[None]:
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            told = f"{self.spec.type} raised {_told(error, self.spec)}"
            raise BackendError(told, backend=self.spec.name) from error

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
    except Exception as error:
        raise ConfigError(f"backends.{spec.name}: {spec.type} cannot be made: {_told(error, spec)}") from error
    if not isinstance(getattr(inner, "spec", None), BackendSpec):
        raise ConfigError(f"backends.{spec.name}: {spec.type} keeps no `spec`; expected the one that it was given")
    return ForeignBackend(inner)


def _told(error: Exception, spec: BackendSpec) -> str:
    """Returns the kind of an error and what it says, without the backend's key."""
    key = os.environ.get(spec.api_key_env, "") if spec.api_key_env else ""
    return redact(f"{type(error).__name__}: {error}".removesuffix(": "), [key])


def _kind_of(value: object) -> str:
    return type(value).__name__
