"""What requests leave behind: records in the trace log; whose answer it was, for feedback and conversations to come."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..backends import PenstockError, Query
from .answer import Answer
from .answered import answered_by
from .cascade import Step
from .content import Content
from .conversations import Conversations
from .decision import Decision
from .records import (
    AnswerRef,
    ShadowCall,
    comparison_record,
    feedback_record,
    records_of,
    refusal_record,
    shadow_record,
    unanswered_records,
)
from .sink import JsonlSink, NullSink, TraceSink

_REMEMBERED = 10_000  # answers whose backend is known to feedback
_READ_BACK = 2  # of the newest files of the trace log, where it is not


class Logbook:
    """Writes what became of each request to a sink. Safe to share among tasks and threads."""

    def __init__(self, sink: TraceSink, *, content: Content, conversations: Conversations) -> None:
        self._sink = sink
        self._is_silent = isinstance(sink, NullSink)
        self._content = content
        self._conversations = conversations
        self._lock = threading.Lock()
        self._answered: OrderedDict[str, str] = OrderedDict()

    def write_content(self, content: Content) -> None:
        """Writes queries and answers in this way from now on."""
        self._content = content

    def see_answer(self, query: Query, answer: Answer) -> None:
        """Notes an answer, and every call on the way to it."""
        self._remember(answer.trace_id, answer.backend)
        if answer.decision.past.key:
            self._conversations.see(answer.decision.past, answer)
        if not self._is_silent:
            self._write(records_of(query, answer, content=self._content))

    def see_shadow(self, query: Query, answer: Answer, call: ShadowCall) -> None:
        """Notes a call that was made beside those of a request."""
        self._write([shadow_record(query, answer, call, content=self._content)])

    def see_unanswered(self, query: Query, decision: Decision, steps: Sequence[Step]) -> None:
        """Notes a request that got no answer, or not all of one: its calls failed, or it was broken off."""
        trace_id = query.id or uuid.uuid4().hex
        self._write(unanswered_records(query, steps, trace_id=trace_id, decision=decision, content=self._content))

    def see_refusal(self, trace_id: str, kind: str, *, policy: str | None) -> None:
        """Notes a request that was turned away before any call."""
        self._write([refusal_record(trace_id, kind, policy=policy)])

    def see_feedback(self, answer: AnswerRef, score: float) -> None:
        """Notes what an answer was worth, in [0, 1]."""
        self._write([feedback_record(answer, score)])

    def see_comparison(self, this: AnswerRef, other: AnswerRef, winner: str) -> None:
        """Notes which of two answers was better."""
        self._write([comparison_record(this, other, winner)])

    def backend_of(self, trace_id: str) -> str | None:
        """Returns the backend whose answer was returned; None where it is neither remembered nor in the newest files of
        the trace log. Reading these takes a moment.
        """
        with self._lock:
            backend = self._answered.get(trace_id)
        if backend is None and isinstance(self._sink, JsonlSink):
            backend = answered_by(self._sink.newest(_READ_BACK), trace_id)
            if backend is not None:
                self._remember(trace_id, backend)
        return backend

    def find(self, trace_id: str, backend: str | None) -> AnswerRef:
        """Returns the answer of a trace, by the given backend or by the one whose answer was returned.

        Raises:
            PenstockError: the trace is not known here and `backend` is not given.
        """
        answered = backend or self.backend_of(trace_id)
        if answered is None:
            raise PenstockError(
                f"feedback: unknown trace id {trace_id!r}: nobody answered it lately, or a process that shares no"
                " trace log with this one; name the backend to record it all the same"
            )
        return AnswerRef(trace_id=trace_id, backend=answered)

    def close(self) -> None:
        """Frees files; may be called twice."""
        self._sink.close()
        self._conversations.close()

    def _remember(self, trace_id: str, backend: str) -> None:
        with self._lock:
            self._answered[trace_id] = backend
            if len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)

    def _write(self, records: Iterable[Mapping[str, Any]]) -> None:
        for record in records:
            self._sink.write(record)
