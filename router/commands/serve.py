"""`penstock serve`: the sidecar proxy."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvicorn

from ...backends import PenstockError
from ..access_log import open_access_log
from ..config import Config
from ..connection import Connection
from ..exchange import Observer
from ..keys import Store, open_store
from ..ledger import Teller
from ..loopback import is_loopback
from ..reloading import stamp_of, watch
from ..router import Router
from ..server import Sidecar
from ..settings import COLD_START
from ..tracing import open_tracing
from ..workers import run_workers
from .shared import add_models, positive

logger = logging.getLogger(__name__)

_HAS_RELOADS = hasattr(signal, "SIGHUP")  # not on Windows
_KEEP_ALIVE_S = 75  # longer than clients keep connections, so that they close them and not we in the middle of a call
_GRACE_S = 20  # for requests under way when we are asked to stop
_BACKLOG = 2048
_MOMENT_S = 0.01  # in which whoever is accepted gets a protocol, some turns of the event loop
_WATCH_S = 1.0  # between two looks at the files
_YOUNG_OBJECTS = 10_000  # between two collections, some fifty requests; by default it is one
_MAKE_KEY = "make one with `penstock keys create NAME`"


class ServeCommand:
    """Serves until it is interrupted."""

    description = (
        "Speaks the OpenAI and Anthropic APIs; a request's `model` is a policy (routed) or a backend (passed through)."
    )
    example = "penstock serve --models models.yaml --port 8080"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_models(parser)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
        parser.add_argument(
            "--insecure-no-keys",
            action="store_true",
            help="listen on an address that others can reach though no API keys are configured",
        )
        parser.add_argument(
            "--access-log",
            metavar="FILE",
            help="append a line of JSON for every request to this .jsonl file; -: to standard output",
        )
        parser.add_argument(
            "--otel",
            action="store_true",
            help="send OpenTelemetry traces as OTEL_* variables say; needs the extra `otel`",
        )
        parser.add_argument("--port", type=_port, default=8080, help="port, 0 for any that is free (default: 8080)")
        parser.add_argument(
            "--workers", type=positive, default=1, metavar="N", help="processes that share the port (default: 1)"
        )

        parser.add_argument(
            "--watch", action="store_true", help="reload models.yaml and the artefact when they change, as at SIGHUP"
        )

    def run(self, options: argparse.Namespace) -> int:
        """Serves; returns 0 once it was interrupted and all is closed."""
        setup = _Setup(
            models=options.models, access_log=options.access_log, is_traced=options.otel, is_watched=options.watch
        )
        with contextlib.ExitStack() as stack:
            if _HAS_RELOADS:  # until it serves, there is nothing to reload, and nothing to die of
                stack.callback(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_IGN))
            with contextlib.ExitStack() as opened:
                router, keys, observers = setup.open(opened)
                router.backends()  # so that a missing key is told before anything listens
                _check_address(options.host, router.config, is_insecure=options.insecure_no_keys)
                if keys is not None and not any(key.revoked_at is None for key in keys.all_keys()):
                    print(f"penstock: warning: nobody has a key yet; {_MAKE_KEY}", file=sys.stderr)
                listener = stack.enter_context(listen(options.host, options.port))
                line = f"penstock listens on {_url(options.host, listener)}; {_summary(router)}"
                if options.workers == 1:
                    sidecar = Sidecar(router, keys=keys, observers=observers)
                    on_ready = functools.partial(tell, line)
                    _Server(sidecar, on_ready, is_watched=options.watch).run(sockets=[listener])
                    return 0
            # What was opened here is closed: each worker opens its own.
            line += f"; {options.workers} workers"
            work = functools.partial(_work, setup)
            run_workers(work, listener, n=options.workers, on_ready=functools.partial(tell, line))
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Setup:
    """What a process that serves opens; sent to workers."""

    models: str
    access_log: str | None
    is_traced: bool
    is_watched: bool

    def open(self, stack: contextlib.ExitStack) -> tuple[Router, Store | None, list[Observer]]:
        """Returns the router, the store of keys where there are some, and observers; all are closed with the stack."""
        observers: list[Observer] = []
        if self.access_log is not None:
            log, close = open_access_log(self.access_log)
            stack.callback(close)
            observers.append(log)
        tracing = open_tracing() if self.is_traced else None
        if tracing is not None:
            stack.callback(tracing.close)
        router = stack.enter_context(Router.from_config(self.models, tracing=tracing))
        if router.config.keys is None:
            return router, None, observers
        return router, stack.enter_context(contextlib.closing(open_store(router.config.keys))), observers


def _work(setup: _Setup, listener: socket.socket, on_ready: Callable[[], None], teller: Teller) -> None:
    """Serves as one of several."""
    with contextlib.ExitStack() as stack:
        router, keys, observers = setup.open(stack)
        sidecar = Sidecar(router, keys=keys, observers=observers, teller=teller)
        _Server(sidecar, on_ready, is_watched=setup.is_watched).run(sockets=[listener])


def tell(line: str) -> None:
    """Prints a line at once, and whole: unbuffered, `print` writes its end by itself, after another worker's line.

    Where nobody reads it any more, it goes to the log: that is no reason to end.
    """
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except (OSError, ValueError) as error:  # a file that was closed is a ValueError
        logger.warning("%s; standard output: %s", line, error)


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens, one that sends small writes at once.

    Raises:
        PenstockError: the address is taken, unknown or not allowed.
    """
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With `proto`, without which asyncio would not see that it is TCP and leave Nagle's algorithm on: every reply
        # would wait for the client's delayed acknowledgement, some 40 ms.
        listener = socket.socket(family, kind, proto)
        try:
            if os.name == "posix":  # elsewhere it would let two programs listen on one port
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise PenstockError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from error
    return listener


