"""`router.chat.completions.create(...)`: the calls of an OpenAI client, answered by the router."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from ..backends import Message
from .answer import AnswerChunk
from .call_fields import CallFields, read_call_fields
from .openai_format import chat_chunks, chat_completion, chat_id

if TYPE_CHECKING:
    from .router import Router

# What an OpenAI client takes for its own HTTP call; time limits here are those of models.yaml.
_OF_THE_CLIENT = ("extra_headers", "extra_query", "timeout")
_OPTIONAL = frozenset(
    {"content", "role", "tool_calls", "reasoning_content", "usage", "refusal", "function_call", "penstock"}
)


class Record(dict[str, Any]):
    """A JSON object whose keys are attributes too, as in the objects of an OpenAI client.

    >>> Record.of({"choices": [{"index": 0}]}).choices[0].index
    0
    """

    @classmethod
    def of(cls, value: Any) -> Any:
        """Returns the value with every object in it as a Record."""
        if isinstance(value, Mapping):
            return cls({key: cls.of(item) for key, item in value.items()})
        if isinstance(value, list | tuple):
            return [cls.of(item) for item in value]
        return value

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in _OPTIONAL:
                return None
            raise AttributeError(f"no field {name!r}; there are {', '.join(self)}") from None

    def model_dump(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {key: _plain(item) for key, item in self.items()}


class Chat:
    """Holds `completions`, as an OpenAI client does."""

    def __init__(self, router: Router) -> None:
        self.completions = Completions(router)


class Completions:
    """Chat completions; `model` is a policy or a backend of models.yaml.

    Fields of the request that are not named here travel on untouched; wishes come as `penstock={...}`, or as an OpenAI
    client sends them, in `extra_body`.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    @overload
    def create(
        self,
        *,
        messages: Sequence[Message],
        model: str | None = None,
        stream: Literal[False] | None = False,
        **params: Any,
    ) -> Record: ...
    @overload
    def create(
        self, *, messages: Sequence[Message], model: str | None = None, stream: Literal[True], **params: Any
    ) -> RecordStream: ...
    def create(
        self, *, messages: Sequence[Message], model: str | None = None, stream: bool | None = False, **params: Any
    ) -> Record | RecordStream:
        """Returns a completion, or with `stream=True` an iterator over its chunks."""
        call = _fields(params)
        if stream:
            chunks = self._router.stream(messages=messages, policy=model, wishes=call.wishes, **call.params)
            return RecordStream(chunks, _Writer(with_usage=call.with_usage))
        answer = self._router.ask(messages=messages, policy=model, wishes=call.wishes, **call.params)
        return _record(chat_completion(answer, created=int(time.time())))

    @overload
    async def acreate(
        self,
        *,
        messages: Sequence[Message],
        model: str | None = None,
        stream: Literal[False] | None = False,
        **params: Any,
    ) -> Record: ...
    @overload
    async def acreate(
        self, *, messages: Sequence[Message], model: str | None = None, stream: Literal[True], **params: Any
    ) -> AsyncIterator[Record]: ...
    async def acreate(
        self, *, messages: Sequence[Message], model: str | None = None, stream: bool | None = False, **params: Any
    ) -> Record | AsyncIterator[Record]:
        """Returns what `create` does without blocking the event loop; with `stream=True`, for `async for`."""
        call = _fields(params)
        if stream:
            chunks = self._router.astream(messages=messages, policy=model, wishes=call.wishes, **call.params)
            return _arecords(chunks, _Writer(with_usage=call.with_usage))
        answer = await self._router.aask(messages=messages, policy=model, wishes=call.wishes, **call.params)
        return _record(chat_completion(answer, created=int(time.time())))


class RecordStream:
    """The chunks of a streamed completion; leaving it as a context manager, or `close`, ends the call upstream."""

    def __init__(self, chunks: Iterator[AnswerChunk], writer: _Writer) -> None:
        self._records = _records(chunks, writer)

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        return next(self._records)

    def close(self) -> None:
        """Ends the call; may be called twice."""
        self._records.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Writer:
    """Turns the pieces of one answer into records."""

    def __init__(self, *, with_usage: bool) -> None:
        self._id = chat_id(uuid.uuid4().hex)
        self._created = int(time.time())
        self._with_usage = with_usage
        self._is_first = True

    def write(self, chunk: AnswerChunk) -> list[Record]:
        """Returns the records that one piece comes to."""
        bodies = chat_chunks(
            chunk, id=self._id, created=self._created, is_first=self._is_first, with_usage=self._with_usage
        )
        self._is_first = False
        return [_record(body) for body in bodies]


def _fields(params: Mapping[str, Any]) -> CallFields:
    """Returns the fields as an OpenAI client would send them."""
    extra = params.get("extra_body") or {}
    return read_call_fields(
        {name: value for name, value in params.items() if name not in (*_OF_THE_CLIENT, "extra_body")} | dict(extra)
    )


def _records(chunks: Iterator[AnswerChunk], writer: _Writer) -> Generator[Record, None, None]:
    try:
        for chunk in chunks:
            yield from writer.write(chunk)
    finally:
        chunks.close()  # type: ignore[attr-defined]  # the router's stream is a generator


async def _arecords(chunks: AsyncIterator[AnswerChunk], writer: _Writer) -> AsyncIterator[Record]:
    try:
        async for chunk in chunks:
            for record in writer.write(chunk):
                yield record
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]  # the router's stream is a generator


def _record(body: dict[str, Any]) -> Record:
    record: Record = Record.of(body)
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
