"""One backend's HTTP connections: bounded in number, time and size, with errors of our own.

This is the only file that knows the HTTP client. `python benchmarks/http_client.py` shows why it is aiohttp: it
spends less than half the CPU time on a call that httpx and httpx2 do.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy

from .errors import BackendError, BackendTimeout, BackendUnreachable, MalformedReply
from .failures import Refusal, failure, read_refusal, redact
from .spec import BackendSpec, Timeouts

MAX_REPLY_BYTES = 64 << 20
MAX_REFUSAL_BYTES = 64 << 10  # of the body of an error
LARGE_BYTES = 1 << 19  # of a request
DRAIN_S = 0.2
CONNECT_S = 10.0  # at most; a machine that is there answers sooner


class CallClock:
    """Measures one call and says by when the next piece of its reply must have come."""

    __slots__ = ("_loop", "_start", "_timeouts", "first_token_s", "waits_for_first_token")

    def __init__(self, timeouts: Timeouts, *, waits_for_first_token: bool) -> None:
        self._loop = asyncio.get_running_loop()
        self._start = self._loop.time()
        self._timeouts = timeouts
        self.waits_for_first_token = waits_for_first_token
        self.first_token_s: float | None = None

    def see_token(self) -> None:
        """Notes the first token: from now on only the total counts."""
        if self.first_token_s is None:
            self.first_token_s = self.elapsed_s

    @property
    def elapsed_s(self) -> float:
        """Seconds since the call began."""
        return self._loop.time() - self._start

    @property
    def deadline(self) -> float:
        """When to give up, in the event loop's time."""
        return self._start + self._limit_s

    @property
    def _limit_s(self) -> float:
        is_waiting = self.waits_for_first_token and self.first_token_s is None
        return min(self._timeouts.first_token_s, self._timeouts.total_s) if is_waiting else self._timeouts.total_s

    def timeout(self, backend: str) -> BackendTimeout:
        """Returns the error for a deadline that has passed."""
        missing = "no first token" if self._limit_s < self._timeouts.total_s else "no complete answer"
        return BackendTimeout(f"{missing} within {self._limit_s:g} s", backend=backend)


class Reply:
    """An accepted reply whose body is still to be read."""

    def __init__(self, response: aiohttp.ClientResponse, connections: Connections, clock: CallClock) -> None:
        self._response = response
        self._connections = connections
        self._clock = clock
        self._size = 0

    @property
    def is_event_stream(self) -> bool:
        """Whether the body is a stream of events, as opposed to one JSON value."""
        return self._response.headers.get("content-type", "").startswith("text/event-stream")

    def expect_whole(self) -> None:
        """Notes that no first token will come ahead of the rest."""
        self._clock.waits_for_first_token = False

    async def read(self) -> bytes:
        """Returns the next piece of the body as it arrives; empty at the end.

        Raises:
            BackendError: it stops, takes too long or grows too large.
        """
        connections, clock = self._connections, self._clock
        async with connections.translated(clock, has_begun=True), asyncio.timeout_at(clock.deadline):
            piece = await self._response.content.readany()
        self._size += len(piece)
        if self._size > MAX_REPLY_BYTES:
            raise MalformedReply(f"the reply is larger than {MAX_REPLY_BYTES >> 20} MB", backend=connections.backend)
        return piece

    async def drain(self) -> None:
        """Reads what little follows the last event, so that the connection can serve another call."""
        with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(DRAIN_S):
                while await self._response.content.readany():
                    pass

    async def body(self) -> bytes:
        """Returns the whole body.

        Raises:
            BackendError: as for `read`.
        """
        pieces = []
        while piece := await self.read():
            pieces.append(piece)
        return b"".join(pieces)


