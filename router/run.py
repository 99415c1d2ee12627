"""One request carried out: backends are called as the cascade asks for them, and what comes is passed on."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..backends import AuthenticationFailed, BackendError, Chunk, Completion, Query
from ..backends.quick import maker, quick
from ..classifiers.verdict import verdict_query
from .ahead import Ahead
from .answer import Answer, AnswerChunk, make_answer
from .caller import NEVER, Calls
from .cascade import Call, Draft, Outcome, Released, Reply, Step, Stopped
from .decision import Decision
from .hold import Verdict
from .logbook import Logbook
from .pool import Pool
from .speculation import head_start
from .tally import Entry, Tally

if TYPE_CHECKING:
    from .shadow import Shadow

logger = logging.getLogger(__name__)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The way of one query from its decision to its answer, either whole or piece by piece.

    Runs on the loop that the backends live on.
    """

    query: Query
    decision: Decision
    pool: Pool
    callers: Mapping[str, Calls]
    logbook: Logbook
    tally: Tally
    clock: Callable[[], float]
    started: float  # by the clock
    shadow: Shadow | None = None  # what also asks others, now and then

    async def answer(self) -> Answer:
        """Returns the answer."""
        flow = self.pool.flow(self.query, self.decision)
        reply: Reply | None = None
        try:
            async with Ahead(self._complete, self.tally) as ahead:
                try:
                    while True:
                        call = next(flow) if reply is None else flow.send(reply)
                        reply = await self._unasked(call)
                        if reply is not None:
                            continue
                        entry, begun = ahead.turn(call.backend)
                        entry.draft_of = call.draft.backend if call.draft else None
                        self._give_head_start(call, ahead)
                        try:
                            reply = await (begun or self._complete(call.backend, entry, call.draft))
                        except BackendError as error:
                            _log(error)
                            reply = error
                        entry.reply = reply
                        if self.pool.run_code:
                            await self._run_code(reply)
                except StopIteration as end:
                    outcome: Outcome = end.value
        except BaseException:
            self._see_unanswered()
            raise
        return self._finish(outcome, ahead)

    async def chunks(self) -> AsyncGenerator[AnswerChunk, None]:
        """Yields the answer as it comes; the last piece carries all of it.

        An answer that may still be replaced is held back until it no longer may, see `Hold`; where nothing was learned
        of beginnings, until its end. With `on_hold: release` none is. An error before the first piece falls back, one
        after it is raised.
        """
        flow = self.pool.flow(self.query, self.decision)
        held: dict[str, list[Chunk]] = {}  # by backend: answers that came in pieces and were not passed on
        is_streamed = False
        reply: Reply | None = None
        try:
            async with Ahead(self._complete, self.tally) as ahead:
                try:
                    while True:
                        call = next(flow) if reply is None else flow.send(reply)
                        reply = await self._unasked(call)
                        if reply is not None:
                            continue
                        name = call.backend
                        entry, begun = ahead.turn(name)
                        entry.draft_of = call.draft.backend if call.draft else None
                        held[name] = []
                        try:
                            if begun is not None:
                                reply = await begun
                            else:
                                async with aclosing(self._pieces(call, entry, ahead, held[name])) as pieces:
                                    async for piece in pieces:
                                        if isinstance(piece, Chunk):
                                            is_streamed = True
                                            yield _passed_on(name, piece)
                                        else:
                                            reply = entry.reply = piece
                        except BackendError as error:
                            _log(error)
                            reply = entry.reply = error
                            if is_streamed:
                                raise
                        if self.pool.run_code:
                            await self._run_code(reply)
                except StopIteration as end:
                    outcome: Outcome = end.value
        except BaseException:
            self._see_unanswered()
            raise
        answer = self._finish(outcome, ahead)
        if not is_streamed:
            for piece in held[answer.backend]:
                yield _passed_on(answer.backend, piece)
            if not held[answer.backend]:
                yield _whole_chunk(answer)
        yield AnswerChunk(backend=answer.backend, answer=answer)

    async def _run_code(self, reply: Reply | None) -> None:
        """Runs the code of an answer in a thread: judged later, the answer holds nobody up. One of a backend that was
        named is not judged.
        """
        if self.decision.policy.names_backend is not None:
            return
        completion = reply.completion if isinstance(reply, Released) else reply
        if isinstance(completion, Completion):
            from ..classifiers.signals.code_tests import run_answer  # only for those who run code

            await asyncio.to_thread(run_answer, self.query, completion)

    async def _pieces(
        self, call: Call, entry: Entry, ahead: Ahead, held: list[Chunk]
    ) -> AsyncGenerator[Chunk | Reply, None]:
        """Yields the pieces of an answer that may be passed on, if any may, and last what to tell the cascade.

        Those that may not are left in `held`, if they came in pieces.
        """
        is_released = self.decision.policy.on_hold == "release" or call.is_kept(0.0)
        hold = None if is_released else self.pool.hold(self.query, self.decision, call)
        if not is_released:
            self._give_head_start(call, ahead)
            if hold is None:
                yield await self._complete(call.backend, entry, call.draft)
                return
        completion: Completion | None = None
        stream = self.callers[call.backend].stream(self._asked(call.draft), deadline=self._deadline(), entry=entry)
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                entry.see(chunk)
                if chunk.completion is not None:
                    completion = entry.reply = chunk.completion
                if not (chunk.text or chunk.reasoning or chunk.tool_calls or chunk.events):
                    continue
                if is_released:
                    yield chunk
                    continue
                assert hold is not None  # or it would have been released
                held.append(chunk)
                verdict = hold.see(chunk)
                if verdict is Verdict.GIVE_UP:
                    yield hold.given_up()
                    return
                if verdict is Verdict.RELEASE:
                    is_released = True
                    await ahead.drop()
                    for each in held:
                        yield each
                    held.clear()
        assert completion is not None  # a stream that raises nothing ends with its completion
        yield Released(completion=completion) if is_released else completion

    async def _unasked(self, call: Call) -> Reply | None:
        """Returns what to tell the cascade without an answer: why it has to stop, or a verdict; None: ask for one."""
        stopped = self._stopped(call)
        if stopped is not None or call.judged is None:
            return stopped
        return await self._verdict(call.backend, call.judged)

    async def _verdict(self, judge: str, judged: Step) -> Reply:
        """Returns what a judge says of the answer of a step, or how it failed."""
        assert judged.completion is not None  # only answers are judged
        entry = self.tally.begin(judge)
        entry.judged = judged.backend
        caller, spec = self.callers[judge], self.pool.specs[judge]
        query = verdict_query(self.query, judged.completion.text, with_logprobs="logprobs" in (spec.supports or ()))
        try:
            entry.reply = await caller.complete(query, deadline=self._deadline(), entry=entry)
        except BackendError as error:
            _log(error)
            entry.reply = error
        return entry.reply

    def _complete(self, backend: str, entry: Entry, draft: Draft | None = None) -> Awaitable[Completion]:
        return self.callers[backend].complete(self._asked(draft), deadline=self._deadline(), entry=entry)

    def _asked(self, draft: Draft | None) -> Query:
        """Returns the query, with the answer of another backend where that is to be checked."""
        return self.query if draft is None else replace(self.query, draft=draft.text)

    def _stopped(self, call: Call) -> Stopped | None:
        """Returns what ends the cascade where a further call may not be made."""
        refusal = self.tally.refusal() if call.tried else None
        if refusal is None:
            return None
        logger.info("%s is not asked any more: %s", call.backend, refusal)
        return Stopped(error=refusal)

    def _give_head_start(self, call: Call, ahead: Ahead) -> None:
        """Lets the likely next call begin before its turn, where that is worth it."""
        if not call.policy.speculate:
            return
        start = head_start(call, self.decision.estimates)
        if start is not None and self.tally.refusal() is None:
            ahead.begin(start.backend, after_s=start.after_s)

    def _deadline(self) -> float:
        """Returns by when there must be an answer."""
        deadline_s = self.decision.policy.deadline_s
        return NEVER if deadline_s is None else self.started + deadline_s

    def _see_unanswered(self) -> None:
        self.logbook.see_unanswered(self.query, self.decision, self.tally.steps())

    def _finish(self, outcome: Outcome, ahead: Ahead) -> Answer:
        lost = self.tally.hedges() + ahead.lost()
        if lost:
            outcome = replace(outcome, steps=(*outcome.steps, *lost))
        completion = outcome.step.completion
        assert completion is not None  # the cascade returns a step that answered
        answer = make_answer(
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


make_run = maker(Run)


def _log(error: BackendError) -> None:
    """Logs a failed call. A key that is refused needs somebody to look at it, also where another backend answers."""
    logger.log(logging.WARNING if isinstance(error, AuthenticationFailed) else logging.INFO, "%s", error)


def _passed_on(backend: str, chunk: Chunk) -> AnswerChunk:
    return AnswerChunk(
        backend=backend,
        text=chunk.text,
        reasoning=chunk.reasoning,
        tool_calls=chunk.tool_calls,
        is_refusal=chunk.is_refusal,
        events=chunk.events,
    )


def _whole_chunk(answer: Answer) -> AnswerChunk:
    completion = answer.completion
    calls = tuple({**call, "index": place} for place, call in enumerate(completion.tool_calls))
    return AnswerChunk(
        backend=answer.backend,
        text=completion.text,
        reasoning=completion.reasoning,
        tool_calls=calls,
        is_refusal=completion.is_refusal,
        body=completion.body,
    )
