"""What several workers have counted together: each tells the first process once a second, and any may ask it for all.

Nothing is written to disk, and no request waits for it. A worker that is killed takes with it what it counted since it
told last, and no more. Whoever asks tells its own first, so that nobody ever finds less than another was told before.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

from .figures import Figures, add_up, decode

_TELL_S = 1.0  # between two times that a worker tells what it has counted
_PATIENCE_S = 2.0  # for the first process to answer
_LONGEST = 64 << 20  # bytes that it tells at once
_ASK = b"?\n"  # every other line is figures; the answer is those of every worker, and an empty line


class Ledger:
    """Keeps what each worker told last, and the sums of those that have ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[socket.socket, bytes] = {}  # by connection; added up only when somebody asks
        self._ended = Figures()

    def connect(self) -> socket.socket:
        """Returns the end of a new connection that is for a worker, to be closed here once it has it."""
        here, there = socket.socketpair()
        threading.Thread(target=self._listen, args=(here,), daemon=True).start()
        return there

    def _listen(self, connection: socket.socket) -> None:
        """Hears a worker until it ends, however it does."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are for the first thread to take
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                if line == _ASK:
                    connection.sendall(self._all())
                elif line.endswith(b"\n"):  # else it was killed in the middle of it
                    with self._lock:
                        self._told[connection] = line
        with self._lock:
            if line := self._told.pop(connection, b""):
                self._ended = add_up([self._ended, Figures(sums=decode(line).sums)])

    def _all(self) -> bytes:
        with self._lock:
            return b"".join([*self._told.values(), self._ended.encode(), b"\n"])


class Teller:
    """A worker's end of a connection to the ledger, for one event loop."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._asked: deque[asyncio.Future[Figures]] = deque()  # in the order in which the answers will come

    @contextlib.asynccontextmanager
    async def telling(self, read: Callable[[], Figures]) -> AsyncIterator[None]:
        """A context in which the ledger is told what `read` gives: at once, every second, and at the end."""
        reader, self._writer = await asyncio.open_connection(sock=self._connection, limit=_LONGEST)
        self._send(read().encode())
        tasks = [asyncio.create_task(self._hear(reader)), asyncio.create_task(self._keep_telling(read))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._send(read().encode())
            self._writer.close()
            with contextlib.suppress(OSError):  # TimeoutError is one
                async with asyncio.timeout(_PATIENCE_S):
                    await self._writer.wait_closed()

    async def total(self, figures: Figures) -> Figures:
        """Returns the sum over all workers, this one's `figures` among them.

        Raises:
            TimeoutError: the first process does not answer.
        """
        answer: asyncio.Future[Figures] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self._send(figures.encode() + _ASK)
        async with asyncio.timeout(_PATIENCE_S):
            return await answer

    async def _keep_telling(self, read: Callable[[], Figures]) -> None:
        with contextlib.suppress(ConnectionError):  # the first process has gone, and this one will
            while True:
                await asyncio.sleep(_TELL_S)
                self._send(read().encode())
                await self._writer.drain()

    def _send(self, lines: bytes) -> None:
        if not self._writer.is_closing():  # uvloop raises where the first process has gone
            self._writer.write(lines)

    async def _hear(self, reader: asyncio.StreamReader) -> None:
        told: list[Figures] = []
        with contextlib.suppress(ConnectionError):  # as above
            async for line in reader:
                if line != b"\n":
                    told.append(decode(line))
                    continue
                answer = self._asked.popleft()
                if not answer.done():  # whoever asked has lost patience
                    answer.set_result(add_up(told))
                told = []
