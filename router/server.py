"""The sidecar: an ASGI application that speaks OpenAI's chat completions and answers through the router."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from ..backends import PenstockError
from .asgi import ClientGone, Receive, Scope, Send, UntilGone, read_body
from .chat_request import ChatRequest, read_chat_request, read_feedback
from .headers import answer_headers, encode_headers, first_headers
from .http_error import HttpError, http_error_of
from .openai_format import chat_chunks, chat_completion, chat_id, model_list
from .reply import Reply
from .router import Router

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 32 << 20

_Handler = Callable[[Scope, Receive, Reply], Awaitable[None]]


class Sidecar:
    """An ASGI application over one router, which lives and is closed with it.

    `clock` gives the `created` of replies, in seconds since 1970.
    """

    def __init__(
        self, router: Router, *, max_body_bytes: int = MAX_BODY_BYTES, clock: Callable[[], float] = time.time
    ) -> None:
        self._router = router
        self._max_body_bytes = max_body_bytes
        self._clock = clock
        self._created = int(clock())
        self.is_ready = False
        self.is_stopping = False  # to be set when no new requests come any more: a call that is cancelled says so
        self._routes: dict[str, tuple[str, _Handler]] = {
            "/v1/chat/completions": ("POST", self._chat),
            "/v1/models": ("GET", self._models),
            "/v1/route": ("POST", self._route),
            "/v1/feedback": ("POST", self._feedback),
            "/healthz": ("GET", self._healthz),
            "/readyz": ("GET", self._readyz),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request, or the application's own life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            raise ValueError(f"expected an ASGI scope of type http or lifespan, got {scope['type']!r}")
        reply = Reply(send)
        try:
            await self._handler(scope)(scope, receive, reply)
        except ClientGone:
            logger.info("trace %s: the client has gone", reply.trace_id)
        except PenstockError as error:
            told = http_error_of(error)
            level = logging.WARNING if told.status >= 500 else logging.INFO
            logger.log(level, "trace %s: %d: %s", reply.trace_id, told.status, " ".join(str(error).split()))
            await reply.fail(told)
        except asyncio.CancelledError:
            if not self.is_stopping:
                raise
            await reply.fail(HttpError(503, "the sidecar is being stopped"))
        except Exception:  # the outer edge: whatever it was, the next request must be served
            logger.exception("trace %s: 500", reply.trace_id)
            await reply.fail(HttpError(500, "internal error; the log of the sidecar says more"))

    def _handler(self, scope: Scope) -> _Handler:
        path, method = scope["path"], scope["method"]
        if path not in self._routes:
            raise HttpError(404, f"no such path; expected one of {', '.join(self._routes)}")
        expected, handler = self._routes[path]
        if method != expected and not (method == "HEAD" and expected == "GET"):
            raise HttpError(405, f"{path}: expected {expected}", headers=[("allow", expected)])
        return handler

    async def _chat(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        reply.trace_id = uuid.uuid4().hex
        body = await read_body(scope, receive, limit=self._max_body_bytes)
        request = read_chat_request(body, scope["headers"], trace_id=reply.trace_id)
        if request.is_stream:
            await self._stream(request, receive, reply)
            return
        async with UntilGone(receive):
            answer = await self._router.answer(request.query, request.model, request.wishes)
        content = chat_completion(answer, created=int(self._clock()), with_logprobs=request.with_logprobs)
        await reply.json(content, headers=answer_headers(content["penstock"]))

    async def _stream(self, request: ChatRequest, receive: Receive, reply: Reply) -> None:
        created, id = int(self._clock()), chat_id(reply.trace_id)
        decision = self._router.decide(request.query, request.model, request.wishes)
        stream = self._router.answer_stream(request.query, decision=decision)
        async with UntilGone(receive), aclosing(stream):
            async for chunk in stream:
                is_first = not reply.is_started
                if is_first:
                    # Only now: an error before the first piece is still an HTTP status of its own.
                    headers = first_headers(decision, backend=chunk.backend, trace_id=reply.trace_id)
                    await reply.begin_events(headers)
                bodies = chat_chunks(chunk, id=id, created=created, is_first=is_first, with_usage=request.with_usage)
                await reply.events(bodies)
        await reply.end_events()

    async def _route(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        body = await read_body(scope, receive, limit=self._max_body_bytes)
        request = read_chat_request(body, scope["headers"], trace_id="")
        decision = self._router.dry_run(request.query, request.model, request.wishes)
        headers = {"x-penstock-backend": decision.backend, "x-penstock-reason": decision.reason}
        await reply.json(decision.as_dict(), headers=encode_headers(headers))

    async def _feedback(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        feedback = read_feedback(await read_body(scope, receive, limit=self._max_body_bytes))
        try:
            self._router.feedback(feedback.trace_id, feedback.score, backend=feedback.backend)
        except PenstockError as error:
            raise HttpError(404, str(error), code="trace_not_found") from error
        await reply.json({"trace_id": feedback.trace_id, "recorded": True})

    async def _models(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        await reply.json(model_list(self._router.config, created=self._created))

    async def _healthz(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        await reply.json({"status": "ok"})

    async def _readyz(self, scope: Scope, receive: Receive, reply: Reply) -> None:
        is_ready = self.is_ready and not self.is_stopping
        await reply.json({"status": "ready" if is_ready else "not ready"}, status=200 if is_ready else 503)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Takes the router to this loop before the first request, and closes it after the last."""
        await receive()
        self._router.live_on(asyncio.get_running_loop())
        try:
            self._router.backends()
        except PenstockError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self.is_ready = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.is_ready = False
        await self._router.aclose()
        await send({"type": "lifespan.shutdown.complete"})
