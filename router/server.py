"""The sidecar: an ASGI application that speaks OpenAI's and Anthropic's formats and answers through the router."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from typing import Any

from ..backends import PenstockError
from ..backends.in_turn import InTurn
from . import page
from .asgi import ClientGone, Receive, Scope, Send, UntilGone, read_body, taken_within
from .config import Config
from .decision import Decision
from .errors import BrokenOff
from .exchange import GONE, Observer, make_exchange
from .feedback import Comparison, Feedback, read_feedback
from .figures import Figures
from .formats import FORMATS, Format, Request, read_request
from .headers import answer_headers, encode_headers, first_headers
from .http_error import HttpError, http_error_of
from .keep_alive import KeepAlive
from .keys import (
    ANYONE,
    Guard,
    Key,
    Store,
    check_scored,
    confined,
    decision_for,
    error_for,
    open_store,
    permitted,
    refuse_cross_site,
)
from .ledger import Teller
from .loopback import is_local
from .metrics import CONTENT_TYPE, Metrics
from .model_list import model_list
from .openapi import openapi
from .reloading import Reloaded
from .reply import Reply
from .router import Router
from .tally import Tally
from .threads import refuse_thread

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 << 20
KEEP_ALIVE_S = 10.0  # of silence before the first piece of a stream, and between signs of life
_SEND_S = 60.0  # for a client to take a piece of a stream; as long as it does not, it keeps others from the backend
_CHAT, _MESSAGES, _MODELS = "/v1/chat/completions", "/v1/messages", "/v1/models"

_METRICS, _OPENAPI = "/metrics", "/openapi.json"
_OUTSIDE = ("missing_api_key", "invalid_api_key", "cross_site")  # refusals of those who were never let in
# To whoever can reach us: those who watch over processes have no key, and the page asks for it itself.
_OPEN = frozenset(("/healthz", "/readyz", _OPENAPI, *page.OPEN))

_Handler = Callable[[Scope, Receive, Reply, Key], Awaitable[None]]


class Sidecar:
    """An ASGI application over one router, which lives and is closed with it.

    Where models.yaml names a file of keys, requests need one. `keys` is a store in its place, and is closed with the
    application too. `observers` are told of every request when it has ended. `teller` pools the figures of several
    processes. While an answer is held back, a stream shows a sign of life every `keep_alive_s`. `clock` gives the
    `created` of replies, in seconds since 1970, and the windows of keys' limits.
    """

    def __init__(
        self,
        router: Router,
        *,
        keys: Store | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        observers: Sequence[Observer] = (),
        teller: Teller | None = None,
        keep_alive_s: float = KEEP_ALIVE_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._router = router
        if keys is None and router.config.keys is not None:
            keys = open_store(router.config.keys)
        self._guard = Guard(keys, clock=clock)
        self._seen = Metrics(router.gates, lambda: (router.config.sha256, router.pool.artefact_sha256))
        self._teller = teller
        self._page = page.Page(router, total=self._total, is_for_all=not self._guard.has_keys, clock=clock)
        self._observers: tuple[Observer, ...] = (self._seen, self._page.recent, *observers)
        self._max_body_bytes = max_body_bytes
        self._keep_alive_s = keep_alive_s
        self._clock = clock
        self._created = int(clock())
        self._begins = InTurn(1)  # so that those that came together do not wait for each other
        self.is_ready = False
        self.is_stopping = False  # to be set when no new requests come any more: a call that is cancelled says so
        self._routes: dict[str, tuple[str, _Handler]] = {
            **dict.fromkeys(FORMATS, ("POST", self._answer)),
            f"{_MESSAGES}/count_tokens": ("POST", self._count_tokens),
            _MODELS: ("GET", self._models),
            "/v1/route": ("POST", self._route),
            "/v1/feedback": ("POST", self._feedback),
            "/healthz": ("GET", self._healthz),
            "/readyz": ("GET", self._readyz),
            _METRICS: ("GET", self._metrics),
            _OPENAPI: ("GET", self._openapi),
            page.ACTIVITY: ("GET", self._page.activity),
            **dict.fromkeys(page.OPEN, ("GET", self._page.file)),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the application's own life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"expected an ASGI scope of type http or lifespan, got {scope['type']!r}")
        await self._begins.wait()
        path = self._path(scope["path"])
        exchange = make_exchange(method=scope["method"], path=path, began_at=self._clock())
        reply = Reply(send, _format_of(scope), exchange)
        started = time.perf_counter()
        try:
            await self._serve(scope, receive, reply)
        finally:
            exchange.status, exchange.trace_id = reply.status or GONE, reply.trace_id.strip("-")
            exchange.latency_s = time.perf_counter() - started
            exchange.end()
            for observer in self._observers:
                observer.see(exchange)

    async def reload(self) -> Reloaded:
        """Returns what has changed in models.yaml and its artefact, as `Router.areload` does; counts it."""
        result = "failed"
        try:
            reloaded = await self._router.areload()
            result = "ok"
        finally:
            self._seen.reloads.totals[(result,)] += 1
        return reloaded

    @property
    def config(self) -> Config:
        """What models.yaml says."""
        return self._router.config

    async def _serve(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        try:
            exchange = reply.exchange
            handler = self._handler(exchange.path, exchange.method)
            if exchange.method == "POST" and not self._guard.has_keys:
                refuse_cross_site(scope)
            # Before the body is read: whoever may not ask need not send it.
            exchange.key = key = self._admitted(scope, path=exchange.path)
            await handler(scope, receive, reply, key)
        except ClientGone:
            self._see_refusal(reply, BrokenOff.__name__)
            logger.info("trace %s: the client has gone", reply.trace_id)
        except PenstockError as error:
            error = error_for(reply.exchange.key, error)
            reply.exchange.error = type(error).__name__
            told = http_error_of(error, format=reply.format.name)
            if told.status != 405 and told.code not in _OUTSIDE:
                self._see_refusal(reply, told.code or type(error).__name__)
            level = logging.WARNING if told.status >= 500 else logging.INFO
            logger.log(level, "trace %s: %d: %s", reply.trace_id, told.status, " ".join(str(error).split()))
            await reply.fail(told)
        except asyncio.CancelledError:
            if not self.is_stopping:
                raise
            await reply.fail(HttpError(503, "the sidecar is being stopped"))
        except Exception as error:  # the outer edge: whatever it was, the next request must be served
            reply.exchange.error = type(error).__name__
            self._see_refusal(reply, "InternalError")
            logger.exception("trace %s: 500", reply.trace_id)
            await reply.fail(HttpError(500, "internal error; the log of the sidecar says more"))

    def _see_refusal(self, reply: Reply, kind: str) -> None:
        """Leaves a trace of a request for an answer that has not left one itself."""
        if reply.exchange.path in FORMATS and reply.exchange.decision is None:
            self._router.refused(kind, trace_id=reply.trace_id.strip("-"))

    def _admitted(self, scope: Scope, *, path: str) -> Key:
        """Returns the key of a request, which may have it; the page looks so often that it is not counted."""
        if path in _OPEN or (path == _METRICS and is_local(scope)):
            return ANYONE
        if path == page.ACTIVITY:
            return self._guard.identify(scope["headers"])
        return self._guard.admit(scope["headers"], spends=path in FORMATS)

    def _handler(self, path: str, method: str) -> _Handler:
        found = self._routes.get(path)
        if found is None:
            raise HttpError(404, f"no such path; expected one of {', '.join(self._routes)}")
        expected, handler = found
        if method != expected and not (method == "HEAD" and expected == "GET"):
            raise HttpError(405, f"{path}: expected {expected}", headers=[("allow", expected)])
        return handler

    def _path(self, path: str) -> str:
        """Returns the path that serves a request, `other` where none does."""
        if path in self._routes:
            return path
        return next((prefix for prefix in (_MODELS, page.FILES) if path.startswith(f"{prefix}/")), "other")

    def _decide(self, request: Request) -> Decision:
        started = time.perf_counter()
        decision = self._router.decide(request.query, request.model, request.wishes, asker=request.asker)
        self._seen.decision.see(time.perf_counter() - started)
        return decision

    async def _answer(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        request = await self._read(scope, receive, reply, key)
        exchange = reply.exchange
        exchange.model, exchange.is_stream = request.model or "", request.is_stream
        exchange.text = self._page.beginning_of(request.query)
        exchange.decision = decision = self._decide(request)
        exchange.tally = tally = self._router.tally(decision)
        with self._guard.billed(key, tally):
            if request.is_stream:
                await self._stream(request, decision, scope, receive, reply, tally)
                return
            async with UntilGone(scope, receive):
                answer = await self._router.answer(request.query, decision=decision, tally=tally)
        content = reply.format.writer(request, created=int(self._clock())).whole(answer)
        await reply.json(content, headers=answer_headers(content["penstock"]))

    async def _read(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> Request:
        """Returns a request in the format of its reply, which then knows its trace id, within what the key may use."""
        reply.trace_id = os.urandom(16).hex()
        body = await read_body(scope, receive, limit=self._max_body_bytes)
        return self._request(reply.format, body, scope, key, trace_id=reply.trace_id)

    def _request(self, format: Format, body: bytes, scope: Scope, key: Key, *, trace_id: str) -> Request:
        """Returns the request in a body, within what the key may use."""
        config = self._router.config
        request = confined(read_request(format, body, scope["headers"], trace_id=trace_id), config, key)
        refuse_thread(request, config)
        return request

    async def _stream(
        self, request: Request, decision: Decision, scope: Scope, receive: Receive, reply: Reply, tally: Tally
    ) -> None:
        started = time.perf_counter()
        writer = reply.format.writer(request, created=int(self._clock()))
        stream = self._router.answer_stream(request.query, decision=decision, tally=tally)

        async def begin(backend: str | None) -> None:
            if reply.is_started:
                return
            if tally.answer is not None:  # it was held back to its end
                headers = answer_headers(tally.answer.as_dict())
            else:
                path = tally.path(backend) if backend else ""
                headers = first_headers(decision, backend=backend, path=path, trace_id=reply.trace_id)
            await reply.begin_events(headers, writer)

        async def wait() -> None:
            async with taken_within(_SEND_S):
                await begin(None)
                await reply.events(reply.format.keep_alive)

        async with (
            UntilGone(scope, receive, patience_s=_SEND_S) as client,
            aclosing(stream),
            KeepAlive(wait, every_s=self._keep_alive_s) as life,
        ):
            async for chunk in stream:
                if life.is_on:
                    # Only now: an error before the first piece is mostly still an HTTP status of its own.
                    await life.stop()
                    await client.give(begin(chunk.backend))
                    reply.exchange.first_piece_s = time.perf_counter() - started
                if content := writer.piece(chunk):
                    await client.give(reply.events(content))
        async with taken_within(_SEND_S):
            await reply.end_events()

    async def _count_tokens(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        """Tells what the backend that would be asked counts, or an estimate where it counts nothing."""
        request = await self._read(scope, receive, reply, key)
        decision = self._decide(request)
        headers = encode_headers({"x-penstock-backend": decision.backend, "x-penstock-trace-id": reply.trace_id})
        async with UntilGone(scope, receive):
            n_tokens = await self._router.count_tokens(request.query, decision.backend)
        if n_tokens is None:
            n_tokens = decision.estimates.input_tokens
        await reply.json({"input_tokens": n_tokens}, headers=headers)

    async def _route(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        body = await read_body(scope, receive, limit=self._max_body_bytes)
        request = self._request(reply.format, body, scope, key, trace_id="")
        decision = self._router.dry_run(request.query, request.model, request.wishes, asker=request.asker)
        headers = {"x-penstock-backend": decision.backend, "x-penstock-reason": decision.reason}
        await reply.json(decision_for(key, decision), headers=encode_headers(headers))

    async def _feedback(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        feedback = read_feedback(await read_body(scope, receive, limit=self._max_body_bytes))
        await asyncio.to_thread(self._record, feedback, key)  # it may have to read the trace log
        await reply.json({"trace_id": feedback.trace_id, "recorded": True})

    def _record(self, feedback: Feedback | Comparison, key: Key) -> None:
        check_scored(feedback, key, backend_of=self._router.backend_of)
        try:
            if isinstance(feedback, Comparison):
                self._router.compare(
                    feedback.trace_id,
                    feedback.other_trace_id,
                    feedback.winner,
                    backend=feedback.backend,
                    other_backend=feedback.other_backend,
                )
            else:
                self._router.feedback(feedback.trace_id, feedback.score, backend=feedback.backend)
        except PenstockError as error:
            raise HttpError(404, str(error), code="trace_not_found") from error

    async def _models(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        listed = model_list(permitted(self._router.config, key), created=self._created)
        name = scope["path"].removeprefix(_MODELS).removeprefix("/")
        if not name:
            await reply.json(listed)
            return
        found = next((model for model in listed["data"] if model["id"] == name), None)
        if found is None:
            known = ", ".join(model["id"] for model in listed["data"])
            raise HttpError(404, f"no model {name!r:.80}; expected one of {known}", code="model_not_found")
        await reply.json(found)

    async def _healthz(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        await reply.json({"status": "ok"})

    async def _readyz(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        is_ready = self.is_ready and not self.is_stopping
        told: dict[str, Any] = {"status": "ready" if is_ready else "not ready"}
        if (not self._guard.has_keys or is_local(scope)) and (refusals := self._router.refusals()):
            told["unavailable"] = {name: refusal.reason for name, refusal in refusals.items()}
        await reply.json(told, status=200 if is_ready else 503)

    async def _metrics(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        if not key.sees_all:  # the figures are of all keys together
            raise HttpError(
                403, "this key may not see the figures of all; make one with --sees-all", code="figures_not_allowed"
            )
        await reply.text(self._seen.text(await self._total()), content_type=CONTENT_TYPE)

    def _figures(self) -> Figures:
        """Returns what this process has counted, for Prometheus and for the page."""
        seen = self._seen.figures()
        return replace(seen, sums={**seen.sums, **self._page.recent.rows()})

    async def _total(self) -> Figures:
        """Returns what all workers have counted.

        Raises:
            HttpError: it cannot be had. A failed scrape is a gap; less than was told before would be taken for news.
        """
        if self._teller is None:
            return self._figures()
        try:
            return await self._teller.total(self._figures())
        except TimeoutError as error:
            raise HttpError(503, "the figures of the other workers cannot be had just now") from error

    async def _openapi(self, scope: Scope, receive: Receive, reply: Reply, key: Key) -> None:
        routes = ((path, method) for path, (method, _) in self._routes.items())
        await reply.json(openapi(routes))

    async def _live(self, receive: Receive, send: Send) -> None:
        """Takes the router to this loop before the first request, and closes it after the last."""
        await receive()
        self._router.live_on(asyncio.get_running_loop())
        try:
            self._router.backends()
        except PenstockError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        async with self._teller.telling(self._figures) if self._teller is not None else nullcontext():
            self.is_ready = True
            await send({"type": "lifespan.startup.complete"})
            await receive()
            self.is_ready = False
        await self._router.aclose()
        self._guard.close()
        await send({"type": "lifespan.shutdown.complete"})


def _format_of(scope: Scope) -> Format:
    """Returns the format in which a request is read, and its errors are told: by its path, else by its headers."""
    path = scope["path"]
    if (format := FORMATS.get(path)) is not None:
        return format
    is_anthropics = path.startswith(_MESSAGES) or any(name == b"anthropic-version" for name, _ in scope["headers"])
    return FORMATS[_MESSAGES if is_anthropics else _CHAT]
