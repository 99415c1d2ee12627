"""Compares HTTP clients by what one call to a model costs on this machine, besides waiting for the model.

    python benchmarks/http_client.py [--rounds 7] [--calls 200] [--concurrency 16]

Every client talks to the same raw asyncio server, which runs in a process of its own, answers at once
and keeps its connections open. Clients take turns round by round, so that a busy moment of the machine
hits all of them; figures are medians over rounds. CPU is that of the client's process alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import multiprocessing
import platform
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

N_CHUNKS = 64  # of one streamed reply
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "What is 17 * 23? " * 20}]}).encode()
REPLY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "391"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3},
    }
).encode()
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
HEADERS = {"authorization": "Bearer key", "content-type": "application/json"}
TARGETS = {"whole": "/whole", "stream": "/stream"}

Ask = Callable[[str], Awaitable[int]]  # a URL to the number of body bytes


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serves one connection until the client leaves."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if b" /whole " in head:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n" % len(REPLY) + REPLY)
            else:
                writer.write(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                )
                for _ in range(N_CHUNKS):
                    writer.write(b"%x\r\n" % len(EVENT) + EVENT + b"\r\n")
                    await writer.drain()
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
            await writer.drain()
    writer.close()


def serve(port_sender: Connection) -> None:
    """Runs the server until its process is ended."""

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port_sender.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    asyncio.run(run())


@contextlib.asynccontextmanager
async def raw() -> AsyncIterator[Ask]:
    """The floor: bare asyncio streams, one connection for every call under way."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(url: str) -> int:
        host, _, path = url.removeprefix("http://").partition("/")
        name, _, port = host.partition(":")
        reader, writer = idle.pop() if idle else await asyncio.open_connection(name, int(port))
        writer.write(f"POST /{path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(BODY)}\r\n\r\n".encode() + BODY)
        head = await reader.readuntil(b"\r\n\r\n")
        size = 0
        if b"content-length" in head:
            size = len(await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0])))
        else:
            while length := int(await reader.readline(), 16):
                size += len(await reader.readexactly(length + 2)) - 2
            await reader.readline()
        idle.append((reader, writer))
        return size

    yield ask
    for _, writer in idle:
        writer.close()


def httpx_like(module_name: str) -> Callable[[], contextlib.AbstractAsyncContextManager[Ask]]:
    """Returns the client made with `httpx` or one that shares its interface."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Ask]:
        module = importlib.import_module(module_name)
        limits = module.Limits(max_connections=None, max_keepalive_connections=256)
        async with module.AsyncClient(timeout=30.0, headers=HEADERS, limits=limits, trust_env=False) as client:

            async def ask(url: str) -> int:
                size = 0
                async with client.stream("POST", url, content=BODY) as response:
                    async for piece in response.aiter_bytes():
                        size += len(piece)
                return size

            yield ask

    return connect


def httpx_transport(module_name: str) -> Callable[[], contextlib.AbstractAsyncContextManager[Ask]]:
    """Returns the same without the client layer: its transport, asked directly."""

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Ask]:
        module = importlib.import_module(module_name)
        limits = module.Limits(max_connections=None, max_keepalive_connections=256)
        extensions = {"timeout": {"connect": 30.0, "read": 30.0, "write": 30.0, "pool": None}}
        async with module.AsyncHTTPTransport(limits=limits, trust_env=False) as transport:

            async def ask(url: str) -> int:
                request = module.Request("POST", url, headers=HEADERS, content=BODY, extensions=extensions)
                response = await transport.handle_async_request(request)
                size = 0
                try:
                    async for piece in response.stream:
                        size += len(piece)
                finally:
                    await response.aclose()
                return size

            yield ask

    return connect


@contextlib.asynccontextmanager
async def aiohttp() -> AsyncIterator[Ask]:
    """The client made with aiohttp."""
    module: Any = importlib.import_module("aiohttp")
    async with module.ClientSession(headers=HEADERS, connector=module.TCPConnector(limit=0)) as session:

        async def ask(url: str) -> int:
            size = 0
            async with session.post(url, data=BODY) as response:
                async for piece in response.content.iter_any():
                    size += len(piece)
            return size

        yield ask


@contextlib.asynccontextmanager
async def wires() -> AsyncIterator[Ask]:
    """Our own, as the backends use it."""
    module: Any = importlib.import_module("penstock.backends.wires")
    loop = asyncio.get_running_loop()
    known: dict[str, Any] = {}

    async def ask(url: str) -> int:
        origin, _, path = url.removeprefix("http://").partition("/")
        pool = known.get(origin) or known.setdefault(origin, module.Wires(f"http://{origin}", connect_s=30.0))
        lines = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
        head = f"POST /{path} HTTP/1.1\r\n{pool.head}{lines}content-length: {len(BODY)}\r\n\r\n".encode()
        deadline, size = loop.time() + 30.0, 0
        wire = await pool.take()
        try:
            await wire.ask(head, BODY, deadline=deadline)
            while piece := await wire.read(deadline=deadline):
                size += len(piece)
        finally:
            pool.give(wire)
        return size

    yield ask
    for pool in known.values():
        await pool.aclose()


CLIENTS: dict[str, tuple[str, Callable[[], contextlib.AbstractAsyncContextManager[Ask]]]] = {
    "raw asyncio": ("asyncio", raw),
    "httpx": ("httpx", httpx_like("httpx")),
    "httpx2": ("httpx2", httpx_like("httpx2")),
    "httpx2 transport": ("httpx2", httpx_transport("httpx2")),
    "aiohttp": ("aiohttp", aiohttp),
    "penstock": ("penstock", wires),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One client in one round."""

    latency_us: float  # median of single calls, one after another
    cpu_us: float  # of the client's process, per call, at the given concurrency
    calls_per_s: float  # at the given concurrency


