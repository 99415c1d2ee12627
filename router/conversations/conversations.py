"""What is remembered of conversations from one request to the next."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...backends import PenstockError, Query
from .marks import is_in_tool_loop, key_of, mark_of, marks_in
from .store import TurnStore
from .turn import Past, Turn, make_past, make_turn

if TYPE_CHECKING:
    from ..answer import Answer
    from ..cascade import Step

logger = logging.getLogger(__name__)

KEPT_S = 3600.0  # for how long a conversation is known after its last answer
CACHED_S = 300.0  # for how long providers are expected to keep a prompt that is not read again
LEAST_CACHED = 1024  # tokens; shorter prompts are not kept by most


class Conversations:
    """Knows who answered what. Safe to share among tasks and threads. `clock` gives seconds since 1970."""

    def __init__(self, store: TurnStore, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def past_of(self, query: Query, *, asker: str = "", conversation: str | None = None) -> Past:
        """Returns what is known of the conversation that a request is part of.

        An answer in the request is known by what it says. Where none is, since the client has rewritten it, the last
        one of the conversation stands for it.
        """
        key = key_of(query, asker=asker, conversation=conversation)
        marks = marks_in(query)
        if not marks:
            return make_past(key=key)
        now = self._clock()
        turns = self._turns(key, since=now - KEPT_S)
        known = {turn.mark: turn for turn in turns}
        found = [known.get(mark) for mark in marks]
        cached: dict[str, int] = {}
        for turn in found:
            if turn is not None and turn.at >= now - CACHED_S:
                cached |= turn.read_tokens
        last = found[-1] or (turns[-1] if turns else None)
        return Past(
            key=key,
            last=last.backend if last else "",
            authors=tuple(turn.backend if turn else "" for turn in found),
            cached_tokens=cached,
            is_in_tool_loop=is_in_tool_loop(query),
        )

    def see(self, past: Past, answer: Answer) -> None:
        """Remembers an answer to the next request of a conversation."""
        now = self._clock()
        completion = answer.completion
        turn = make_turn(
            mark=mark_of(completion.text, completion.tool_calls),
            backend=answer.backend,
            read_tokens={
                step.backend: _read_tokens(step, past) for step in answer.steps if step.completion and not step.judged
            },
            at=now,
        )
        try:
            self._store.add(past.key, turn, since=now - KEPT_S)
        except PenstockError as error:
            logger.warning("%s", error)

    def close(self) -> None:
        """Frees the store; may be called twice."""
        self._store.close()

    def _turns(self, key: str, *, since: float) -> Sequence[Turn]:
        try:
            return self._store.turns(key, since=since)
        except PenstockError as error:
            logger.warning("%s", error)
            return ()


def _read_tokens(step: Step, past: Past) -> int:
    """Returns how many tokens a backend that was asked should still have in its cache when it is asked again.

    All of them, unless it should have had some this time, and has neither read nor written any.
    """
    assert step.completion is not None
    usage = step.completion.usage
    had = past.cached_tokens.get(step.backend)
    should_have_read = had is not None and (had == 0 or had >= LEAST_CACHED)
    if should_have_read and not usage.is_estimated and not usage.cached_input_tokens + usage.cache_write_tokens:
        return 0
    return usage.input_tokens + usage.output_tokens - usage.reasoning_tokens
