"""Calling one backend through its gate, and again after failures that may pass, inside a deadline."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Protocol, TypeVar, cast

from ..backends import Backend, BackendError, BackendSpec, BackendTimeout, Chunk, Completion, MalformedReply, Query
from ..backends.retries import Retries
from .circuit import PATIENCE_S
from .errors import BackendBusy
from .gate import Gate
from .hedge import sooner
from .pace import Pace, Times
from .tally import Entry

logger = logging.getLogger(__name__)

_NO_SUCH_PATH = (404, 405, 501)  # as many who speak a provider's API have not all of it
NEVER = math.inf  # a deadline that does not come
_Begun = TypeVar("_Begun")


class Calls(Protocol):
    """Asks one backend."""

    async def complete(self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None) -> Completion:
        """Returns the whole completion; `entry` is the call in the account of its request."""
        ...

    def stream(
        self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Yields pieces as they come and ends with the one that carries the `completion`; `entry` as for `complete`."""
        ...


class Caller:
    """One backend as the router calls it. Deadlines are told by `clock`.

    A timeout is not followed by another attempt: the time is better spent on the next best backend. A deadline of the
    request that passes counts as a failure of the backend where it had longer than its calls usually take.
    """

    def __init__(
        self, spec: BackendSpec, backend: Backend, gate: Gate, *, rng: random.Random, clock: Callable[[], float]
    ) -> None:
        self._spec = spec
        self.name = spec.name
        self.backend = backend
        self._gate = gate
        self._retries = Retries(most=spec.retries, first_s=0.25, longest_s=2.0, patience_s=PATIENCE_S)
        self._pace = Pace()
        self._rng = rng
        self._clock = clock

    async def complete(self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None) -> Completion:
        """Returns the whole completion; `entry` is the call in the account of its request.

        Raises:
            BackendError: the last of so many failures, or one that asking again would not mend.
        """
        started, n_failures = self._clock(), 0
        entry = entry or Entry(self._spec.name)
        while True:
            try:
                if self._spec.hedge.after_quantile is None:
                    return await self._complete_once(query, deadline, entry)
                return await self._sooner(
                    entry,
                    self._pace.whole,
                    lambda entry: self._complete_once(query, deadline, entry),
                    discard=_forget,
                )
            except TimeoutError as error:
                if deadline == NEVER:
                    raise
                raise self._too_late() from error
            except BackendError as error:
                n_failures += 1
                await self._pause(n_failures, error, end=min(deadline, started + self._spec.timeout.total_s))

    async def count_tokens(self, query: Query) -> int | None:
        """Returns the tokens of a query as the backend counts them, None where it counts nothing."""
        count = getattr(self.backend, "count_tokens", None)
        if count is None:
            return None
        try:
            return int(await count(query))
        except BackendError as error:
            if error.status in _NO_SUCH_PATH:
                return None
            raise

    async def stream(
        self, query: Query, *, deadline: float = NEVER, entry: Entry | None = None
    ) -> AsyncGenerator[Chunk, None]:
        """Yields pieces as they come and ends with the one that carries the `completion`; `entry` as for `complete`.

        Raises:
            BackendError: as for `complete`; once a piece was yielded, there is no other attempt.
        """
        started, n_failures = self._clock(), 0
        entry = entry or Entry(self._spec.name)
        while True:
            has_begun = is_complete = False
            try:
                first, rest, end = await self._sooner(
                    entry,
                    self._pace.first,
                    lambda entry: self._begin_once(query, deadline, entry),
                    discard=lambda begun: begun[2].aclose(),
                )
                async with end:
                    has_begun, is_complete = True, first.completion is not None
                    yield first
                    async for chunk in rest:
                        is_complete |= chunk.completion is not None
                        yield chunk
                    if not is_complete:
                        raise self._ended_early()
                return
            except TimeoutError as error:
                if deadline == NEVER:
                    raise
                raise self._too_late() from error
            except BackendError as error:
                if has_begun:
                    raise
                n_failures += 1
                await self._pause(n_failures, error, end=min(deadline, started + self._spec.timeout.total_s))

    async def _sooner(
        self,
        entry: Entry,
        times: Times,
        once: Callable[[Entry], Awaitable[_Begun]],
        *,
        discard: Callable[[_Begun], Awaitable[None]],
    ) -> _Begun:
        """Returns what one attempt comes to, or a second one beside it, where the backend is hedged and it is late."""
        share = self._spec.hedge.after_quantile
        after_s = None if share is None else times.quantile(share)
        if after_s is None:
            return await once(entry)
        started, second = self._clock(), entry.again()
        begun, is_second = await sooner(
            lambda is_second: once(second if is_second else entry),
            after_s=after_s,
            may_follow=self._gate.has_room,
            discard=discard,
        )
        if is_second:
            times.see(self._clock() - started)  # as long as that, at least, the first one would have taken
            entry.reply, second.reply = second.reply, entry.reply
        return begun

    async def _complete_once(self, query: Query, deadline: float, entry: Entry) -> Completion:
        async with self._gate.passage(wait_s=self._left_s(deadline)):
            entry.sent()
            started = self._clock()
            try:
                if deadline == NEVER:
                    completion = await self.backend.complete(query)
                else:
                    completion = await self._complete_in_time(query, deadline)
            except BackendError as error:
                entry.reply = error
                raise
            self._pace.whole.see(self._clock() - started)
            entry.reply = completion
            return completion

    async def _begin_once(
        self, query: Query, deadline: float, entry: Entry
    ) -> tuple[Chunk, AsyncGenerator[Chunk, None], AsyncExitStack]:
        """Returns the first piece of a stream, the rest of it, and the context whose end ends the call."""
        try:
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(self._gate.passage(wait_s=self._left_s(deadline)))
                rest = await stack.enter_async_context(aclosing(self._chunks(query, deadline)))
                entry.sent()
                started = self._clock()
                first = await anext(rest, None)
                if first is None:
                    raise self._ended_early()
                self._pace.first.see(self._clock() - started)
                return first, rest, stack.pop_all()
        except BackendError as error:
            entry.reply = error
            raise

    def _ended_early(self) -> MalformedReply:
        return MalformedReply("the stream ended without its completion", backend=self._spec.name)

    def _chunks(self, query: Query, deadline: float) -> AsyncGenerator[Chunk, None]:
        # Every backend's stream is a generator, though its protocol promises an iterator only.
        stream = cast(AsyncGenerator[Chunk, None], self.backend.stream(query))
        return stream if deadline == NEVER else self._in_time(stream, deadline)

    async def _complete_in_time(self, query: Query, deadline: float) -> Completion:
        """Returns the whole completion if it comes before the deadline.

        Raises:
            BackendTimeout: it does not, which is the backend's failure.
            TimeoutError: it does not, which is nobody's.
        """
        started = self._clock()
        try:
            async with asyncio.timeout(self._left_s(deadline)):
                return await self.backend.complete(query)
        except TimeoutError as error:
            if self._pace.whole.are_exceeded_by(self._clock() - started):
                raise self._too_late() from error
            raise

    async def _in_time(self, stream: AsyncGenerator[Chunk, None], deadline: float) -> AsyncGenerator[Chunk, None]:
        """Yields the chunks that come before the deadline.

        Raises:
            BackendTimeout, TimeoutError: as for `_complete_in_time`; a client that is slow to take what came does not
                count against the backend.
        """
        usual, waited_s = self._pace.first, 0.0
        async with aclosing(stream):
            while True:
                started = self._clock()
                if started >= deadline:  # while the client took the last piece
                    raise TimeoutError
                try:
                    async with asyncio.timeout(deadline - started):
                        chunk = await anext(stream, None)
                except TimeoutError as error:
                    if usual.are_exceeded_by(waited_s + self._clock() - started):
                        raise self._too_late() from error
                    raise
                if chunk is None:
                    return
                usual, waited_s = self._pace.whole, waited_s + self._clock() - started
                yield chunk

    def _left_s(self, deadline: float) -> float:
        if deadline == NEVER:
            return NEVER
        left_s = deadline - self._clock()
        if left_s <= 0:
            raise self._too_late()
        return left_s

    def _too_late(self) -> BackendTimeout:
        return BackendTimeout("the request's deadline_s has passed", backend=self._spec.name)

    async def _pause(self, n_failures: int, error: BackendError, *, end: float) -> None:
        """Waits before the next attempt; raises `error` where there is to be none, or it would begin after `end`."""
        if isinstance(error, BackendTimeout | BackendBusy):
            raise error
        delay_s = self._retries.delay_s(n_failures, error, self._rng)
        if delay_s is None or self._clock() + delay_s >= end or self._gate.refusal() is not None:
            raise error
        logger.info("%s; asked again in %.2f s", error, delay_s)
        await asyncio.sleep(delay_s)


async def _forget(completion: Completion) -> None:
    """Frees nothing: a whole completion holds nothing open."""
