"""One HTTP reply of the sidecar: JSON at once, or a stream of events."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from .asgi import Headers, Send
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

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_stream = False
        self.is_started = False
        self.trace_id = "-"  # of the request, where it has one; errors tell it

    async def json(self, body: Any, *, status: int = 200, headers: Headers = ()) -> None:
        """Sends the whole reply."""
        content = encode_json(body)
        length = (b"content-length", str(len(content)).encode())
        await self._start(status, [_JSON, length, *headers])
        await self._send({"type": "http.response.body", "body": content})

    async def begin_events(self, headers: Headers) -> None:
        """Sends what goes before the first event."""
        self._is_stream = True
        await self._start(200, [*_EVENTS, *headers])

    async def events(self, bodies: Iterable[Mapping[str, Any]]) -> None:
        """Sends events that belong together."""
        content = b"".join(b"data: " + encode_json(body) + b"\n\n" for body in bodies)
        if content:
            await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end_events(self) -> None:
        """Sends the last event of a stream that is whole."""
        await self._send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def fail(self, error: HttpError) -> None:
        """Tells the error: as the reply, or as the last event of a stream that had begun."""
        if not self.is_started:
            headers = dict(error.headers)
            if self.trace_id != "-":
                headers["x-penstock-trace-id"] = self.trace_id
            await self.json(error.body, status=error.status, headers=encode_headers(headers))
        elif self._is_stream:
            await self.events([error.body])
            await self._send({"type": "http.response.body", "body": b""})

    async def _start(self, status: int, headers: Headers) -> None:
        self.is_started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})


def encode_json(body: Any) -> bytes:
    """Returns a body as JSON."""
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError:
        # orjson refuses half a surrogate pair, which a model may well write.
        return json.dumps(body, default=_plain, ensure_ascii=False).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")
