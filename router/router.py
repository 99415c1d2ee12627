"""The SDK: one object that routes, asks, checks and escalates."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ..backends import (
    Backend,
    BackendError,
    Completion,
    ConfigError,
    Message,
    PenstockError,
    Query,
    create_backend,
)
from ..classifiers import load_artefact
from .answer import Answer, AnswerChunk
from .background import BackgroundLoop, aiterate, iterate
from .cascade import Outcome, may_escalate
from .chat import Chat
from .config import Config, read_config
from .decision import Decision
from .errors import UnknownPolicy
from .policy import NO_WISHES, Policy, Wishes
from .pool import Pool
from .records import feedback_record, records_of
from .sink import JsonlSink, NullSink, TraceSink

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")
_REMEMBERED = 10_000  # answers whose backend is known to `feedback`


class Router:
    """Sends each query to the cheapest backend that will get it right, checks the answer, escalates if it is doubtful.

    Safe to share among tasks and threads. Use it as a context manager, or call `close`, to free connections.
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
        self._lock = threading.Lock()
        self._backends: dict[str, Backend] | None = None
        self._background = BackgroundLoop()
        self._home: asyncio.AbstractEventLoop | None = None
        self._answered: OrderedDict[str, str] = OrderedDict()

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
        for other in (*(wishes.allow or ()), *(wishes.deny or ())):
            if other not in self.pool.backends:
                raise ConfigError(f"allow/deny: unknown backend {other!r}; expected some of {', '.join(self.pool.backends)}")
        return wishes.on(found)

    def decide(self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES) -> Decision:
        """Returns the decision for a query, quickly; calls nothing."""
        return self.pool.decide(query, self.policy(policy, wishes))

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
        query = make_query(text, messages, params)
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
        return self._background.run(self.answer(make_query(text, messages, params), policy, wishes))

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
        return await self._at_home(self.answer(make_query(text, messages, params), policy, wishes))

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
        return iterate(self._background.loop, lambda: self.answer_stream(query, policy, wishes))

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
        return aiterate(self._home or self._background.loop, lambda: self.answer_stream(query, policy, wishes))

    def feedback(self, trace_id: str, score: float, *, backend: str | None = None) -> None:
        """Records what an answer was worth, in [0, 1], beside its trace.

        Raises:
            PenstockError: the score is out of range, or the trace is not known here and `backend` is not given.
        """
        if not 0 <= score <= 1:
            raise PenstockError(f"feedback: expected a score from 0 to 1, got {score!r}")
        with self._lock:
            known = backend or self._answered.get(trace_id)
        if known is None:
            raise PenstockError(f"feedback: unknown trace id {trace_id!r}; name the backend to record it all the same")
        self._sink.write(feedback_record(trace_id, backend=known, score=score))

    async def answer(self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES) -> Answer:
        """Returns a routed answer; runs on the loop that the backends live on."""
        started = self._clock()
        decision = self.decide(query, policy, wishes)
        backends = self.backends()
        flow = self.pool.flow(query, decision)
        reply: Completion | BackendError | None = None
        try:
            while True:
                name = next(flow) if reply is None else flow.send(reply)
                try:
                    reply = await backends[name].complete(query)
                except BackendError as error:
                    logger.info("%s", error)
                    reply = error
        except StopIteration as end:
            return self._finish(query, decision, end.value, started)

    async def answer_stream(
        self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES
    ) -> AsyncGenerator[AnswerChunk, None]:
        """Yields a routed answer; runs on the loop that the backends live on.

        A call whose answer may still be replaced is held back whole; one that is final in any case passes through as
        it comes. An error before its first piece falls back, one after it is raised.
        """
        started = self._clock()
        decision = self.decide(query, policy, wishes)
        backends = self.backends()
        flow = self.pool.flow(query, decision)
        has_answer, streamed = False, ""
        reply: Completion | BackendError | None = None
        while True:
            try:
                name = next(flow) if reply is None else flow.send(reply)
            except StopIteration as end:
                answer = self._finish(query, decision, end.value, started)
                break
            is_held = has_answer or may_escalate(replace(decision, backend=name))
            try:
                if is_held:
                    reply = await backends[name].complete(query)
                else:
                    stream = backends[name].stream(query)
                    try:
                        async for chunk in stream:
                            if chunk.text or chunk.reasoning or chunk.tool_calls:
                                streamed = name
                                yield AnswerChunk(
                                    backend=name, text=chunk.text, reasoning=chunk.reasoning, tool_calls=chunk.tool_calls
                                )
                            reply = chunk.completion or reply
                    finally:
                        await stream.aclose()  # type: ignore[attr-defined]  # every backend's stream is a generator
                has_answer = True
            except BackendError as error:
                if streamed:
                    raise
                logger.info("%s", error)
                reply = error
        if not streamed:
            completion = answer.completion
            calls = tuple({**call, "index": place} for place, call in enumerate(completion.tool_calls))
            yield AnswerChunk(
                backend=answer.backend, text=completion.text, reasoning=completion.reasoning, tool_calls=calls
            )
        yield AnswerChunk(backend=answer.backend, answer=answer)

    def backends(self) -> Mapping[str, Backend]:
        """Returns every backend of the pool, built on first use.

        Raises:
            ConfigError: one cannot be built, for instance because its key is not in the environment.
        """
        with self._lock:
            if self._backends is None:
                given = self._given or {}
                self._backends = {
                    name: given[name] if name in given else create_backend(spec)
                    for name, spec in self.config.backends.items()
                }
            return self._backends

    def live_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes this loop the one that backends live on; the sidecar calls it once, before the first request."""
        self._home = loop

    async def aclose(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        with self._lock:
            backends, self._backends = self._backends, None
        for backend in (backends or {}).values():
            await self._at_home(backend.aclose())
        self._background.close()
        self._sink.close()

    def close(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        with self._lock:
            backends, self._backends = self._backends, None
        for backend in (backends or {}).values():
            self._background.run(backend.aclose())
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

    async def _at_home(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        if self._home is asyncio.get_running_loop():
            return await coroutine
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._home or self._background.loop))

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


def make_query(text: str | None, messages: Sequence[Message] | None, params: Mapping[str, Any]) -> Query:
    """Returns the query of a call of the SDK.

    Raises:
        InvalidRequest: both or neither of text and messages are given, or a message is malformed.
    """
    from ..backends import InvalidRequest

    if (text is None) == (messages is None):
        raise InvalidRequest("give either a text or messages=[...]")
    if messages is None:
        messages = ({"role": "user", "content": text},)
    return Query.from_messages(messages, params=params)
