"""What requests leave behind: records in the trace log, and whose answer it was, for feedback that comes later."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping

from ..backends import BackendError, PenstockError, Query
from .answer import Answer
from .decision import Decision
from .records import failure_records, feedback_record, records_of
from .sink import TraceSink

_REMEMBERED = 10_000  # answers whose backend is known to feedback


class Logbook:
    """Writes what became of each request to a sink. Safe to share among tasks and threads."""

    def __init__(self, sink: TraceSink, *, with_content: bool) -> None:
        self._sink = sink
        self._with_content = with_content
        self._lock = threading.Lock()
        self._answered: OrderedDict[str, str] = OrderedDict()

    def see_answer(self, query: Query, answer: Answer) -> None:
        """Notes an answer, and every call on the way to it."""
        with self._lock:
            self._answered[answer.trace_id] = answer.backend
            if len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
        for record in records_of(query, answer, with_content=self._with_content):
            self._sink.write(record)

    def see_failure(self, query: Query, decision: Decision, causes: Mapping[str, BackendError]) -> None:
        """Notes a request that got no answer; `causes` in the order of the calls."""
        trace_id = query.id or uuid.uuid4().hex
        for record in failure_records(
            query, causes, trace_id=trace_id, decision=decision, with_content=self._with_content
        ):
            self._sink.write(record)

    def see_feedback(self, trace_id: str, score: float, *, backend: str | None) -> None:
        """Notes what an answer was worth, in [0, 1].

        Raises:
            PenstockError: the trace is not known here and `backend` is not given.
        """
        with self._lock:
            answered = backend or self._answered.get(trace_id)
        if answered is None:
            raise PenstockError(f"feedback: unknown trace id {trace_id!r}; name the backend to record it all the same")
        self._sink.write(feedback_record(trace_id, backend=answered, score=score))

    def close(self) -> None:
        """Frees files; may be called twice."""
        self._sink.close()
