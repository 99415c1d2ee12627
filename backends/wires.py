"""The connections to one address: opened when needed, through a proxy where the environment names one, and kept."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import socket
import ssl
import urllib.request
from collections import deque
from functools import cache
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from .in_turn import InTurn
from .wire import Wire, WireError

CONNECT_S = 10.0  # at most; a machine that is there answers sooner
_IDLE_S = 15.0  # less than servers wait before they close a connection, perhaps just as we use it again
_PIECES_A_TURN = 2  # of streams that have begun: new requests and first pieces wait for no more than these
_NEXT_ADDRESS_S = 0.25  # after which the next address of a host is tried beside the first (RFC 8305, section 5)


class NoConnection(WireError):
    """There was none in time, or the proxy refused one."""


class Wires:
    """Connections to the host of a URL. `connect_s`: how long one may take to be opened.

    Raises:
        ValueError: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, *, connect_s: float) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._is_secure = parts.scheme == "https"
        self._port = parts.port or (443 if self._is_secure else 80)
        self._connect_s = connect_s
        self._proxy = proxy = _proxy_of(url)
        self._where = f"the proxy {proxy.host}, port {proxy.port}" if proxy else f"{self._host}, port {self._port}"
        self._idle: deque[Wire] = deque()
        self._in_use: set[Wire] = set()
        self._is_closed = False
        self._in_turn = InTurn(_PIECES_A_TURN)
        host = parts.netloc.rpartition("@")[2]
        self.head = f"host: {host}\r\n"  # what every request says
        self._origin = ""
        if self._proxy and not self._is_secure:
            self._origin = f"{parts.scheme}://{host}"
            self.head += self._proxy.head

    def target(self, path: str) -> str:
        """Returns what a request's first line names: all of the address where a proxy is asked to pass it on."""
        return self._origin + path

    def kept(self, now: float) -> Wire | None:
        """Returns a connection that was kept and is nobody else's, to be given back; None where one has to be opened.

        `now` is the time of the event loop.
        """
        oldest = now - _IDLE_S
        while self._idle and (self._idle[0].idle_since < oldest or not self._idle[0].is_reusable):
            self._idle.popleft().close()
        while self._idle:
            wire = self._idle.pop()  # the one used last, so that those too many grow old
            if wire.is_reusable:
                self._in_use.add(wire)
                return wire
        return None

    async def open(self, *, deadline: float = math.inf) -> Wire:
        """Returns a new connection that is nobody else's, to be given back.

        Raises:
            NoConnection: none could be opened, or not in time.
            TimeoutError: `deadline`, in the time of the event loop, has passed.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(min(loop.time() + self._connect_s, deadline)):
                wire = await self._open()
        except TimeoutError as error:
            if loop.time() >= deadline:
                raise
            raise NoConnection(f"no connection to {self._where} within {self._connect_s:g} s") from error
        except OSError as error:
            raise NoConnection(f"no connection to {self._where}: {_reason(error)}") from error
        if self._is_closed:  # meanwhile
            wire.close()
            raise NoConnection("the backend is closed")
        self._in_use.add(wire)
        return wire

    def give(self, wire: Wire) -> None:
        """Takes a connection back; where its reply was not read to the end it is closed, which ends the call there."""
        self._in_use.discard(wire)
        if wire.is_reusable:
            wire.rest()
            self._idle.append(wire)
        else:
            wire.close()

    async def aclose(self) -> None:
        """Closes every connection, those that are being opened as soon as they are; may be called twice."""
        self._is_closed = True
        while self._idle:
            self._idle.pop().close()
        for wire in self._in_use:
            wire.close()
        await asyncio.sleep(0)  # transports close at the loop's next turn

    async def _open(self) -> Wire:
        loop, proxy = asyncio.get_running_loop(), self._proxy
        host, port = (proxy.host, proxy.port) if proxy else (self._host, self._port)
        found = await loop.getaddrinfo(host, port, type=1)  # SOCK_STREAM
        sock = await aiohappyeyeballs.start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1)
        try:
            is_secured_here = self._is_secure and proxy is None
            security: dict[str, Any] = {"ssl": _tls(), "server_hostname": self._host} if is_secured_here else {}
            _, wire = await loop.create_connection(lambda: Wire(self._in_turn), sock=sock, **security)
        except BaseException:
            sock.close()
            raise
        return await self._tunnelled(wire, proxy) if proxy and self._is_secure else wire

    async def _tunnelled(self, wire: Wire, proxy: _Proxy) -> Wire:
        """Returns a connection to the host itself, through a proxy that does not see what goes over it."""
        loop = asyncio.get_running_loop()
        try:
            address = f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"
            head = f"CONNECT {address} HTTP/1.1\r\nhost: {address}\r\n{proxy.head}\r\n"
            await wire.ask(head.encode("latin-1"), b"", deadline=loop.time() + self._connect_s)
            if wire.status != 200:
                raise NoConnection(f"the proxy {proxy.host} refuses: HTTP {wire.status}")
            inner = Wire(self._in_turn)
            transport = await loop.start_tls(wire.transport, inner, _tls(), server_hostname=self._host)
            assert transport is not None  # it raises where there is none
            inner.connection_made(transport)
        except BaseException:
            wire.close()
            raise
        return inner


class _Proxy:
    """A proxy for HTTP, by its URL, in which there may be a name and a password.

    Raises:
        ValueError: it is of another kind; to one over TLS, the password would go in the clear.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            self.host, self.port = parts.hostname or "", parts.port or 80
        except ValueError:
            self.host = ""
        if not self.host or parts.scheme != "http":  # without the URL, in which there may be a password
            raise ValueError("the environment names a proxy that cannot be used; expected http://host:port")
        self.head = ""
        if parts.username is not None:
            login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self.head = f"proxy-authorization: Basic {base64.b64encode(login).decode()}\r\n"


def _proxy_of(url: str) -> _Proxy | None:
    """Returns the proxy that the environment asks for (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`, ...), if any."""
    parts = urlsplit(url)
    # `NO_PROXY` may name a port too, and IPv6 addresses stand there without brackets.
    if any(map(urllib.request.proxy_bypass, (parts.netloc, parts.hostname or ""))):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return _Proxy(found) if found else None


def _reason(error: OSError) -> str:
    """Returns what the system says, without its number: asyncio's own words name the address, of one or of many."""
    if isinstance(error, socket.gaierror | ssl.SSLError) or not error.errno:
        return error.strerror or str(error)
    return os.strerror(error.errno)


@cache
def _tls() -> ssl.SSLContext:
    """Returns how secure connections are made; it reads every certificate of the system, hence once."""
    return ssl.create_default_context()
