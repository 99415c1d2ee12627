"""`router.chat.completions.create(...)`: the calls of an OpenAI client, answered by the router."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from ..backends import Message
from .openai_format import chat_chunks, chat_completion
from .policy import NO_WISHES, read_wishes

if TYPE_CHECKING:
    from .router import Router


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
            raise AttributeError(name) from None

    def model_dump(self) -> dict[str, Any]:
        """Returns plain JSON values."""
        return {key: _plain(item) for key, item in self.items()}


_OPTIONAL = frozenset({"content", "role", "tool_calls", "reasoning_content", "usage", "refusal", "function_call", "penstock"})


class Chat:
    """Holds `completions`, as an OpenAI client does."""

    def __init__(self, router: Router) -> None:
        self.completions = Completions(router)


class Completions:
    """Chat completions; `model` is a policy or a backend of models.yaml."""

    def __init__(self, router: Router) -> None:
        self._router = router

    @overload
    def create(
        self, *, messages: Sequence[Message], model: str | None = None, stream: Literal[False] = False, **params: Any
    ) -> Record: ...
    @overload
    def create(
        self, *, messages: Sequence[Message], model: str | None = None, stream: Literal[True], **params: Any
    ) -> Iterator[Record]: ...
    def create(
        self, *, messages: Sequence[Message], model: str | None = None, stream: bool = False, **params: Any
    ) -> Record | Iterator[Record]:
        """Returns a completion, or with `stream=True` yields its chunks; wishes come as `penstock={...}`."""
        wishes = read_wishes(params.pop("penstock", None) or {}, where="penstock")
        if stream:
            return self._stream(messages, model, params, wishes)
        answer = self._router.ask(messages=messages, policy=model, wishes=wishes, **params)
        record: Record = Record.of(chat_completion(answer, created=int(time.time())))
        return record

    async def acreate(self, *, messages: Sequence[Message], model: str | None = None, **params: Any) -> Record:
        """Returns a completion without blocking the event loop."""
        wishes = read_wishes(params.pop("penstock", None) or {}, where="penstock")
        answer = await self._router.aask(messages=messages, policy=model, wishes=wishes, **params)
        record: Record = Record.of(chat_completion(answer, created=int(time.time())))
        return record

    def _stream(
        self, messages: Sequence[Message], model: str | None, params: dict[str, Any], wishes: Any = NO_WISHES
    ) -> Iterator[Record]:
        with_usage = bool((params.pop("stream_options", None) or {}).get("include_usage"))
        id, created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        is_first = True
        for chunk in self._router.stream(messages=messages, policy=model, wishes=wishes, **params):
            for body in chat_chunks(chunk, id=id, created=created, is_first=is_first, with_usage=with_usage):
                is_first = False
                yield Record.of(body)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
