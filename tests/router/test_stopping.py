"""What the server does for those who are connected when it is asked to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from penstock.router import connection
from penstock.router.commands.serve import _Server, listen
from penstock.router.server import Sidecar

from .serving import PATIENCE_S, make_router

REQUEST = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"

pytestmark = pytest.mark.usefixtures("usual_collections")


@pytest.fixture
def usual_collections() -> Iterator[None]:
    """Undoes what a server sets for the whole process."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves requests on their way as much time as a busy machine may take."""
    monkeypatch.setattr(connection, "_LINGER_S", PATIENCE_S)


class Served:
    """A server on the loop of the test, and its socket."""

    def __init__(self, app: Sidecar) -> None:
        self.server = _Server(app, lambda: None, is_watched=False)
        self.listener = listen("127.0.0.1", 0)

    def connect(self) -> socket.socket:
        """Returns a connection, which waits to be accepted for as long as the loop does nothing else."""
        client = socket.create_connection(self.listener.getsockname(), timeout=PATIENCE_S)
        client.setblocking(False)
        return client

    async def connected(self) -> socket.socket:
        """Returns one that was accepted."""
        client = self.connect()
        while not self.server.server_state.connections:
            await asyncio.sleep(0)
        return client

    def stop(self) -> asyncio.Task[None]:
        """Asks it to stop."""
        return asyncio.create_task(self.server.shutdown([self.listener]))


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[Served]:
    made = Served(Sidecar(make_router(folder)))
    made.server.config.load()
    made.server.lifespan = made.server.config.lifespan_class(made.server.config)
    async with asyncio.timeout(PATIENCE_S):
        await made.server.startup(sockets=[made.listener])
        yield made


async def received(client: socket.socket) -> bytes:
    """Returns all that comes until the server closes."""
    loop, told = asyncio.get_running_loop(), b""
    while piece := await loop.sock_recv(client, 1 << 16):
        told += piece
    return told


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_who_has_connected_and_waits_to_be_accepted_is_answered(tmp_path: Path, loop: str) -> None:
    async def ask() -> None:
        async with served(tmp_path) as made:
            with made.connect() as client:
                client.sendall(REQUEST)
                await made.server.shutdown([made.listener])  # at once, before the loop can accept anybody
                assert (await received(client)).startswith(b"HTTP/1.1 200 ")

    with asyncio.Runner(loop_factory=pytest.importorskip(loop).new_event_loop) as runner:
        runner.run(ask())


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("sent_before", [b"", REQUEST[:10]], ids=["nothing yet", "half a head"])
def test_a_request_that_is_on_its_way_is_answered_and_the_last(tmp_path: Path, sent_before: bytes) -> None:
    async def ask() -> None:
        async with served(tmp_path) as made:
            with await made.connected() as client:
                client.sendall(sent_before)
                await asyncio.sleep(0.02)
                stopping = made.stop()
                await asyncio.sleep(0.05)
                client.sendall(REQUEST[len(sent_before) :])
                told = await received(client)
                assert told.startswith(b"HTTP/1.1 200 ")
                assert b"\r\nconnection: close\r\n" in told
                await stopping

    asyncio.run(ask())


@pytest.mark.usefixtures("patient")
def test_a_kept_connection_gets_one_more_reply(tmp_path: Path) -> None:
    async def ask() -> None:
        async with served(tmp_path) as made:
            with await made.connected() as client:
                client.sendall(REQUEST)
                first = await asyncio.get_running_loop().sock_recv(client, 1 << 16)
                assert b"connection: close" not in first
                stopping = made.stop()
                await asyncio.sleep(0.05)
                client.sendall(REQUEST)
                assert b"\r\nconnection: close\r\n" in await received(client)
                await stopping

    asyncio.run(ask())


@pytest.mark.parametrize("sent", [b"", REQUEST[:10], REQUEST], ids=["nothing", "half a head", "a request before"])
def test_who_asks_nothing_more_is_not_waited_for(tmp_path: Path, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        async with served(tmp_path) as made:
            with await made.connected() as client:
                client.sendall(sent)
                await asyncio.sleep(0.05)
                await made.server.shutdown([made.listener])
                assert (await received(client)).count(b"HTTP/1.1 ") == (sent == REQUEST)

    asyncio.run(ask())
    assert not [record for record in caplog.records if record.levelname == "ERROR"]  # as where it had to be cut off
