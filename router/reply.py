"""One HTTP reply of the sidecar: JSON at once, or a stream of events."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from .asgi import Headers, Send
from .exchange import Exchange
from .formats import Format, Writer
from .formats.events import encode_json
from .headers import encode_headers
from .http_error import HttpError

_JSON = (b"content-type", b"application/json")
_EVENTS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),  # proxies must not collect tokens before they pass them on
)


class Reply:
    """Sends one reply and knows how far it has come, so that an error is told in the way that is still open."""

    def __init__(self, send: Send, format: Format, exchange: Exchange) -> None:
        self._send = send
        self.exchange = exchange  # what is noted of the request for those who watch
        self._writer: Writer | None = None  # of a stream
        self.format = format  # in which errors are told
        self.is_started = False
        self.status = 0  # 0: none was sent
        self.trace_id = "-"  # of the request, where it has one; errors tell it

    def json(self, body: Any, *, status: int = 200, headers: Headers = ()) -> Awaitable[None]:
        """Returns what sends the whole reply."""
        content = body if isinstance(body, bytes) else encode_json(body)
        return self._whole(content, _JSON, status=status, headers=headers)

    def text(self, content: bytes, *, content_type: bytes, headers: Headers = ()) -> Awaitable[None]:
        """Returns what sends the whole reply."""
        return self._whole(content, (b"content-type", content_type), status=200, headers=headers)

    async def begin_events(self, headers: Headers, writer: Writer) -> None:
        """Sends what goes before the first event; `writer` puts an error that comes later."""
        self._writer = writer
        await self._start(200, [*_EVENTS, *headers])

    def events(self, content: bytes) -> Awaitable[None]:
        """Returns what sends events that belong together."""
        return self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end_events(self) -> None:
        """Ends a stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def fail(self, error: HttpError) -> None:
        """Tells the error: as the reply, or as the last event of a stream that had begun."""
        if not self.is_started:
            headers = dict(error.headers)
            if self.trace_id != "-":
                headers["x-penstock-trace-id"] = self.trace_id
            body = error.verbatim or self.format.error_body(error, trace_id=self.trace_id)
            await self.json(body, status=error.status, headers=encode_headers(headers))
        elif self._writer is not None:
            await self.events(self._writer.failure(error))
            await self.end_events()

    async def _whole(self, content: bytes, kind: tuple[bytes, bytes], *, status: int, headers: Headers) -> None:
        await self._start(status, [kind, *headers, (b"content-length", b"%d" % len(content))])
        await self._send({"type": "http.response.body", "body": content})

    def _start(self, status: int, headers: Headers) -> Awaitable[None]:
        """Returns what sends the head."""
        self.is_started, self.status = True, status
        return self._send({"type": "http.response.start", "status": status, "headers": headers})