class Connections:
    """The connections of one backend, opened when first needed and kept.

    `secrets` are hidden from everything that leaves here as an error.
    """

    def __init__(self, spec: BackendSpec, base_url: str, headers: Mapping[str, str], *, secrets: Sequence[str]) -> None:
        self.backend = spec.name
        self._format = spec.format
        self._base_url = base_url
        self._headers = {
            "content-type": "application/json",
            "accept-encoding": "identity",  # a proxy that compresses a stream holds tokens back
            "user-agent": "penstock",
            **{name.lower(): value for name, value in headers.items()},
        }
        self._secrets = tuple(secret for secret in secrets if secret)
        self._timeouts = spec.timeout
        self.slots = asyncio.Semaphore(spec.limits.concurrency)  # every call is made inside one of these
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def post(
        self, path: str, body: bytes, clock: CallClock, *, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[Reply]:
        """Yields the reply to a request as soon as the provider has accepted it; leaving closes it.

        `headers` go over those of the backend.

        Raises:
            BackendError: there is no connection, no reply in time, or a refusal.
        """
        async with self.translated(clock, has_begun=False), asyncio.timeout_at(clock.deadline):
            data = io.BytesIO(body) if len(body) >= LARGE_BYTES else body  # sent in pieces, others get their turn
            response = await self._opened().post(
                self._base_url + path,
                data=data,
                headers={**self._headers, **headers} if headers else self._headers,
                allow_redirects=False,
            )
        try:
            reply = Reply(response, self, clock)
            if response.status != 200:
                raise await self._refused(response, reply)
            yield reply
        finally:
            # Closes the connection where the body was not read to its end: that is how a call is cancelled.
            response.close()

    async def aclose(self) -> None:
        """Closes every connection; may be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def hidden(self, text: str) -> str:
        """Returns `text` without secrets."""
        return redact(text, self._secrets)

    def reported(self, refusal: Refusal) -> BackendError:
        """Returns the error for a failure that a provider reports in a reply that began as a success."""
        return failure(refusal, backend=self.backend, status=None, secrets=self._secrets, format=self._format)

    def translated(self, clock: CallClock, *, has_begun: bool) -> _Translation:
        """Returns a context in which the client's errors become ours; `has_begun` where the reply has."""
        return _Translation(self, clock, has_begun)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connect_s = min(CONNECT_S, self._timeouts.total_s)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0),  # the semaphore is the limit
                cookie_jar=aiohttp.DummyCookieJar(),  # calls must not depend on earlier ones
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_s),
                # Not trust_env: it would look for a proxy and a .netrc again at every call, in a thread.
                proxy=_proxy_of(self._base_url),
            )
        return self._session

    async def _refused(self, response: aiohttp.ClientResponse, reply: Reply) -> BackendError:
        """Returns the error for a status other than 200."""
        if 300 <= response.status < 400:
            refusal = Refusal(message="redirects are not followed; give the final address as base_url")
        else:
            refusal = read_refusal(await _beginning(reply))
        headers = {name.lower(): value for name, value in response.headers.items()}
        return failure(
            refusal,
            backend=self.backend,
            status=response.status,
            headers=headers,
            secrets=self._secrets,
            format=self._format,
        )


class _Translation:
    """An async context that turns the client's errors into ours; a class, since it is entered for every piece."""

    __slots__ = ("_clock", "_connections", "_has_begun")

    def __init__(self, connections: Connections, clock: CallClock, has_begun: bool) -> None:
        self._connections = connections
        self._clock = clock
        self._has_begun = has_begun

    async def __aenter__(self) -> None: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, aiohttp.ClientError | OSError | ValueError):
            return
        backend = self._connections.backend
        words = self._connections.hidden(str(error)) or type(error).__name__
        if isinstance(error, aiohttp.ServerTimeoutError):
            raise BackendUnreachable(f"no connection within {CONNECT_S:g} s", backend=backend) from error
        if isinstance(error, TimeoutError):
            raise self._clock.timeout(backend) from error
        if isinstance(error, aiohttp.ClientPayloadError):
            raise MalformedReply(f"the reply was cut: {words}", backend=backend) from error
        if isinstance(error, aiohttp.ClientResponseError):
            # It carries the request's headers, key included, into every repr of it.
            info = error.request_info
            error.request_info = aiohttp.RequestInfo(info.url, info.method, CIMultiDictProxy(CIMultiDict()))
            error.args = ()
            raise MalformedReply(f"the reply is not HTTP: {words}", backend=backend) from error
        if self._has_begun:
            raise BackendUnreachable(f"the connection was lost: {words}", backend=backend) from error
        raise BackendUnreachable(words, backend=backend) from error


def _proxy_of(url: str) -> str | None:
    """Returns the proxy that the environment asks for (`HTTPS_PROXY`, `NO_PROXY`, ...), if any."""
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


async def _beginning(reply: Reply) -> bytes:
    """Returns as much of an error's body as is worth reading, or what came before it broke off."""
    read = b""
    with contextlib.suppress(BackendError):
        while len(read) < MAX_REFUSAL_BYTES and (piece := await reply.read()):
            read += piece
    return read
