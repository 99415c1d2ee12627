"""HTTP/1.1 as the sidecar's server speaks it, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from penstock.router.asgi import ON_GONE
from penstock.router.connection import MAX_HEAD_BYTES
from penstock.router.server import Sidecar

from .serving import PATIENCE_S, make_router, serving

BEGINNING = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"


@contextlib.contextmanager
def connected(app: Any, **options: Any) -> Iterator[socket.socket]:
    """Yields a connection to an application."""
    with serving(app, **options) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE_S) as made:
            yield made


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[socket.socket]:
    with connected(Sidecar(make_router(tmp_path))) as made:
        yield made


class App:
    """An ASGI application that answers with what came: the method, the path and the body."""

    def __init__(self, *, pieces: int = 1, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        self.pieces = pieces
        self.headers = headers
        self.headers_seen: list[Any] = []  # of the latest request
        self.events: list[Any] = []  # all that were received
        self.n_sent = 0
        self.wait_first: Callable[[], Any] | None = None  # before it reads
        self.wait: Callable[[], Any] | None = None  # before it answers

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves one request, or its own life."""
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
            return
        body, has_more = b"", True
        if self.wait_first is not None:
            await self.wait_first()
        self.headers_seen = scope["headers"]
        while has_more:
            event = await receive()
            self.events.append(event)
            if event["type"] == "http.disconnect":
                return
            body += event["body"]
            has_more = event["more_body"]
        if self.wait is not None:
            await self.wait()
        told = b"%b %b %b" % (scope["method"].encode(), scope["path"].encode(), body)
        await send({"type": "http.response.start", "status": 200, "headers": list(self.headers)})
        for left in reversed(range(self.pieces)):
            await send({"type": "http.response.body", "body": told, "more_body": left > 0})
            self.n_sent += 1


def is_so(test: Callable[[], object]) -> bool:
    """Returns whether that becomes true."""
    end = time.monotonic() + PATIENCE_S
    while not test() and time.monotonic() < end:
        time.sleep(0.01)
    return bool(test())


def read_until(connection: socket.socket, end: bytes) -> bytes:
    """Returns what comes up to `end`, or until the other side closes."""
    read = bytearray()
    while not read.endswith(end) and (piece := connection.recv(1 << 16)):
        read += piece
    return bytes(read)


