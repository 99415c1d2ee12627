"""The SDK: one object that routes, asks, checks and escalates."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import logging
import random
import threading
import time
import uuid
import weakref
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ..backends import (
    Backend,
    BackendError,
    Completion,
    ConfigError,
    InvalidRequest,
    Message,
    PenstockError,
    Query,
    create_backend,
)
from ..classifiers import load_artefact
from .answer import Answer, AnswerChunk
from .background import CLOSED, BackgroundLoop, aiterate, await_on, iterate, wait_for
from .caller import NEVER, Caller
from .cascade import Outcome, may_escalate
from .chat import Chat
from .config import Config, read_config
from .decision import Decision
from .errors import AllBackendsFailed, BackendBusy, NoBackendFree, NoFeasibleBackend, UnknownPolicy
from .gate import LocalGate
from .policy import NO_WISHES, Policy, Wishes
from .pool import Pool
from .records import failure_records, feedback_record, records_of
from .sink import JsonlSink, NullSink, TraceSink

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_REMEMBERED = 10_000  # answers whose backend is known to `feedback`


class Router:
    """Sends each query to the cheapest backend that will get it right, checks the answer, escalates if it is doubtful.

    Safe to share among tasks and threads. Use it as a context manager, or call `close`, to free connections; calls
    that are under way then, and all later ones, raise PenstockError. A router that is dropped closes itself.
    `backends` replaces those built from models.yaml, as tests do.
    """

    def __init__(
        self,
        config: Config,
        pool: Pool,
        *,
        sink: TraceSink | None = None,
        backends: Mapping[str, Backend] | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.config = config
        self.pool = pool
        self.chat = Chat(self)
        self._sink = sink or NullSink()
        self._given = backends
        self._clock = clock
        self._gates = {name: LocalGate(spec, clock=clock) for name, spec in config.backends.items()}
        self._callers: dict[str, Caller] = {}
        self._rng = random.Random()  # of waiting times only
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] | None = None
        self._is_closed = False
        self._background = BackgroundLoop()
        self._home: asyncio.AbstractEventLoop | None = None  # None: the background's
        self._answered: OrderedDict[str, str] = OrderedDict()
        weakref.finalize(self, self._background.close)  # at the latest when the interpreter ends

    @classmethod
    def from_config(cls, path: Path | str = "models.yaml", *, backends: Mapping[str, Backend] | None = None) -> Self:
        """Returns the router that models.yaml describes, with its artefact if it names one that exists.

        Raises:
            ConfigError: something in the file is wrong.
            ArtefactError: the artefact is damaged.
        """
        config = read_config(path)
        trained = None
        if config.artefact is not None and config.artefact.exists():
            trained, _ = load_artefact(config.artefact)
        elif config.artefact is not None:
            logger.warning("%s does not exist yet: cold start, quality is guessed from tiers", config.artefact)
        pool = Pool(config.backends, trained)
        if trained is not None and pool.untrained:
            logger.warning("not in the artefact, guessed from their tier: %s", ", ".join(pool.untrained))
        log = config.traces
        sink: TraceSink = NullSink()
        if log.folder is not None:
            sink = JsonlSink(log.folder, max_bytes=int(log.max_mb * 2**20), max_files=log.max_files)
        return cls(config, pool, sink=sink, backends=backends)

    def policy(self, name: str | None = None, wishes: Wishes = NO_WISHES) -> Policy:
        """Returns the policy of that name with the wishes on top; a backend's name stands for asking just that one.

        Raises:
            UnknownPolicy: neither a policy nor a backend has the name.
        """
        name = name or self.config.default_policy
        found = self.config.policies.get(name)
        if found is None and name in self.pool.backends:
            found = Policy(name=name, allow=(name,), max_calls=1)
        if found is None:
            known = ", ".join((*self.config.policies, *self.pool.backends))
            raise UnknownPolicy(f"unknown model or policy {name!r}; expected one of {known}")
        efforts = sorted({spec.effort for spec in self.pool.specs.values() if spec.effort})
        if wishes.effort is not None and wishes.effort not in efforts:
            known = f"one of {', '.join(efforts)}" if efforts else "none: no backend has efforts"
            raise ConfigError(f"effort: unknown {wishes.effort!r}; expected {known}")
        for other in (*(wishes.allow or ()), *(wishes.deny or ())):
            if other not in self.pool.backends:
                raise ConfigError(
                    f"allow/deny: unknown backend {other!r}; expected some of {', '.join(self.pool.backends)}"
                )
        return wishes.on(found)

    def decide(self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES) -> Decision:
        """Returns the decision for a query, quickly; calls nothing.

        Raises:
            NoFeasibleBackend: no backend is left; NoBackendFree where that may pass.
        """
        wanted = self.policy(policy, wishes)
        refusals = self.refusals()
        if not refusals:
            return self.pool.decide(query, wanted)
        unavailable = {name: refusal.reason for name, refusal in refusals.items()}
        try:
            return self.pool.decide(query, wanted, unavailable=unavailable)
        except NoFeasibleBackend as error:
            waits = [
                refusal.retry_after_s or 0.0
                for name, refusal in refusals.items()
                if error.excluded.get(name) == refusal.reason
            ]
            if not waits:
                raise
            raise NoBackendFree(error.excluded, retry_after_s=min(waits)) from error

    def refusals(self) -> Mapping[str, BackendBusy]:
        """Returns the backends that no call would be let through to now, and why."""
        return {name: refusal for name, gate in self._gates.items() if (refusal := gate.refusal()) is not None}

    def route(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        **params: Any,
    ) -> Decision:
        """Returns the decision with its explanation, nearest training queries included; calls nothing."""
        return self.dry_run(make_query(text, messages, params), policy, wishes)

    def dry_run(self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES) -> Decision:
        """Returns the decision with its explanation, as `route` does."""
        decision = self.decide(query, policy, wishes)
        notes = tuple(f"{name}: not in the artefact; guessed from tier and price" for name in self.pool.untrained)
        if decision.estimates.source == "cold start":
            notes = ()
        return replace(decision, neighbours=self.pool.nearest(query.text), notes=notes)

    def ask(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        **params: Any,
    ) -> Answer:
        """Returns a routed answer. `params` are fields of a chat completion request, such as `max_tokens`.

        Raises:
            NoFeasibleBackend, AllBackendsFailed, UnknownPolicy, ConfigError: as their names say.
        """
        query = make_query(text, messages, params)
        self._check_may_wait()
        return wait_for(self._submit, self.answer(query, policy, wishes))

    async def aask(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        **params: Any,
    ) -> Answer:
        """Returns a routed answer, as `ask` does, without blocking the event loop."""
        coroutine = self.answer(make_query(text, messages, params), policy, wishes)
        if self._home is asyncio.get_running_loop():
            return await coroutine
        return await await_on(self._submit, coroutine)

    def stream(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        **params: Any,
    ) -> Iterator[AnswerChunk]:
        """Yields a routed answer piece by piece; the last piece carries the whole `answer`."""
        query = make_query(text, messages, params)
        self._check_may_wait()
        return iterate(self._submit, lambda: self.answer_stream(query, policy, wishes))

    def astream(
        self,
        text: str | None = None,
        *,
        messages: Sequence[Message] | None = None,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        **params: Any,
    ) -> AsyncIterator[AnswerChunk]:
        """Yields a routed answer piece by piece, as `stream` does, without blocking the event loop."""
        query = make_query(text, messages, params)
        if self._home is asyncio.get_running_loop():
            return self.answer_stream(query, policy, wishes)
        return aiterate(self._submit, lambda: self.answer_stream(query, policy, wishes))

    def feedback(self, trace_id: str, score: float, *, backend: str | None = None) -> None:
        """Records what an answer was worth, in [0, 1], beside its trace.

        Raises:
            PenstockError: the score is out of range, or the trace is not known here and `backend` is not given.
        """
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise PenstockError(f"feedback: expected a score from 0 to 1, got {score!r}")
        if backend is not None and backend not in self.pool.backends:
            known = ", ".join(self.pool.backends)
            raise PenstockError(f"feedback: unknown backend {backend!r}; expected one of {known}")
        with self._lock:
            if self._is_closed:
                raise PenstockError(CLOSED)
            answered = backend or self._answered.get(trace_id)
        if answered is None:
            raise PenstockError(f"feedback: unknown trace id {trace_id!r}; name the backend to record it all the same")
        self._sink.write(feedback_record(trace_id, backend=answered, score=score))

    async def answer(
        self,
        query: Query,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        *,
        decision: Decision | None = None,
    ) -> Answer:
        """Returns a routed answer; runs on the loop that the backends live on. `decision` as for `answer_stream`."""
        started = self._clock()
        decision = decision or self.decide(query, policy, wishes)
        callers, deadline = self._ready(decision, started)
        flow = self.pool.flow(query, decision)
        reply: Completion | BackendError | None = None
        try:
            while True:
                name = next(flow) if reply is None else flow.send(reply)
                try:
                    reply = await callers[name].complete(query, deadline=deadline)
                except BackendError as error:
                    logger.info("%s", error)
                    reply = error
        except StopIteration as end:
            return self._finish(query, decision, end.value, started)
        except AllBackendsFailed as failure:
            self._record_failure(query, decision, failure.causes)
            raise

    async def answer_stream(
        self,
        query: Query,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        *,
        decision: Decision | None = None,
    ) -> AsyncGenerator[AnswerChunk, None]:
        """Yields a routed answer; runs on the loop that the backends live on. `decision` is the query's, where known.

        A call whose answer may still be replaced is held back whole; one that is final in any case passes through as
        it comes. An error before its first piece falls back, one after it is raised.
        """
        started = self._clock()
        decision = decision or self.decide(query, policy, wishes)
        callers, deadline = self._ready(decision, started)
        flow = self.pool.flow(query, decision)
        has_answer = is_streamed = False
        failed: dict[str, BackendError] = {}
        reply: Completion | BackendError | None = None
        while True:
            try:
                name = next(flow) if reply is None else flow.send(reply)
            except StopIteration as end:
                answer = self._finish(query, decision, end.value, started)
                break
            except AllBackendsFailed:
                self._record_failure(query, decision, failed)
                raise
            try:
                if has_answer or may_escalate(replace(decision, backend=name)):
                    reply = await callers[name].complete(query, deadline=deadline)
                else:
                    reply = None
                    async with aclosing(callers[name].stream(query, deadline=deadline)) as stream:
                        async for chunk in stream:
                            reply = chunk.completion or reply
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
                failed[name] = reply = error
                if is_streamed:
                    self._record_failure(query, decision, failed)
                    raise
        if not is_streamed:
            yield _whole_chunk(answer)
        yield AnswerChunk(backend=answer.backend, answer=answer)

    def backends(self) -> Mapping[str, Backend]:
        """Returns every backend of the pool, built on first use.

        Raises:
            ConfigError: one cannot be built, for instance because its key is not in the environment.
            PenstockError: the router is closed.
        """
        with self._lock:
            if self._is_closed:
                raise PenstockError(CLOSED)
            if self._backends is None:
                given = self._given or {}
                self._backends = {
                    name: given[name] if name in given else create_backend(spec)
                    for name, spec in self.config.backends.items()
                }
                if self._home is None:
                    self._background.at_end = functools.partial(_close_all, self._backends)
                self._callers = {name: self._caller(name, backend) for name, backend in self._backends.items()}
            return self._backends

    def live_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes this loop the one that backends live on; the sidecar calls it once, before the first request."""
        self._home = loop

    async def aclose(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        if self._home is asyncio.get_running_loop():
            await _close_all(self._take_backends())
        # In a thread, since it waits for the background's.
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        self._check_may_wait()
        backends = self._take_backends()
        if backends and self._home is not None and self._home.is_running():
            wait_for(self._submit, _close_all(backends))
        self._background.close()
        self._sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _caller(self, name: str, backend: Backend) -> Caller:
        return Caller(self.config.backends[name], backend, self._gates[name], rng=self._rng, clock=self._clock)

    def _ready(self, decision: Decision, started: float) -> tuple[Mapping[str, Caller], float]:
        """Returns what to call backends with, and by when there must be an answer."""
        self.backends()
        deadline_s = decision.policy.deadline_s
        return self._callers, NEVER if deadline_s is None else started + deadline_s

    def _submit(self, coroutine: Coroutine[Any, Any, _Result]) -> concurrent.futures.Future[_Result]:
        """Returns the future of a coroutine that runs where the backends live."""
        if self._home is None:
            return self._background.submit(coroutine)
        if self._is_closed:
            coroutine.close()
            raise PenstockError(CLOSED)
        return asyncio.run_coroutine_threadsafe(coroutine, self._home)

    def _check_may_wait(self) -> None:
        """Refuses to block the very loop that would have to do the work."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            return
        if here is self._home or self._background.is_here:
            raise PenstockError("this would wait for itself; use `aask`, `astream` and `aclose` where backends run")

    def _take_backends(self) -> Mapping[str, Backend]:
        """Returns the backends to close and lets nobody have them any more."""
        with self._lock:
            self._is_closed = True
            backends, self._backends = self._backends, None
        return backends or {}

    def _record_failure(self, query: Query, decision: Decision, causes: Mapping[str, BackendError]) -> None:
        with_content = self.config.traces.content
        trace_id = query.id or uuid.uuid4().hex
        for record in failure_records(query, causes, trace_id=trace_id, decision=decision, with_content=with_content):
            self._sink.write(record)

    def _finish(self, query: Query, decision: Decision, outcome: Outcome, started: float) -> Answer:
        completion = outcome.step.completion
        assert completion is not None  # the cascade returns a step that answered
        answer = Answer(
            trace_id=query.id or uuid.uuid4().hex,
            decision=decision,
            outcome=outcome,
            completion=completion,
            latency_s=self._clock() - started,
        )
        with self._lock:
            self._answered[answer.trace_id] = answer.backend
            if len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
        for record in records_of(query, answer, with_content=self.config.traces.content):
            self._sink.write(record)
        return answer


def make_query(
    text: str | None, messages: Sequence[Message] | None, params: Mapping[str, Any], *, id: str = ""
) -> Query:
    """Returns the query of a call of the SDK.

    Raises:
        InvalidRequest: both or neither of text and messages are given, a message is malformed, or `n` is not 1.
    """
    if params.get("n") not in (None, 1):
        raise InvalidRequest("n: expected 1; there is one answer to a routed query")
    if (text is None) == (messages is None):
        raise InvalidRequest("give either a text or messages=[...]")
    if messages is None:
        messages = ({"role": "user", "content": text},)
    return Query.from_messages(messages, params=params, id=id)


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


async def _close_all(backends: Mapping[str, Backend]) -> None:
    """Closes every backend, whether or not another one resists."""
    results = await asyncio.gather(*(backend.aclose() for backend in backends.values()), return_exceptions=True)
    for name, result in zip(backends, results, strict=True):
        if isinstance(result, Exception):
            logger.warning("%s: could not be closed: %s", name, result)
