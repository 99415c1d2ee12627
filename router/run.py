"""One request carried out: backends are called as the cascade asks for them, and what comes is passed on."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..backends import BackendError, Completion, Query
from .answer import Answer, AnswerChunk
from .caller import NEVER, Caller
from .cascade import Outcome, may_escalate
from .decision import Decision
from .logbook import Logbook
from .pool import Pool
from .tally import Tally

if TYPE_CHECKING:
    from .shadow import Shadow

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The way of one query from its decision to its answer, either whole or piece by piece.

    Runs on the loop that the backends live on.
    """

    query: Query
    decision: Decision
    pool: Pool
    callers: Mapping[str, Caller]
    logbook: Logbook
    tally: Tally
    clock: Callable[[], float]
    started: float  # by the clock
    shadow: Shadow | None = None  # what also asks others, now and then

    async def answer(self) -> Answer:
        """Returns the answer."""
        flow = self.pool.flow(self.query, self.decision)
        deadline = self._deadline()
        reply: Completion | BackendError | None = None
        try:
            while True:
                name = next(flow) if reply is None else flow.send(reply)
                entry = self.tally.begin(name)
                try:
                    reply = await self.callers[name].complete(self.query, deadline=deadline, sent=entry.sent)
                except BackendError as error:
                    logger.info("%s", error)
                    reply = error
                entry.reply = reply
                await self._run_code(reply)
        except StopIteration as end:
            outcome: Outcome = end.value
        except BaseException:
            self._see_unanswered()
            raise
        return self._finish(outcome)

    async def chunks(self) -> AsyncGenerator[AnswerChunk, None]:
        """Yields the answer as it comes; the last piece carries all of it.

        A call whose answer may still be replaced is held back whole; one that is final in any case passes through as
        it comes. An error before its first piece falls back, one after it is raised.
        """
        flow = self.pool.flow(self.query, self.decision)
        deadline = self._deadline()
        has_answer = is_streamed = False
        reply: Completion | BackendError | None = None
        try:
            while True:
                name = next(flow) if reply is None else flow.send(reply)
                entry, caller = self.tally.begin(name), self.callers[name]
                try:
                    if has_answer or may_escalate(replace(self.decision, backend=name)):
                        reply = await caller.complete(self.query, deadline=deadline, sent=entry.sent)
                    else:
                        reply = None
                        stream = caller.stream(self.query, deadline=deadline, sent=entry.sent)
                        async with aclosing(stream):
                            async for chunk in stream:
                                entry.see(chunk)
                                reply = entry.reply = chunk.completion
                                if chunk.text or chunk.reasoning or chunk.tool_calls or chunk.events:
                                    is_streamed = True
                                    yield AnswerChunk(
                                        backend=name,
                                        text=chunk.text,
                                        reasoning=chunk.reasoning,
                                        tool_calls=chunk.tool_calls,
                                        events=chunk.events,
                                    )
                    has_answer = True
                except BackendError as error:
                    logger.info("%s", error)
                    entry.reply = reply = error
                    if is_streamed:
                        raise
                entry.reply = reply
                await self._run_code(reply)
        except StopIteration as end:
            answer = self._finish(end.value)
        except BaseException:
            self._see_unanswered()
            raise
        if not is_streamed:
            yield _whole_chunk(answer)
        yield AnswerChunk(backend=answer.backend, answer=answer)

    async def _run_code(self, reply: Completion | BackendError | None) -> None:
        """Runs the code of an answer where that is allowed, in a thread: judged later, the answer holds nobody up."""
        if self.pool.run_code and isinstance(reply, Completion):
            from ..classifiers.signals.code_tests import run_answer  # only for those who run code

            await asyncio.to_thread(run_answer, self.query, reply)

    def _deadline(self) -> float:
        """Returns by when there must be an answer."""
        deadline_s = self.decision.policy.deadline_s
        return NEVER if deadline_s is None else self.started + deadline_s

    def _see_unanswered(self) -> None:
        self.logbook.see_unanswered(self.query, self.decision, self.tally.steps())

    def _finish(self, outcome: Outcome) -> Answer:
        completion = outcome.step.completion
        assert completion is not None  # the cascade returns a step that answered
        answer = Answer(
            trace_id=self.query.id or uuid.uuid4().hex,
            decision=self.decision,
            outcome=outcome,
            completion=completion,
            latency_s=self.clock() - self.started,
        )
        self.tally.answer = answer
        self.logbook.see_answer(self.query, answer)
        if self.shadow is not None:
            self.shadow.see_answer(self.query, answer)
        return answer


def _whole_chunk(answer: Answer) -> AnswerChunk:
    completion = answer.completion
    calls = tuple({**call, "index": place} for place, call in enumerate(completion.tool_calls))
    return AnswerChunk(
        backend=answer.backend,
        text=completion.text,
        reasoning=completion.reasoning,
        tool_calls=calls,
        body=completion.body,
    )
