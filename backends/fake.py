"""A test double that answers what it is told to: public, so that nobody needs to mock."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import replace

from .errors import BackendError, ConfigError
from .options import check_options, option
from .spec import BackendSpec
from .types import Chunk, Completion, Query
from .usage import estimated_usage
from .whole import chunks_of

Fixed = str | Completion | BackendError
Answer = Fixed | Callable[[Query], Fixed | Awaitable[Fixed]]


class FakeBackend:
    """Answers every query with `answer`: a text, a completion, an error to raise, or a function of the query.

    `FakeBackend(lambda query: "42")` and `FakeBackend(spec, answer="42")` are the ways to make one; from
    models.yaml it comes as `FakeBackend(spec)`, with the text in the option `answer`. A function may be `async`.
    The usage of a text is estimated.

    >>> asyncio.run(FakeBackend(lambda query: "42").complete(Query.from_text("6 * 7?"))).text
    '42'
    """

    OPTIONS: Mapping[str, str] = {
        "answer": "the text of every answer",
        "latency_s": "how long an answer takes, in seconds",
    }

    def __init__(self, spec: BackendSpec | Answer | None = None, *, answer: Answer | None = None) -> None:
        if spec is not None and not isinstance(spec, BackendSpec):
            if answer is not None:
                raise TypeError("the answer was given twice")
            spec, answer = None, spec
        self.spec = spec or BackendSpec(name="fake", type="fake")
        check_options(self.spec, self.OPTIONS)
        text = option(self.spec, "answer", str, expected="text", default="")
        self._answer: Answer = text if answer is None else answer
        self._latency_s = float(option(self.spec, "latency_s", (int, float), expected="seconds", default=0))
        if not 0 <= self._latency_s < float("inf"):
            raise ConfigError(f"backends.{self.spec.name}.latency_s: expected seconds from 0")
        self.queries: list[Query] = []  # every one that was asked, in order
        self.is_closed = False

    def __repr__(self) -> str:
        return f"FakeBackend({self.spec.name!r})"

    async def complete(self, query: Query) -> Completion:
        """Returns the answer."""
        self.queries.append(query)
        if self._latency_s:
            await asyncio.sleep(self._latency_s)
        answer = self._answer(query) if callable(self._answer) else self._answer
        if inspect.isawaitable(answer):
            answer = await answer
        if isinstance(answer, BackendError):
            raise answer
        if isinstance(answer, str):
            answer = Completion(text=answer, model=self.spec.model, latency_s=self._latency_s)
            answer = replace(answer, usage=estimated_usage(query, answer))
        return answer

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the answer word by word."""
        for chunk in chunks_of(await self.complete(query)):
            yield chunk

    async def aclose(self) -> None:
        """Notes that it was closed."""
        self.is_closed = True