class _Server(uvicorn.Server):
    """Says when it is ready, and ends with a value, not with the signal that stopped it."""

    def __init__(self, sidecar: Sidecar, on_ready: Callable[[], None], *, is_watched: bool) -> None:
        config = uvicorn.Config(
            sidecar,
            access_log=False,
            backlog=_BACKLOG,
            http=Connection,
            lifespan="on",
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            timeout_keep_alive=_KEEP_ALIVE_S,
            ws="none",
        )
        super().__init__(config)
        self._sidecar = sidecar
        self._on_ready = on_ready
        self._is_watched = is_watched
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept, and says that it does."""
        await super().startup(sockets)
        # What is there by now stays: looking through it for garbage, again and again, would find none.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        if self.started:
            if _HAS_RELOADS:
                loop = asyncio.get_running_loop()
                loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload()))
            if self._is_watched:
                self._spawn(watch(lambda: stamp_of(self._sidecar.config), self._reload, every_s=_WATCH_S))
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stops, having let what is under way come to an end."""
        self._sidecar.is_stopping = True
        for task in self._tasks:
            task.cancel()
        if os.name == "posix":
            await self._let_in(sockets or [])
        await super().shutdown(sockets)

    async def _let_in(self, listeners: Sequence[socket.socket]) -> None:
        """Takes in who has connected by now, and nobody after; closed on them, the listener would reset their requests.

        asyncio drops whom it has accepted and not yet given a protocol when its server is closed. So it accepts no
        more, finishes those, and the rest are accepted here, up to the moment at which the door is shut.
        """
        loop = asyncio.get_running_loop()
        for listener in listeners:
            loop.remove_reader(listener)
        await asyncio.sleep(_MOMENT_S)
        late: list[socket.socket] = []
        for listener in listeners:
            with contextlib.suppress(OSError):  # nobody waits any more
                while True:
                    late.append(listener.accept()[0])
        for server in self.servers:
            server.close()
        connection = functools.partial(Connection, self.config, self.server_state, self.lifespan.state)
        for client in late:
            with contextlib.suppress(OSError):  # it has gone
                await loop.connect_accepted_socket(connection, client)

    async def _reload(self) -> None:
        """Reads models.yaml and the artefact anew, and says what came of it."""
        path = self._sidecar.config.path
        try:
            reloaded = await self._sidecar.reload()
        except PenstockError as error:
            logger.error("%s was not reloaded, all goes on as before: %s", path, " ".join(str(error).split()))
        except Exception:  # an outer edge: requests go on, whatever is in the files
            logger.exception("%s was not reloaded, all goes on as before", path)
        else:
            tell(f"penstock has reloaded {path}: {reloaded}")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stops at SIGINT and SIGTERM, at once at the second SIGINT."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _port(text: str) -> int:
    """Returns a port's number."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, got {text!r}")
    return int(text)


def _check_address(host: str, config: Config, *, is_insecure: bool) -> None:
    """Refuses to let others spend the owner's money unasked.

    Raises:
        PenstockError: others can reach the address, and no keys are configured.
    """
    if config.keys is not None or is_loopback(host):
        return
    if not is_insecure:
        raise PenstockError(
            f"--host {host}: others can reach it, and no API keys are configured; add"
            f" `keys: {{file: penstock-keys.db}}` to {config.path.name} and {_MAKE_KEY}, or listen on 127.0.0.1"
        )
    print(f"penstock: warning: whoever reaches {host} spends your money; no API keys are configured", file=sys.stderr)


def _url(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _summary(router: Router) -> str:
    config: Config = router.config
    policies = ", ".join(f"{name} (default)" if name == config.default_policy else name for name in config.policies)
    backends = ", ".join(config.backends)
    is_cold = router.pool.is_cold
    basis = COLD_START if is_cold else f"trained router {config.artefact}"
    return f"policies {policies}; backends {backends}; {basis}"
