"""One answer within a conversation, as far as the next decision needs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...backends.quick import maker, quick


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Who gave an answer, and how much of the conversation each backend that was asked has read by then."""

    mark: str  # by which the answer is known again
    backend: str
    read_tokens: Mapping[str, int]  # backend -> tokens that should be in its cache; 0: it has shown that it keeps none
    at: float  # seconds since 1970


make_turn = maker(Turn)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is known of a conversation when the next request of it is to be decided."""

    key: str = ""  # by which its turns are kept
    last: str = ""  # the backend that gave the last answer; "": not known
    authors: tuple[str, ...] = ()  # of the assistant's messages, in order; "": not known
    cached_tokens: Mapping[str, int] = field(default_factory=dict)  # as `Turn.read_tokens`, of late
    is_in_tool_loop: bool = False  # the request brings the results of tools that the last answer called


make_past = maker(Past)
NO_PAST = Past()
