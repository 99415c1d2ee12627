"""What a format of requests and replies is: one file each reads a request into a query and writes what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...backends import Message, Query
from ...backends.quick import maker, quick
from ..answer import Answer, AnswerChunk
from ..http_error import HttpError
from ..policy import Wishes
from .schemas import Schema


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the body of a request says, in the one form that decisions and backends of other formats read."""

    messages: Sequence[Message]
    params: dict[str, Any]  # fields of a chat completion request
    unsayable: tuple[str, ...] = ()  # as in `Original`


make_reading = maker(Reading)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request in any format; `query.original` holds it in its own words, `query.id` is its trace id."""

    query: Query
    model: str | None  # a policy or a backend; None: the default policy
    wishes: Wishes
    is_stream: bool
    asker: str = ""  # the key's id: who may not be mistaken for another


make_request = maker(Request)


class Writer(Protocol):
    """Writes one reply."""

    def whole(self, answer: Answer) -> dict[str, Any]:
        """Returns the body of a whole reply; `model` names the backend that answered."""
        ...

    def piece(self, chunk: AnswerChunk) -> bytes:
        """Returns the events of a stream that one piece comes to; with the last piece, those that end it."""
        ...

    def failure(self, error: HttpError) -> bytes:
        """Returns the event that ends a stream which has begun."""
        ...


class Format(Protocol):
    """One way to put requests and replies. Adding one is a file, and a line in the table of formats."""

    name: str  # as in `Original.format`
    keep_alive: bytes  # what a stream may say at any time, and every client passes over
    fields: Mapping[str, Schema]  # those of a body that we read, for the description of what we serve
    required: tuple[str, ...]  # of them

    def read(self, body: Mapping[str, Any]) -> Reading:
        """Returns what a body says, without `model`, `stream` and what is for Penstock.

        Raises:
            InvalidRequest: it is malformed, or asks for what no backend could do; the text says where.
        """
        ...

    def writer(self, request: Request, *, created: int) -> Writer:
        """Returns what writes the reply to one request; `created` in seconds since 1970."""
        ...

    def error_body(self, error: HttpError, *, trace_id: str) -> dict[str, Any]:
        """Returns the body of an error reply."""
        ...
