"""What understands the replies of one provider."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from .assembly import Assembly
from .failures import refusal_of
from .lenient import has_halves, read_json
from .sse import Event
from .types import Chunk


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

    def loaded(self, data: bytes) -> Any:
        """Returns the JSON value of an event or of a whole reply."""
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError:
            value = read_json(data)
            if has_halves(value):
                self.assembly.mend()
            return value

    @abstractmethod
    def read_whole(self, body: Mapping[str, Any]) -> Chunk | None:
        """Returns the chunk of a whole reply."""

    def text_of(self, events: Sequence[Event]) -> str | None:
        """Returns what events bring that bring text and nothing else; None where one brings more, or may."""
        return None

    @abstractmethod
    def read_event(self, event: Event) -> Chunk | None:
        """Returns the chunk that an event of a stream brings, if it brings one."""
