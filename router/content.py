"""What of a query and its answers is written to the trace log: nothing, hashes, or the texts with some taken out."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import orjson

from ..backends import Completion, Query
from ..backends.errors import FOREIGN_ERRORS
from .redaction import Redactor

logger = logging.getLogger(__name__)

CONTENT = ("off", "hashed", "on")
_NOT_WRITTEN_BY_ANYBODY = ("role", "type")  # of a message or a part of one
_PICTURE = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.=+-]+)*;base64,[A-Za-z0-9+/_=-]*")


class Content(Protocol):
    """Turns what users and models wrote into columns of a record."""

    def of_query(self, query: Query) -> Mapping[str, Any]:
        """Returns the columns on the query."""
        ...

    def of_answer(self, completion: Completion) -> Mapping[str, Any]:
        """Returns the columns on an answer."""
        ...


class NoContent:
    """Writes nothing of them."""

    def of_query(self, query: Query) -> Mapping[str, Any]:
        """Returns no columns."""
        return {}

    def of_answer(self, completion: Completion) -> Mapping[str, Any]:
        """Returns no columns."""
        return {}


class HashedContent:
    """Writes by which one can tell that two texts are the same, or are one that one has.

    With a key, since whoever has the log could else find short texts by trying: HMAC-SHA-256 (RFC 2104).
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def of_query(self, query: Query) -> Mapping[str, Any]:
        """Returns the hash of the messages, as JSON with sorted keys and no spaces."""
        return {"query_hash": self._hash(orjson.dumps(query.messages, option=orjson.OPT_SORT_KEYS))}

    def of_answer(self, completion: Completion) -> Mapping[str, Any]:
        """Returns the hash of the text."""
        return {"response_hash": self._hash(completion.text.encode("utf-8", "replace"))}

    def _hash(self, content: bytes) -> str:
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()


class PlainContent:
    """Writes messages and answers, each text of them as the redactors leave it, in their order."""

    def __init__(self, redactors: Sequence[Redactor] = ()) -> None:
        self._redactors = tuple(redactors)

    def of_query(self, query: Query) -> Mapping[str, Any]:
        """Returns the messages."""
        return {"messages": self._redacted(query.messages) if self._redactors else query.messages}

    def of_answer(self, completion: Completion) -> Mapping[str, Any]:
        """Returns the text and what is known of its tokens."""
        return {
            "response": self._redacted(completion.text),
            "logprobs": completion.logprobs,
            "reasoning_logprobs": completion.reasoning_logprobs,
            "entropies": completion.entropies,
            "margins": completion.margins,
        }

    def _redacted(self, value: Any) -> Any:
        """Returns a JSON value with every text in it redacted; pictures, as `data:` addresses, hold no text."""
        if isinstance(value, str):
            if value.startswith("data:") and _PICTURE.fullmatch(value):  # and not a text that merely begins so
                return value
            for redact in self._redactors:
                value = redact(value)
                if not isinstance(value, str):
                    raise TypeError(f"a redactor returned {type(value).__name__}; expected str")
            return value
        if isinstance(value, Mapping):
            return {k: v if k in _NOT_WRITTEN_BY_ANYBODY else self._redacted(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [self._redacted(item) for item in value]
        return value


def content_columns(content: Content, query: Query, completion: Completion | None) -> dict[str, Any]:
    """Returns the columns on a query and an answer to it; where redacting fails, none but the kind of the error."""
    try:
        columns = dict(content.of_query(query))
        if completion is not None:
            columns |= content.of_answer(completion)
    # A redactor may be anybody's code: nothing that it does may fail a request or leak a text.
    except FOREIGN_ERRORS as error:
        logger.warning("traces: a record goes without its content: %s while redacting it", type(error).__name__)
        return {"content_lost": type(error).__name__}
    return columns
