"""What every backend behind HTTP does the same: ask, read the reply whole or as it comes, end in time."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import orjson

from .errors import BackendError, InvalidRequest, MalformedReply
from .event_stream import EventStream
from .hiding import secrets_in
from .http import CallClock, Connections, Reply
from .reader import UNREADABLE, ReplyReader, ReportedFailure
from .spec import BackendSpec
from .types import Chunk, Completion, Query

logger = logging.getLogger(__name__)

EXCERPT_CHARS = 200  # of a reply that cannot be read, for the error's text
_READ_BYTES = 4 << 10  # of it, to hide what is secret


class NetworkBackend(ABC):
    """A backend behind HTTP. A provider's class says what to send and how to read what comes back."""

    path: str

    def __init__(self, spec: BackendSpec, base_url: str, headers: Mapping[str, str], *, key: str) -> None:
        self.spec = spec
        # A provider repeats the bare one, without the word before it.
        bare = (text.split()[-1] for name, text in headers.items() if "authorization" in name.lower() and text.split())
        self._connections = Connections(
            spec, base_url, headers, secrets=(key, *headers.values(), *bare, *secrets_in(base_url))
        )
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
        slots = self._connections.slots
        if not slots.take_now():
            await slots.take()
        try:
            clock = CallClock(self.spec.timeout, waits_for_first_token=False)
            while True:
                payload = self._checked_payload(query, is_stream=False)
                try:
                    async with self._post(query, payload, clock) as reply:
                        received = await reply.body()
                        break
                except BackendError as error:
                    query = self._asked_again(error, query, payload)
        finally:
            slots.give()
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
                        events = self._event_stream(reader, reply, query) if reply.is_event_stream else None
                        chunks = await (events.take() if events else self._whole_chunks(reader, reply, query))
                        while chunks:
                            if is_unanswered:
                                is_unanswered = False
                                clock.see_token()
                            for chunk in chunks:
                                yield chunk
                            chunks = await events.take() if events else []
                        is_unanswered = False
                        yield Chunk(completion=self._completion(reader, query, clock))
                        await reply.drain()
                except BackendError as error:
                    if not is_unanswered:
                        raise
                    query = self._asked_again(error, query, payload)

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

    def _asked_again(self, error: BackendError, query: Query, payload: Mapping[str, Any]) -> Query:
        """Returns the query to ask with instead; raises the error where there is none."""
        adapted = self._adapted(error, query, payload)
        if adapted is None:
            raise error
        return adapted

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

    def _event_stream(self, reader: ReplyReader, reply: Reply, query: Query) -> EventStream:
        is_verbatim = query.original_in(self.spec.format) is not None
        name = self.spec.name
        return EventStream(reader, reply, is_verbatim=is_verbatim, unreadable=self._unreadable, backend=name)

    async def _whole_chunks(self, reader: ReplyReader, reply: Reply, query: Query) -> list[Chunk]:
        """Returns the chunks of a reply that comes at once in spite of being asked to come as a stream.

        There is none where it is in the words of the query's format: the completion holds it.
        """
        reply.expect_whole()
        whole = self._read_whole(reader, await reply.body())
        last = reader.assembly.end()
        if query.original_in(self.spec.format) is not None:
            return []
        return [chunk for chunk in (whole, last) if chunk is not None]

    def _read_whole(self, reader: ReplyReader, received: bytes) -> Chunk | None:
        try:
            body = reader.loaded(received)
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
        # Hidden first, and cut then: half a key is not found any more.
        excerpt = self._connections.hidden(received[:_READ_BYTES].decode("utf-8", "replace"))[:EXCERPT_CHARS]
        reason = f"{type(error).__name__}: {error}"
        return MalformedReply(f"cannot read the reply ({reason}): {excerpt}", backend=self.spec.name)


def _plain(value: Any) -> Any:
    """Returns a mapping as a dict, which is all that orjson knows of mappings."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")