async def measure(ask: Ask, url: str, *, n_calls: int, concurrency: int) -> Figure:
    """Returns the figures of one client in one round."""
    for _ in range(3):
        await ask(url)
    latencies = []
    for _ in range(max(n_calls // 4, 10)):
        start = time.perf_counter()
        await ask(url)
        latencies.append(time.perf_counter() - start)
    todo = iter(range(n_calls))

    async def work() -> None:
        for _ in todo:
            await ask(url)

    start, start_cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - start_cpu
    return Figure(
        latency_us=statistics.median(latencies) * 1e6, cpu_us=cpu_s / n_calls * 1e6, calls_per_s=n_calls / wall_s
    )


async def compare(port: int, *, n_rounds: int, n_calls: int, concurrency: int) -> None:
    """Prints one table for whole replies and one for streams."""
    installed = {name: make for name, (module, make) in CLIENTS.items() if importlib.util.find_spec(module)}
    async with contextlib.AsyncExitStack() as stack:
        clients = {name: await stack.enter_async_context(make()) for name, make in installed.items()}
        for kind, path in TARGETS.items():
            figures: dict[str, list[Figure]] = {name: [] for name in clients}
            for turn in range(n_rounds):
                order = list(clients)
                for name in order[turn % len(order) :] + order[: turn % len(order)]:
                    url = f"http://127.0.0.1:{port}{path}"
                    figures[name].append(await measure(clients[name], url, n_calls=n_calls, concurrency=concurrency))
            size = f"{N_CHUNKS} events" if kind == "stream" else f"{len(REPLY)} bytes"
            print(f"\n{kind} reply of {size}: medians of {n_rounds} rounds of {n_calls} calls, {concurrency} at once")
            print(f"{'client':<18}{'latency':>12}{'CPU per call':>15}{'calls/s':>10}")
            for name, rounds in figures.items():
                latency = statistics.median(figure.latency_us for figure in rounds)
                cpu = statistics.median(figure.cpu_us for figure in rounds)
                rate = statistics.median(figure.calls_per_s for figure in rounds)
                print(f"{name:<18}{latency:>9.0f} us{cpu:>12.0f} us{rate:>10.0f}")


def main() -> None:
    """Runs the comparison from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--concurrency", type=int, default=16)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(sender,), daemon=True)
    server.start()
    try:
        port = receiver.recv()
        print(f"Python {platform.python_version()}, {platform.machine()}")
        asyncio.run(compare(port, n_rounds=options.rounds, n_calls=options.calls, concurrency=options.concurrency))
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