@pytest.mark.parametrize("sent", [b"x: %s\r\n" % (b"y" * 1000), b"x: " + b"y" * 1000], ids=["many", "one"])
def test_a_head_without_end_is_refused_and_its_connection_ended(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(BEGINNING)
    try:
        for _ in range(50 * MAX_HEAD_BYTES // 1000):
            connection.sendall(sent)
    except OSError:  # it has ended
        return
    assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("kind", ["headers", "address"])
def test_a_head_that_is_too_large_is_refused_also_where_it_comes_at_once(connection: socket.socket, kind: str) -> None:
    filled = b"y" * (MAX_HEAD_BYTES + 1)
    head = BEGINNING + b"x: " + filled if kind == "headers" else b"GET /healthz?" + filled + b" HTTP/1.1\r\nhost: x"
    connection.sendall(head + b"\r\n\r\n")
    assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_every_head_on_a_connection_may_be_that_large(connection: socket.socket) -> None:
    large = BEGINNING + b"x: " + b"y" * (MAX_HEAD_BYTES * 3 // 4) + b"\r\n\r\n"
    for _ in range(3):
        connection.sendall(large[:100])
        connection.sendall(large[100:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_head_that_begins_behind_a_large_body_is_as_large_as_it_is(connection: socket.socket) -> None:
    body = b"y" * 2 * MAX_HEAD_BYTES
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    connection.sendall(head + body + BEGINNING)
    assert connection.recv(10_000).startswith(b"HTTP/1.1 400 ")
    connection.sendall(b"\r\n")
    assert connection.recv(10_000).startswith(b"HTTP/1.1 200 ")


def test_a_large_body_is_none_of_its_business(connection: socket.socket) -> None:
    body = b'{"model": "auto", "messages": "%s"}' % (b"y" * 10 * MAX_HEAD_BYTES)
    connection.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    connection.sendall(body)
    assert connection.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_what_is_no_http_is_told_so_and_its_connection_ended(connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
    read = read_until(connection, b"no end")
    assert read.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in read


def test_a_body_that_breaks_off_in_nonsense_is_refused_and_the_application_told() -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n")
        assert read_until(connection, b"no end").startswith(b"HTTP/1.1 400 ")
    assert app.events[-1]["type"] == "http.disconnect"


def test_a_request_before_nonsense_is_answered() -> None:
    app = App()
    app.wait = lambda: asyncio.sleep(0.05)
    with connected(app) as connection:
        connection.sendall(b"GET /one HTTP/1.1\r\nhost: a\r\n\r\n\x16\x03\x01 hello\r\n\r\n")
        read = read_until(connection, b"no end")
    assert read.count(b"HTTP/1.1 200 ") == 1
    assert b"GET /one " in read
    assert b"HTTP/1.1 400" not in read


def test_requests_that_come_together_are_answered_in_their_order() -> None:
    app = App()
    app.wait = lambda: asyncio.sleep(0.02)
    sent = b"".join(
        b"POST /%d HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nbody%d" % (number, number) for number in range(5)
    )
    with connected(app) as connection:
        connection.sendall(sent)
        read = read_until(connection, b"body4\r\n0\r\n\r\n")
    places = [read.index(b"POST /%d body%d" % (number, number)) for number in range(5)]
    assert places == sorted(places)


def test_what_comes_behind_the_last_request_of_a_connection_is_not_answered() -> None:
    with connected(App()) as connection:
        connection.sendall(b"GET /a HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\nGET /b HTTP/1.1\r\nhost: a\r\n\r\n")
        read = read_until(connection, b"no end")
    assert b"GET /a" in read
    assert b"GET /b" not in read


def test_a_body_in_pieces_is_one_body() -> None:
    with connected(App()) as connection:
        connection.sendall(b"POST /a%20b?c=d HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
        time.sleep(0.02)
        connection.sendall(b"3\r\ndef\r\n0\r\n\r\n")
        assert b"POST /a b abcdef" in read_until(connection, b"0\r\n\r\n")


CHUNKED = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"


def test_what_stands_behind_a_body_is_no_header() -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(CHUNKED + b"3\r\nabc\r\n0\r\nauthorization: Bearer other\r\n\r\n")
        assert b"POST / abc" in read_until(connection, b"0\r\n\r\n")
    assert dict(app.headers_seen) == {b"host": b"a", b"transfer-encoding": b"chunked"}


def test_what_stands_behind_a_body_is_bounded_too() -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(CHUNKED + b"3\r\nabc\r\n0\r\nx: ")
        with contextlib.suppress(OSError):  # it has ended
            for _ in range(50 * MAX_HEAD_BYTES // 1000):
                connection.sendall(b"y" * 1000)
        assert is_so(lambda: app.events and app.events[-1]["type"] == "http.disconnect")


def test_a_body_of_many_small_chunks_is_none_of_its_business() -> None:
    n_chunks = 3 * MAX_HEAD_BYTES // 6
    with connected(App()) as connection:
        connection.sendall(CHUNKED)
        for _ in range(8):
            connection.sendall(b"1\r\nx\r\n" * (n_chunks // 8))
        connection.sendall(b"0\r\n\r\n")
        assert b"x" * (n_chunks // 8 * 8) in read_until(connection, b"\r\n0\r\n\r\n")


def test_a_body_of_large_chunks_is_none_of_its_business() -> None:
    body = b"x" * 2 * MAX_HEAD_BYTES
    size = b"%x\r\n" % len(body)
    app = App()
    with connected(app) as connection:
        connection.sendall(CHUNKED + size)
        for _ in range(5):
            connection.sendall(body + b"\r\n" + size)  # what comes ends where a chunk begins
            time.sleep(0.02)
        connection.sendall(body + b"\r\n0\r\n\r\n")
        assert body * 6 in read_until(connection, b"\r\n0\r\n\r\n")


def test_requests_for_an_upgrade_may_come_together() -> None:
    asked = b"GET /%d HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n"
    with connected(App()) as connection:
        connection.sendall(b"".join(asked % number for number in range(1200)))
        read = b""
        while b"/1199 " not in read:
            read += connection.recv(1 << 16)
    assert read.count(b"HTTP/1.1 200 ") == 1200


def test_a_client_that_asks_is_told_to_send_its_body() -> None:
    with connected(App()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"abc")
        assert b"POST / abc" in read_until(connection, b"0\r\n\r\n")


def test_a_client_that_was_answered_before_it_sent_its_body_need_not_send_it(tmp_path: Path) -> None:
    with connected(Sidecar(make_router(tmp_path), max_body_bytes=10)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 30\r\n"
            b"expect: 100-continue\r\n\r\n"
        )
        read = read_until(connection, b"no end")  # else the next request would be taken for the body
    assert read.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in read


def test_no_body_answers_head() -> None:
    with connected(App(headers=((b"content-length", b"7"),))) as connection:
        connection.sendall(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n" + BEGINNING + b"\r\n")
        read = read_until(connection, b"GET /healthz ")
    assert read.count(b"HTTP/1.1 200 ") == 2
    assert b"HEAD / " not in read


@pytest.mark.parametrize("version", [b"0.9", b"1.0", b"2.0"])
def test_a_client_of_another_version_gets_a_reply_that_ends_with_the_connection(version: bytes) -> None:
    with connected(App(pieces=2)) as connection:
        connection.sendall(b"GET / HTTP/%b\r\n\r\n" % version)
        head, _, body = read_until(connection, b"no end").partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert body == b"GET / GET / "


def test_an_upgrade_is_passed_over() -> None:
    asked = b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAEAAEAA\r\n"
    with connected(App()) as connection:
        for body in (b"", b"abc", b"x" * 300_000):
            head = (POST % len(body)).replace(b"\r\n", b"\r\n" + asked, 1)
            connection.sendall(head[:50])
            time.sleep(0.01)
            connection.sendall(head[50:] + body[:2])
            time.sleep(0.01)
            connection.sendall(body[2:])
            assert b"POST / %b\r\n" % body in read_until(connection, b"\r\n0\r\n\r\n")


def test_a_tunnel_is_refused() -> None:
    with connected(App()) as connection:
        connection.sendall(b"CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n")
        assert read_until(connection, b"no end").startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("line_break", [b"\r\n", b"\n", b"\r"])
def test_a_header_with_a_line_break_is_never_sent(line_break: bytes) -> None:
    with connected(App(headers=((b"x-a", b"b%bset-cookie: c=d" % line_break),))) as connection:
        connection.sendall(BEGINNING + b"\r\n")
        assert read_until(connection, b"no end") == b""


def test_a_client_that_does_not_read_holds_the_application_back() -> None:
    app = App(pieces=300)
    with connected(app) as connection:
        body = b"x" * 60_000
        connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        time.sleep(0.2)
        n_sent = app.n_sent
        read = read_until(connection, b"\r\n0\r\n\r\n")
    assert n_sent < 300
    assert read.count(b"POST / ") == 300


def test_a_large_reply_comes_whole() -> None:
    with connected(App()) as connection:
        body = b"x" * 500_000
        connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
        assert body in read_until(connection, b"\r\n0\r\n\r\n")


def test_a_connection_that_was_busy_when_it_was_looked_at_is_closed_as_soon_as_others() -> None:
    app = App()
    app.wait = lambda: asyncio.sleep(0.6)
    with connected(app, timeout_keep_alive=0.5) as connection:
        connection.sendall(BEGINNING + b"\r\n")
        read_until(connection, b"0\r\n\r\n")
        assert connection.recv(100) == b""


def test_a_connection_on_which_nothing_is_asked_is_closed() -> None:
    with connected(App(), timeout_keep_alive=1.0) as connection:
        for _ in range(5):  # as long as something is, it stays
            connection.sendall(BEGINNING + b"\r\n")
            read_until(connection, b"0\r\n\r\n")
            time.sleep(0.25)
        assert connection.recv(100) == b""


def test_a_reply_that_takes_longer_than_connections_are_kept_comes() -> None:
    app = App()
    app.wait = lambda: asyncio.sleep(0.3)
    with connected(app, timeout_keep_alive=0.1) as connection:
        connection.sendall(BEGINNING + b"\r\n")
        assert b"GET /healthz" in read_until(connection, b"0\r\n\r\n")


def test_a_client_that_leaves_is_told_of() -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na")
        while not app.events:
            time.sleep(0.01)
        connection.close()
        end = time.monotonic() + PATIENCE_S
        while len(app.events) < 2 and time.monotonic() < end:
            time.sleep(0.01)
    assert app.events[-1] == {"type": "http.disconnect"}


def test_a_client_that_leaves_after_a_large_body_is_told_of() -> None:
    app = LeftApp()
    app.wait_first = lambda: asyncio.sleep(0.1)  # so that it has all come, and more than is taken unread

    async def wait() -> None:
        while not app.left:
            await asyncio.sleep(0.01)

    app.wait = wait
    with connected(app) as connection:
        connection.sendall(POST % 70_000 + b"x" * 70_000)
        assert is_so(lambda: app.events and not app.events[-1]["more_body"])
        connection.close()
        assert is_so(lambda: app.left)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a request slow that takes half a second, and another for every 1,000 bytes of its body."""
    monkeypatch.setattr("penstock.router.connection.PATIENCE_S", 0.5)
    monkeypatch.setattr("penstock.router.connection.SLOWEST", 2000)


def drip(connection: socket.socket) -> bytes:
    """Returns what comes of sending one sign after the other for longer than a request may take."""
    for _ in range(8):
        try:
            connection.sendall(b"x")
        except OSError:  # it has ended
            break
        time.sleep(0.08)
    return read_until(connection, b"no end")


POST = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n"


def test_a_head_that_comes_drop_by_drop_is_refused_and_its_connection_ended(impatient: None) -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(BEGINNING + b"\r\n")  # the one before was quick
        assert read_until(connection, b"0\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        connection.sendall(BEGINNING)
        assert drip(connection).startswith(b"HTTP/1.1 408 ")
    assert len(app.events) == 1


def test_a_body_that_comes_drop_by_drop_is_refused_and_the_application_told(impatient: None) -> None:
    app = App()
    with connected(app) as connection:
        connection.sendall(POST % 20)
        read = drip(connection)
    assert read.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in read
    assert app.events[-1]["type"] == "http.disconnect"


def test_a_large_body_may_take_longer(impatient: None) -> None:
    with connected(App()) as connection:
        connection.sendall(POST % 6000)
        for _ in range(12):
            connection.sendall(b"x" * 500)
            time.sleep(0.06)
        assert b"x" * 6000 in read_until(connection, b"0\r\n\r\n")


def test_the_rest_of_a_body_that_was_answered_all_the_same_is_not_waited_for_and_not_answered_again(
    tmp_path: Path, impatient: None
) -> None:
    app = Sidecar(make_router(tmp_path), max_body_bytes=10)
    with connected(app) as connection:
        connection.sendall((POST % 1000).replace(b"/ ", b"/v1/chat/completions ", 1).replace(b": a", b": 127.0.0.1"))
        read = drip(connection)
    assert read.startswith(b"HTTP/1.1 413 ")
    assert read.count(b"HTTP/1.1") == 1


def test_a_request_that_we_do_not_read_yet_is_not_slow(impatient: None) -> None:
    app = App()
    app.wait = lambda: asyncio.sleep(0.7)
    with connected(app) as connection:
        connection.sendall(POST % 1 + b"a" + POST % 2 + b"b")
        read_until(connection, b"POST / a\r\n0\r\n\r\n")
        connection.sendall(b"c")
        assert b"POST / bc" in read_until(connection, b"POST / bc\r\n0\r\n\r\n")


class LeftApp(App):
    """Notes of which of its requests the client left before the reply."""

    def __init__(self) -> None:
        super().__init__()
        self.left: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            scope["extensions"][ON_GONE](lambda: self.left.append(scope["path"]))
            if scope["path"] == "/answered":
                scope["extensions"][ON_GONE](None)
        await super().__call__(scope, receive, send)


def test_the_application_is_called_when_a_client_leaves_and_not_when_it_is_answered() -> None:
    app = LeftApp()
    with connected(app) as connection:
        connection.sendall(b"GET /answered HTTP/1.1\r\nhost: a\r\n\r\n")
        read_until(connection, b"0\r\n\r\n")
        connection.sendall(b"POST /left HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\na")
        while len(app.events) < 2:
            time.sleep(0.01)
        connection.close()
        end = time.monotonic() + PATIENCE_S
        while not app.left and time.monotonic() < end:
            time.sleep(0.01)
    assert app.left == ["/left"]


def test_nothing_is_sent_behind_a_refusal() -> None:
    app = App()
    app.wait_first = lambda: asyncio.sleep(0)
    with connected(app) as connection:
        connection.sendall(CHUNKED + b"11170\r\n" + b"x" * 70_000 + b"\r\nnonsense\r\n")
        read = read_until(connection, b"no end")
        assert is_so(lambda: app.events)
    assert read.count(b"HTTP/1.1 ") == 1
    assert app.events == [{"type": "http.disconnect"}]


class EarlyApp(App):
    """Begins its reply before it reads."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await super().__call__(scope, receive, send)


def test_no_refusal_is_sent_into_a_reply_that_has_begun() -> None:
    with connected(EarlyApp()) as connection:
        connection.sendall(CHUNKED)
        read_until(connection, b"begun\r\n")
        connection.sendall(b"nonsense\r\n")
        assert read_until(connection, b"no end") == b""


def test_a_connection_is_cut_whose_client_does_not_take_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.router.connection.STUCK_S", 0.2)
    with connected(App()) as connection:
        body = b"x" * 20_000_000  # more than is on the way
        connection.sendall(POST.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) % len(body) + body)
        connection.recv(1, socket.MSG_PEEK)  # until the answer has begun
        time.sleep(2.0)
        n_read = 0
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(1 << 20):
                n_read += len(piece)
    assert 0 < n_read < len(body)


def test_a_client_may_take_the_rest_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.router.connection.STUCK_S", 1.0)
    with connected(App()) as connection:
        body = b"x" * 20_000_000
        connection.sendall(POST.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) % len(body) + body)
        n_read = 0
        while piece := connection.recv(1 << 20):
            n_read += len(piece)
            time.sleep(0.06)
    assert n_read > len(body)
