"""Several processes behind one port: started together, replaced where one dies, ended together."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection, wait

from ..backends import PenstockError
from .ledger import Ledger, Teller

logger = logging.getLogger(__name__)

_TOO_SOON_S = 5.0  # a worker that dies before it has served for so long would only die again

RELOAD = b"reload"  # what a worker is told through its pipe

# Serves on a socket; calls back once it does; has a teller to pool its figures with those of the others.
Work = Callable[[socket.socket, Callable[[], None], Teller], None]


def run_workers(work: Work, listener: socket.socket, *, n: int, on_ready: Callable[[], None]) -> None:
    """Runs n processes that accept from one socket, until SIGTERM or SIGINT; each lets what is under way come to an
    end. SIGHUP is passed on to each, once it serves. `work` is called in each of them, and has to be a function of a
    module, or a `partial` of one.

    Raises:
        PenstockError: one ended before it served, or as soon as it did; its own words are on standard error.
    """
    if os.name != "posix":
        raise PenstockError("--workers: several are possible on Linux and macOS only")
    workers: list[_Worker] = []
    ledger = Ledger()
    is_stopping = is_starting = False

    def stop(*_: object) -> None:
        nonlocal is_stopping
        is_stopping = True
        for worker in workers:
            worker.stop()
        if not is_starting:
            listener.close()  # else who connects now would wait for nobody, as long as requests under way take

    def reload(*_: object) -> None:
        for worker in workers:
            worker.reload()

    def start() -> None:
        nonlocal is_starting
        is_starting = True
        if not is_stopping:
            workers.append(_Worker(work, listener, ledger))
        is_starting = False
        if is_stopping:  # since it began to start, when `stop` did not know of it
            stop()

    handlers = {signal.SIGINT: stop, signal.SIGTERM: stop, signal.SIGHUP: reload}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        for _ in range(n):
            start()
        if all(worker.is_ready() for worker in workers) and not is_stopping:
            on_ready()
        while workers:
            wait([worker.sentinel for worker in workers])
            for worker in [worker for worker in workers if worker.has_ended]:
                workers.remove(worker)
                if is_stopping:
                    continue
                if worker.served_s < _TOO_SOON_S:
                    raise PenstockError(f"a worker ended with {worker.exit_code}, as another would")
                logger.error("a worker ended with %s; another takes its place", worker.exit_code)
                start()
    finally:
        stop()
        for worker in workers:
            worker.join()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Worker:
    """One process. It ends with the one that started it, however that ends."""

    def __init__(self, work: Work, listener: socket.socket, ledger: Ledger) -> None:
        context = multiprocessing.get_context("spawn")  # forks inherit threads' locks, and connections to SQLite
        self._here, there = context.Pipe()
        self._serves_since: float | None = None
        with there, ledger.connect() as to_ledger:
            self._process = context.Process(target=_live, args=(work, listener, there, to_ledger))
            self._process.start()

    @property
    def sentinel(self) -> int:
        """What can be waited for: it ends."""
        return self._process.sentinel

    @property
    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return not self._process.is_alive()

    @property
    def exit_code(self) -> str:
        """How it ended."""
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"

    @property
    def served_s(self) -> float:
        """Seconds since it began to serve, 0 where it has not; to be asked for after its end."""
        return time.monotonic() - self._serves_since if self.is_ready() and self._serves_since else 0.0

    def is_ready(self) -> bool:
        """Returns whether it serves, once it does or has ended."""
        with contextlib.suppress(EOFError, OSError):
            self._serves_since = self._serves_since or float(self._here.recv_bytes())
        return self._serves_since is not None

    def stop(self) -> None:
        """Asks it to end."""
        self._process.terminate()

    def reload(self) -> None:
        """Sends it SIGHUP as soon as it serves, when it knows what that means."""
        with contextlib.suppress(OSError):  # it has ended
            self._here.send_bytes(RELOAD)

    def join(self) -> None:
        """Waits for its end."""
        self._process.join()


def _live(work: Work, listener: socket.socket, parent: Connection, to_ledger: socket.socket) -> None:
    def listen_to_parent() -> None:
        with contextlib.suppress(EOFError, OSError):
            while parent.recv_bytes() == RELOAD:
                os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)

    def tell() -> None:
        parent.send_bytes(str(time.monotonic()).encode())  # one clock for all processes
        threading.Thread(target=listen_to_parent, daemon=True).start()

    with listener, to_ledger:
        work(listener, tell, Teller(to_ledger))
