"""The SDK: one object that routes, asks, checks and escalates."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self

from ..backends import Backend, PenstockError, Query
from ..classifiers import Estimates
from .answer import Answer, AnswerChunk
from .asked import Asked, takes_query
from .background import CLOSED, aiterate, await_on, iterate, wait_for
from .chat import Chat
from .config import Config, read_config
from .conversations import Conversations, open_turns
from .decision import Decision
from .errors import BackendBusy
from .fleet import Fleet
from .gate import GateState
from .logbook import Logbook
from .policy import NO_WISHES, Policy, Wishes
from .pool import Pool
from .records import WINNERS, AnswerRef
from .reloading import Reloaded, changes, reopen
from .run import Run, make_run
from .settings import Settings, open_pool
from .sink import NullSink, TraceSink
from .tally import Tally

if TYPE_CHECKING:
    from .keys import Store
    from .shadow import Shadow
    from .tracing import TracedRun, Tracing

logger = logging.getLogger(__name__)


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
        tracing: Tracing | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.chat = Chat(self)
        self._tracing = tracing
        self._clock = clock
        self._fleet = Fleet(config.backends, given=backends, clock=clock)
        self._conversations = Conversations(open_turns(config.conversations))
        self._logbook = Logbook(
            sink or NullSink(), content=config.traces.open_content(), conversations=self._conversations
        )
        self._shadow_store: Store | None = None
        self._reloading = asyncio.Lock()
        self._settings = self._settings_of(config, pool, self._open_shadow(config, pool))

    @classmethod
    def from_config(
        cls,
        path: Path | str = "models.yaml",
        *,
        backends: Mapping[str, Backend] | None = None,
        tracing: Tracing | None = None,
    ) -> Self:
        """Returns the router that models.yaml describes, with its artefact if it names one that exists.

        Raises:
            ConfigError: something in the file is wrong.
            ArtefactError: the artefact is damaged.
        """
        config = read_config(path)
        return cls(config, open_pool(config), sink=config.traces.open_sink(), backends=backends, tracing=tracing)

    @property
    def config(self) -> Config:
        """What models.yaml says."""
        return self._settings.config

    @property
    def pool(self) -> Pool:
        """The backends, and what was learned of them."""
        return self._settings.pool

    def policy(self, name: str | None = None, wishes: Wishes = NO_WISHES) -> Policy:
        """Returns the policy of that name with the wishes on top; a backend's name stands for asking just that one.

        Raises:
            UnknownPolicy: neither a policy nor a backend has the name.
        """
        return self._settings.policy(name, wishes)

    def decide(
        self,
        query: Query,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        *,
        asker: str = "",
        estimates: Estimates | None = None,
    ) -> Decision:
        """Returns the decision for a query, quickly; calls nothing. Conversations of different askers never mix.
        `estimates` are the query's, if known.

        Raises:
            NoFeasibleBackend: no backend is left; NoBackendFree where that may pass.
            InvalidRequest: the query is to be routed, and tells the provider to do that too.
        """
        return self._settings.decide(query, policy, wishes, asker=asker, estimates=estimates)

    def refusals(self) -> Mapping[str, BackendBusy]:
        """Returns the backends that no call would be let through to now, and why."""
        return self._settings.refusals()

    def gates(self) -> Mapping[str, GateState]:
        """Returns of every backend how busy it is, and whether it is left alone after failures."""
        return {name: gate.state() for name, gate in self._settings.gates.items()}

    @takes_query
    def route(self, asked: Asked) -> Decision:
        """Returns the decision with its explanation: nearest training queries, what would flip it; calls nothing."""
        return self.dry_run(asked.query, asked.policy, asked.wishes)

    def dry_run(
        self, query: Query, policy: str | None = None, wishes: Wishes = NO_WISHES, *, asker: str = ""
    ) -> Decision:
        """Returns the decision with its explanation, as `route` does."""
        return self._settings.dry_run(query, policy, wishes, asker=asker)

    @takes_query
    def ask(self, asked: Asked) -> Answer:
        """Returns a routed answer. `params` are fields of a chat completion request, such as `max_tokens`.

        Raises:
            NoFeasibleBackend, AllBackendsFailed, UnknownPolicy, ConfigError: as their names say.
        """
        self._fleet.check_may_wait()
        return wait_for(self._fleet.submit, self.answer(asked.query, asked.policy, asked.wishes))

    @takes_query
    async def aask(self, asked: Asked) -> Answer:
        """Returns a routed answer, as `ask` does, without blocking the event loop."""
        coroutine = self.answer(asked.query, asked.policy, asked.wishes)
        if self._fleet.is_home:
            return await coroutine
        return await await_on(self._fleet.submit, coroutine)

    @takes_query
    def stream(self, asked: Asked) -> Iterator[AnswerChunk]:
        """Yields a routed answer piece by piece; the last piece carries the whole `answer`."""
        self._fleet.check_may_wait()
        return iterate(self._fleet.submit, lambda: self.answer_stream(asked.query, asked.policy, asked.wishes))

    @takes_query
    def astream(self, asked: Asked) -> AsyncIterator[AnswerChunk]:
        """Yields a routed answer piece by piece, as `stream` does, without blocking the event loop."""
        if self._fleet.is_home:
            return self.answer_stream(asked.query, asked.policy, asked.wishes)
        return aiterate(self._fleet.submit, lambda: self.answer_stream(asked.query, asked.policy, asked.wishes))

    def feedback(self, trace_id: str, score: float, *, backend: str | None = None) -> None:
        """Records what an answer was worth, in [0, 1], beside its trace.

        Raises:
            PenstockError: the score is out of range, or the trace is not known here and `backend` is not given.
        """
        if not isinstance(score, Real) or not 0 <= score <= 1:  # numpy's numbers among them
            raise PenstockError(f"feedback: expected a score from 0 to 1, got {score!r}")
        self._logbook.see_feedback(self._answer_ref(trace_id, backend), float(score))

    def compare(
        self,
        trace_id: str,
        other_trace_id: str,
        winner: str,
        *,
        backend: str | None = None,
        other_backend: str | None = None,
    ) -> None:
        """Records which of two answers to the same query was better: `this`, `other` or `tie`.

        Two answers of one trace, as a cascade or a shadow call leaves them, are told apart by their backends.

        Raises:
            PenstockError: no such winner, the two are one answer, or one is not known here and its backend not given.
        """
        if winner not in WINNERS:
            raise PenstockError(f"compare: unknown winner {winner!r}; expected one of {', '.join(WINNERS)}")
        this, other = self._answer_ref(trace_id, backend), self._answer_ref(other_trace_id, other_backend)
        if this == other:
            raise PenstockError("compare: both are one answer; expected two, by their trace ids or their backends")
        self._logbook.see_comparison(this, other, winner)

    def backend_of(self, trace_id: str) -> str | None:
        """Returns the backend whose answer a trace id stands for; None where nothing is known of it."""
        return self._logbook.backend_of(trace_id)

    def refused(self, kind: str, *, trace_id: str = "", policy: str | None = None) -> None:
        """Records a request that was turned away before any call; `kind` says why, in a word."""
        trace_id = trace_id or uuid.uuid4().hex
        self._logbook.see_refusal(trace_id, kind, policy=policy)
        if self._tracing is not None:
            self._tracing.see_refusal(trace_id, kind, policy=policy)

    async def answer(
        self,
        query: Query,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        *,
        decision: Decision | None = None,
        tally: Tally | None = None,
    ) -> Answer:
        """Returns a routed answer; runs on the loop that the backends live on.

        `decision` is the query's, if known; `tally` is filled with what the query uses, whichever way this ends.
        """
        return await self._run(query, policy, wishes, decision, tally).answer()

    def answer_stream(
        self,
        query: Query,
        policy: str | None = None,
        wishes: Wishes = NO_WISHES,
        *,
        decision: Decision | None = None,
        tally: Tally | None = None,
    ) -> AsyncGenerator[AnswerChunk, None]:
        """Returns a routed answer piece by piece, on the same loop; `Run.chunks` says what is held back."""
        return self._run(query, policy, wishes, decision, tally).chunks()

    def tally(self, decision: Decision) -> Tally:
        """Returns an empty account of what a query uses."""
        return Tally(decision, self.pool.charge)

    def backends(self) -> Mapping[str, Backend]:
        """Returns every backend of the pool, built on first use.

        Raises:
            ConfigError: one cannot be built, for instance because its key is not in the environment.
            PenstockError: the router is closed.
        """
        return self._fleet.backends()

    async def count_tokens(self, query: Query, backend: str) -> int | None:
        """Returns the tokens of a query as a backend counts them, None where it counts nothing; runs on its loop."""
        return await self._fleet.callers()[backend].count_tokens(query)

    def reload(self) -> Reloaded:
        """Returns what has changed in models.yaml and its artefact, both read anew; requests go on meanwhile.

        Those that have begun end as they began. Backends that are described as before keep their connections and the
        state of their circuit breakers.

        Raises:
            ConfigError, ArtefactError: something is wrong, or cannot change without a restart; all is as it was.
        """
        self._fleet.check_may_wait()
        return wait_for(self._fleet.submit, self._reload())

    async def areload(self) -> Reloaded:
        """Returns what has changed, as `reload` does, without blocking the event loop."""
        if self._fleet.is_home:
            return await self._reload()
        return await await_on(self._fleet.submit, self._reload())

    def live_on(self, loop: asyncio.AbstractEventLoop) -> None:
        """Makes this loop the one that backends live on; the sidecar calls it once, before the first request."""
        self._fleet.live_on(loop)

    async def aclose(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        await self._fleet.aclose()
        self._close_books()

    def close(self) -> None:
        """Frees connections, threads and files; may be called twice."""
        self._fleet.close()
        self._close_books()

    def __reduce__(self) -> NoReturn:
        """Refuses to be copied or pickled: connections and threads cannot be."""
        raise TypeError("a Router cannot be copied or pickled; share it, or make one in each process")

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

    def _answer_ref(self, trace_id: str, backend: str | None) -> AnswerRef:
        if backend is not None and backend not in self.pool.backends:
            known = ", ".join(self.pool.backends)
            raise PenstockError(f"feedback: unknown backend {backend!r}; expected one of {known}")
        if self._fleet.is_closed:
            raise PenstockError(CLOSED)
        return self._logbook.find(trace_id, backend)

    def _run(
        self, query: Query, policy: str | None, wishes: Wishes, decision: Decision | None, tally: Tally | None
    ) -> Run | TracedRun:
        started = self._clock()
        settings = self._settings
        if decision is None:
            try:
                decision = self.decide(query, policy, wishes)
            except PenstockError as error:
                self.refused(type(error).__name__, trace_id=query.id, policy=policy)
                raise
        if decision.policy.budget is not None:
            query = replace(query, reasoning_budget=decision.policy.budget)
        if any(decision.past.authors):
            query = replace(query, minds=tuple(map(settings.mind_of, decision.past.authors)))
        run = make_run(
            query=query,
            decision=decision,
            pool=settings.pool,
            callers=self._fleet.callers(),
            logbook=self._logbook,
            tally=tally or self.tally(decision),
            clock=self._clock,
            started=started,
            shadow=settings.shadow,
        )
        return run if self._tracing is None else self._tracing.traced(run)

    def _close_books(self) -> None:
        if self._shadow_store is not None:
            self._shadow_store.close()
        self._logbook.close()

    async def _reload(self) -> Reloaded:
        """Returns what has changed; runs on the loop that the backends live on."""
        async with self._reloading:
            before = self._settings
            config, pool, content = await asyncio.to_thread(reopen, before.config, before.pool)
            shadow = self._open_shadow(config, pool)
            crew = await self._fleet.prepare(config.backends)
            # From here on nothing waits or fails: a request is decided and carried out by either the old or the new.
            self._fleet.swap(crew)
            self._logbook.write_content(content)
            self._settings = self._settings_of(config, pool, shadow)
        is_other = pool.artefact_sha256 != before.pool.artefact_sha256
        return changes(before.config, config, artefact=is_other)

    def _settings_of(self, config: Config, pool: Pool, shadow: Shadow | None) -> Settings:
        return Settings(
            config=config,
            pool=pool,
            gates=self._fleet.crew.gates,
            conversations=self._conversations,
            shadow=shadow,
        )

    def _open_shadow(self, config: Config, pool: Pool) -> Shadow | None:
        if config.shadow is None:
            return None
        from .keys import MemoryStore, open_store  # only where there is something to count
        from .shadow import Shadow

        if self._shadow_store is None:
            self._shadow_store = open_store(config.keys) if config.keys is not None else MemoryStore()
        return Shadow(config.shadow, pool=pool, fleet=self._fleet, logbook=self._logbook, store=self._shadow_store)
