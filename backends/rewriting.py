"""A backend that asks another one in other words, or with other settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from .types import Backend, Chunk, Completion, Query


class RewritingBackend:
    """The inner backend, sent what `rewrite` makes of each query."""

    def __init__(self, inner: Backend, rewrite: Callable[[Query], Query]) -> None:
        self.spec = inner.spec
        self._inner = inner
        self._rewrite = rewrite
        if hasattr(inner, "count_tokens"):
            self.count_tokens = self._count_tokens

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        return await self._inner.complete(self._rewrite(query))

    def stream(self, query: Query) -> AsyncIterator[Chunk]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        return self._inner.stream(self._rewrite(query))

    async def aclose(self) -> None:
        """Frees connections and threads; may be called twice."""
        await self._inner.aclose()

    async def _count_tokens(self, query: Query) -> int:
        inner: Any = self._inner
        n_tokens: int = await inner.count_tokens(self._rewrite(query))
        return n_tokens
