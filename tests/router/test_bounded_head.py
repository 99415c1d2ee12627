"""What comes before the body of a request is bounded, over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from penstock.router.bounded_head import MAX_HEAD_BYTES
from penstock.router.server import Sidecar

from .serving import PATIENCE_S, make_router, serving

BEGINNING = b"GET /healthz HTTP/1.1\r\nhost: a\r\n"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[socket.socket]:
    with serving(Sidecar(make_router(tmp_path))) as url:
        parts = urlsplit(url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE_S) as made:
            yield made


@pytest.mark.parametrize("sent", [b"x: %s\r\n" % (b"y" * 1000), b"x: " + b"y" * 1000], ids=["many", "one"])
def test_a_head_without_end_is_refused_and_its_connection_ended(connection: socket.socket, sent: bytes) -> None:
    connection.sendall(BEGINNING)
    try:
        for _ in range(50 * MAX_HEAD_BYTES // 1000):
            connection.sendall(sent)
    except OSError:  # it has ended
        return
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
