"""The chunks of a reply that comes as a stream of events, in our words and in the provider's."""

from __future__ import annotations

from collections.abc import Callable

from .assembly import Assembly
from .errors import BackendError, MalformedReply
from .http import Reply
from .reader import UNREADABLE, ReplyReader
from .sse import Event, EventParser
from .types import Chunk


class EventStream:
    """Reads one reply to its end.

    `is_verbatim`: the events themselves are handed out with the chunks that they bring. `unreadable` makes an error of
    what was raised over the data of an event.
    """

    def __init__(
        self,
        reader: ReplyReader,
        reply: Reply,
        *,
        is_verbatim: bool,
        unreadable: Callable[[Exception, bytes], BackendError],
        backend: str,
    ) -> None:
        self._reader = reader
        self._reply = reply
        self._wording = _Wording(reader.assembly) if is_verbatim else None
        self._unreadable = unreadable
        self._backend = backend
        self._parser = EventParser()
        self._is_over = False
        self._failure: BackendError | None = None  # to be raised when the chunks before it were taken

    async def take(self) -> list[Chunk]:
        """Returns the chunks that have come since the last time, waiting for some; none at the end.

        Raises:
            BackendError: the reply breaks off, or cannot be read.
        """
        while not self._is_over:
            try:
                piece = await self._reply.read()
            except BackendError:
                if not self._reader.is_complete:
                    raise
                self._is_over = True  # what is cut off after the end is not missed
                events = []
            else:
                self._is_over = not piece
                events = self._parser.feed(piece) if piece else self._parser.close()
            if chunks := self._read(events):
                return chunks
        if self._failure is not None:
            raise self._failure
        return []

    def _read(self, events: list[Event]) -> list[Chunk]:
        """Returns the chunks that are to go out by now."""
        reader, wording = self._reader, self._wording
        chunks: list[Chunk] = []
        if not self._is_over and (text := reader.text_of(events)) is not None:  # mostly
            if (chunk := reader.assembly.add(text)) is not None:
                chunks.append(chunk)
            return chunks if wording is None else wording.put(events, chunks)
        n_read = 0
        try:
            for event in events:
                chunk = reader.read_event(event)
                n_read += 1
                if chunk is not None:
                    chunks.append(chunk)
                if reader.is_over:  # whatever follows
                    break
        except UNREADABLE as error:
            self._failure, self._is_over = self._unreadable(error, events[n_read].data), True
            self._failure.__cause__ = error
            events = events[:n_read]
        else:
            self._is_over = self._is_over or reader.is_over
            events = events[:n_read]
            if self._is_over and reader.is_complete:
                last = reader.assembly.end()
                if last is not None:
                    chunks.append(last)
                return chunks if wording is None else wording.rest(events, chunks)
            if self._is_over:
                self._failure = MalformedReply("the stream was cut before its end", backend=self._backend)
        return chunks if wording is None else wording.put(events, chunks)


class _Wording:
    """The provider's own events, handed out with the chunks that they bring, those that came together as one.

    Events before the first chunk wait for it, so that a failure until then can still be mended by another call. Where
    thinking is taken out of the text, the events would bring it back, and none is handed out.
    """

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._held: list[Event] | None = []  # None: the first chunk has gone out

    def put(self, events: list[Event], chunks: list[Chunk]) -> list[Chunk]:
        """Returns the chunks that are to go out by now."""
        if self._held is None:
            return self._joined(events, chunks)
        if chunks:
            return self.rest(events, chunks)
        self._held += events
        return []

    def rest(self, events: list[Event], chunks: list[Chunk]) -> list[Chunk]:
        """Returns the chunks with every event that was not handed out."""
        held, self._held = self._held or [], None
        return self._joined(held + events, chunks)

    def _joined(self, events: list[Event], chunks: list[Chunk]) -> list[Chunk]:
        if not events or self._assembly.has_split:
            return chunks
        if len(chunks) == 1:  # mostly
            object.__setattr__(chunks[0], "events", tuple(events))  # nobody else has it yet
            return chunks
        return [
            Chunk(
                text="".join(chunk.text for chunk in chunks),
                reasoning="".join(chunk.reasoning for chunk in chunks),
                tool_calls=tuple(call for chunk in chunks for call in chunk.tool_calls),
                events=tuple(events),
                logprobs=tuple(logprob for chunk in chunks for logprob in chunk.logprobs),
                entropies=tuple(entropy for chunk in chunks for entropy in chunk.entropies),
                margins=tuple(margin for chunk in chunks for margin in chunk.margins),
            )
        ]
