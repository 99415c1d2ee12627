"""What every backend behind HTTP does the same: ask, read the reply whole or as it comes, end in time."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import replace
from typing import Any

import orjson

from .assembly import Assembly
from .errors import BackendError, InvalidRequest, MalformedReply
from .failures import refusal_of
from .http import CallClock, Connections, Reply
from .spec import BackendSpec
from .sse import Event, EventParser
from .types import Chunk, Completion, Query

logger = logging.getLogger(__name__)

EXCERPT_BYTES = 200  # of a reply that cannot be read, for the error's text


class ReportedFailure(Exception):
    """A reader found the provider's own error inside a reply that began as a success."""

    def __init__(self, content: Any) -> None:
        super().__init__("the reply reports a failure")
        body = orjson.dumps(content) if isinstance(content, Mapping) else b""
        self.refusal = replace(refusal_of(content), body=body)


# What reading may raise; JSON errors are ValueErrors.
UNREADABLE = (ReportedFailure, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class ReplyReader(ABC):
    """Understands one reply of one provider, whole or event by event, and fills the `assembly`.

    Reading may raise `ReportedFailure`, and `KeyError`, `TypeError` and the like at an unknown shape.
    """

    is_complete = False  # the provider said that the reply ends here
    is_over = False  # and nothing more follows
    body: Mapping[str, Any] | None = None  # of a whole reply

    def __init__(self, assembly: Assembly) -> None:
        self.assembly = assembly

    @abstractmethod
    def read_whole(self, body: Mapping[str, Any]) -> Chunk | None:
        """Returns the chunk of a whole reply."""

    @abstractmethod
    def read_event(self, event: Event) -> Chunk | None:
        """Returns the chunk that an event of a stream brings, if it brings one."""


class _Wording:
    """The provider's own events, handed out with the chunks that they bring, those that came together as one.

    Events before the first chunk wait for it, so that a failure until then can still be mended by another call. Where
    thinking is taken out of the text, the events would bring it back, and none is handed out.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._events: list[Event] = []
        self._chunks: list[Chunk] = []
        self._has_begun = False

    def put(self, event: Event, chunk: Chunk | None) -> None:
        """Takes an event, and the chunk that it brings."""
        self._events.append(event)
        if chunk is not None:
            self._chunks.append(chunk)
            self._has_begun = True

    def take(self) -> list[Chunk]:
        """Returns the chunks that are to go out by now."""
        return self.rest() if self._has_begun else []

    def rest(self, last: Chunk | None = None) -> list[Chunk]:
        """Returns the chunks with every event that was not handed out, and the last one."""
        chunks, self._chunks = self._chunks, []
        events, self._events = tuple(self._events), []
        if last is not None:
            chunks.append(last)
        if not events or self._assembly.has_split:
            return chunks
        if len(chunks) == 1:  # mostly; and not `replace`, which takes several times as long
            only = chunks[0]
            return [
                Chunk(
                    text=only.text,
                    reasoning=only.reasoning,
                    tool_calls=only.tool_calls,
                    events=events,
                    logprobs=only.logprobs,
                )
            ]
        return [
            Chunk(
                text="".join(chunk.text for chunk in chunks),
                reasoning="".join(chunk.reasoning for chunk in chunks),
                tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
                events=events,
                logprobs=tuple(logprob for chunk in chunks for logprob in chunk.logprobs),
            )
        ]


class NetworkBackend(ABC):
    """A backend behind HTTP. A provider's class says what to send and how to read what comes back."""

    path: str

    def __init__(self, spec: BackendSpec, base_url: str, headers: Mapping[str, str], *, key: str) -> None:
        self.spec = spec
        self._connections = Connections(spec, base_url, headers, secrets=(key, *headers.values()))
        self._refused: set[str] = set()  # fields that the provider turned down, left out since

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.spec.name!r})"

    @abstractmethod
    def _payload(self, query: Query, *, is_stream: bool) -> dict[str, Any]:
        """Returns the body of the request. Raises InvalidRequest where the query cannot be put so."""

    @abstractmethod
    def _reader(self) -> ReplyReader:
        """Returns a reader for one reply."""

    @abstractmethod
    def _adapted(self, error: BackendError, query: Query, payload: Mapping[str, Any]) -> Query | None:
        """Returns the query to ask with instead, whose payload is free of what `error` complains of; None: none is.

        What holds for every query is learned, and the query returned as it is.
        """

    async def complete(self, query: Query) -> Completion:
        """Returns the whole completion."""
        async with self._connections.slots:
            clock = CallClock(self.spec.timeout, waits_for_first_token=False)
            received = await self._ask(query, clock)
            reader = self._reader()
            self._read_whole(reader, received)
            reader.assembly.end()
            return self._completion(reader, query, clock)

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields pieces as they come and ends with the one that carries the `completion`."""
        is_stream = self.spec.supports is None or "streaming" in self.spec.supports
        async with self._connections.slots:
            clock = CallClock(self.spec.timeout, waits_for_first_token=is_stream)
            is_unanswered = True
            while is_unanswered:
                payload = self._checked_payload(query, is_stream=is_stream)
                try:
                    async with self._post(query, payload, clock) as reply:
                        reader = self._reader()
                        async with aclosing(self._read(reader, reply, query)) as chunks:
                            async for chunk in chunks:
                                is_unanswered = False
                                clock.see_token()
                                yield chunk
                        is_unanswered = False
                        yield Chunk(completion=self._completion(reader, query, clock))
                        await reply.drain()
                except BackendError as error:
                    adapted = self._adapted(error, query, payload) if is_unanswered else None
                    if adapted is None:
                        raise
                    query = adapted

    async def aclose(self) -> None:
        """Closes the connections; may be called twice."""
        await self._connections.aclose()

    def _headers_of(self, query: Query) -> Mapping[str, str]:
        """Returns the headers of one request over those of the backend."""
        return {}

    def _post(self, query: Query, payload: dict[str, Any], clock: CallClock) -> AbstractAsyncContextManager[Reply]:
        headers = self._headers_of(query)
        if query.trace_headers is not None:
            headers = {**headers, **query.trace_headers}
        return self._connections.post(self.path, self._encoded(payload), clock, headers=headers)

    def _completion(self, reader: ReplyReader, query: Query, clock: CallClock) -> Completion:
        is_verbatim = query.original_in(self.spec.format) is not None and not reader.assembly.has_split
        return reader.assembly.completion(
            query,
            latency_s=clock.elapsed_s,
            first_token_s=clock.first_token_s,
            body=reader.body if is_verbatim else None,
        )

    def _leave_out(self, field: str, error: BackendError) -> None:
        """Notes that the provider refuses `field`."""
        logger.warning("%s: %s is refused and left out from now on: %s", self.spec.name, field, error.provider_message)
        self._refused.add(field)

    async def _ask(self, query: Query, clock: CallClock) -> bytes:
        """Returns the body of a whole reply, asking again where something refused can be left out."""
        while True:
            payload = self._checked_payload(query, is_stream=False)
            try:
                async with self._post(query, payload, clock) as reply:
                    return await reply.body()
            except BackendError as error:
                adapted = self._adapted(error, query, payload)
                if adapted is None:
                    raise
                query = adapted

    def _checked_payload(self, query: Query, *, is_stream: bool) -> dict[str, Any]:
        try:
            return self._payload(query, is_stream=is_stream)
        except InvalidRequest as error:
            raise InvalidRequest(str(error), backend=self.spec.name) from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InvalidRequest(f"the query has an unknown shape ({reason})", backend=self.spec.name) from error

    def _encoded(self, payload: dict[str, Any]) -> bytes:
        try:
            return orjson.dumps(payload, default=_plain, option=orjson.OPT_NON_STR_KEYS)
        except TypeError as error:  # orjson's own errors are TypeErrors
            raise InvalidRequest(f"the query cannot be written as JSON: {error}", backend=self.spec.name) from error

    async def _read(self, reader: ReplyReader, reply: Reply, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the chunks of a reply, whether it comes as a stream or, in spite of being asked to, at once.

        A reply that comes at once in the words of the query's format has no chunk: the completion holds it.
        """
        is_verbatim = query.original_in(self.spec.format) is not None
        wording = _Wording(reader.assembly) if is_verbatim else None
        if reply.is_event_stream:
            async with aclosing(self._read_events(reader, reply, wording)) as chunks:
                async for chunk in chunks:
                    yield chunk
        else:
            reply.expect_whole()
            whole = self._read_whole(reader, await reply.body())
            if whole is not None and not is_verbatim:
                yield whole
        last = reader.assembly.end()
        if reader.body is None or not is_verbatim:
            if wording is not None:
                for held in wording.rest(last):
                    yield held
            elif last is not None:
                yield last

    async def _read_events(
        self, reader: ReplyReader, reply: Reply, wording: _Wording | None
    ) -> AsyncGenerator[Chunk, None]:
        parser = EventParser()
        is_open = True
        while is_open and not reader.is_over:
            try:
                piece = await reply.read()
            except BackendError:
                if reader.is_complete:  # what is cut off after the end is not missed
                    return
                raise
            is_open = bool(piece)
            for event in parser.feed(piece) if is_open else parser.close():
                try:
                    chunk = reader.read_event(event)
                except UNREADABLE as error:
                    for earlier in wording.take() if wording is not None else ():
                        yield earlier
                    raise self._unreadable(error, event.data) from error
                if wording is not None:
                    wording.put(event, chunk)
                elif chunk is not None:
                    yield chunk
            for together in wording.take() if wording is not None else ():
                yield together
        if not reader.is_complete:
            raise MalformedReply("the stream was cut before its end", backend=self.spec.name)

    def _read_whole(self, reader: ReplyReader, received: bytes) -> Chunk | None:
        try:
            body = orjson.loads(received)
            if not isinstance(body, dict):
                raise TypeError("not an object")
            reader.body = body
            return reader.read_whole(body)
        except UNREADABLE as error:
            raise self._unreadable(error, received) from error

    def _unreadable(self, error: Exception, received: bytes) -> BackendError:
        """Returns our error for what went wrong while `received` was read."""
        if isinstance(error, ReportedFailure):
            return self._connections.reported(error.refusal)
        excerpt = self._connections.hidden(received[:EXCERPT_BYTES].decode("utf-8", "replace"))
        reason = f"{type(error).__name__}: {error}"
        return MalformedReply(f"cannot read the reply ({reason}): {excerpt}", backend=self.spec.name)


def _plain(value: Any) -> Any:
    """Returns a mapping as a dict, which is all that orjson knows of mappings."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")
