"""`router.chat.completions.create(...)`: the calls of an OpenAI client, answered by the router."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, overload

from ..backends import Message
from .answer import AnswerChunk
from .formats.chat import ChatWriter, wants_usage
from .headers import wishes_in
from .policy import Wishes, read_wishes

if TYPE_CHECKING:
    from .router import Router

# What an OpenAI client takes for its own HTTP call; time limits here are those of models.yaml.
_OF_THE_CLIENT = ("extra_headers", "extra_query", "timeout")
_OPTIONAL = frozenset(
    {
        "content", "role", "tool_calls", "reasoning_content", "usage", "refusal", "function_call", "annotations",
        "audio", "logprobs", "system_fingerprint", "service_tier", "penstock",
    }
)  # fmt: skip


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

    def model_dump_json(self, *, indent: int | None = None) -> str:
        """Returns the object as JSON text."""
        return json.dumps(self, indent=indent, ensure_ascii=False)

    to_dict, to_json = model_dump, model_dump_json


class Chat:
    """Holds `completions`, as an OpenAI client does."""

    def __init__(self, router: Router) -> None:
        self.completions = Completions(router)


class Completions:
    """Chat completions; `model` is a policy or a backend of models.yaml.

    Fields of the request that are not named here travel on untouched; wishes come as `penstock={...}`, or as an OpenAI
    client sends them, in `extra_body` or as `extra_headers`.
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
        fields, wishes, writer = _read(params)
        if stream:
            chunks = self._router.stream(messages=messages, policy=model, wishes=wishes, **fields)
            return RecordStream(chunks, writer)
        return _record(writer.whole(self._router.ask(messages=messages, policy=model, wishes=wishes, **fields)))

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
        fields, wishes, writer = _read(params)
        if stream:
            chunks = self._router.astream(messages=messages, policy=model, wishes=wishes, **fields)
            return _arecords(chunks, writer)
        return _record(writer.whole(await self._router.aask(messages=messages, policy=model, wishes=wishes, **fields)))


class RecordStream:
    """The chunks of a streamed completion; leaving it as a context manager, or `close`, ends the call upstream."""

    def __init__(self, chunks: Iterator[AnswerChunk], writer: ChatWriter) -> None:
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


def _read(params: Mapping[str, Any]) -> tuple[dict[str, Any], Wishes, ChatWriter]:
    """Returns the fields as an OpenAI client would send them, the wishes among them, and what writes the reply."""
    extra = params.get("extra_body") or {}
    fields = {name: value for name, value in params.items() if name not in (*_OF_THE_CLIENT, "extra_body")} | dict(
        extra
    )
    headers = [
        (name.lower().encode(), str(value).encode()) for name, value in (params.get("extra_headers") or {}).items()
    ]
    wishes = read_wishes(fields.pop("penstock", None) or {}, where="penstock").over(wishes_in(headers))
    with_usage = wants_usage(fields)
    fields.pop("stream_options", None)
    writer = ChatWriter(uuid.uuid4().hex, created=int(time.time()), with_usage=with_usage, with_logprobs=True)
    return fields, wishes, writer


def _records(chunks: Iterator[AnswerChunk], writer: ChatWriter) -> Generator[Record, None, None]:
    try:
        for chunk in chunks:
            yield from map(_record, writer.bodies(chunk))
    finally:
        chunks.close()  # type: ignore[attr-defined]  # the router's stream is a generator


async def _arecords(chunks: AsyncIterator[AnswerChunk], writer: ChatWriter) -> AsyncIterator[Record]:
    try:
        async for chunk in chunks:
            for body in writer.bodies(chunk):
                yield _record(body)
    finally:
        await chunks.aclose()  # type: ignore[attr-defined]  # the router's stream is a generator


def _record(body: dict[str, Any]) -> Record:
    record: Record = Record.of(body)
    return record


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
