"""A provider that goes wrong now and then, in every way that the wire allows, and keeps account of what it told.

    python -m benchmarks.sidecar.faulty [--port 0] [--share 0.05] [--seed 0]

Speaks OpenAI's chat completions; every answer repeats the question. `GET /ledger` tells how many replies came to their
end, how many tokens were told in them, how often what went wrong, and when who left. A question that begins with LEAVE
is never answered to the end: its client is to leave.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

LEAVE = "leave"
_PATIENCE_S = 30.0  # after which a connection that nobody leaves is closed
_JSON, _EVENTS = "application/json", "text/event-stream"
_Fault = Callable[[asyncio.StreamReader, asyncio.StreamWriter, bool], Awaitable[None]]


def _head(kind: str, *, status: str = "200 OK", length: int | None = None, more: str = "") -> bytes:
    framing = "connection: close" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{framing}\r\n{more}\r\n".encode()


def _chunk(delta: dict[str, Any], *, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(frame | more).encode() + b"\n\n"


_BEGINNING = _head(_EVENTS) + _chunk({"role": "assistant", "content": "One"})


def _says(whole: bytes, streamed: bytes | None = None) -> _Fault:
    """Returns a fault that sends bytes and hangs up."""

    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stream: bool) -> None:
        writer.write(streamed if is_stream and streamed is not None else whole)
        await writer.drain()

    return fault


def _hangs(whole: bytes, streamed: bytes | None = None) -> _Fault:
    """Returns a fault that sends bytes, and then nothing until it is left."""

    async def fault(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stream: bool) -> None:
        await _says(whole, streamed)(reader, writer, is_stream)
        async with asyncio.timeout(_PATIENCE_S):
            await reader.read(1)

    return fault


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stream: bool) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stream: bool) -> None:
    for byte in _head(_JSON) + b" " * 1000:
        writer.write(bytes((byte,)))
        await writer.drain()
        await asyncio.sleep(0.02)


# By name: the fault, and how often it comes compared with others; those that take long are rare.
FAULTS: dict[str, tuple[_Fault, int]] = {
    "reset": (_reset, 10),
    "closed": (_says(b""), 10),
    "429": (_says(_head(_JSON, status="429 Slow", more="retry-after: 0.01\r\n") + b"{}"), 10),
    "500": (_says(_head(_JSON, status="500 Oops") + b'{"error": "oops"}'), 10),
    "400": (_says(_head(_JSON, status="400 No") + b'{"error": {"message": "no"}}'), 5),
    "no HTTP": (_says(b"SSH-2.0-OpenSSH\r\n\r\n"), 10),
    "malformed": (_says(_head(_JSON) + b'{"choices": [', _head(_EVENTS) + b"data: {oops\n\n"), 10),
    "cut": (_says(_head(_JSON, length=400) + b'{"choices": [', _BEGINNING), 10),
    "failure": (
        _says(_head(_JSON) + b'{"error": {"message": "oops"}}', _BEGINNING + b'data: {"error": "oops"}\n\n'),
        10,
    ),
    "wrong length": (_says(_head(_JSON, length=5) + b'{"choices": []}'), 10),
    "hang": (_hangs(b""), 1),
    "hang in the body": (_hangs(_head(_JSON) + b"{", _BEGINNING), 1),
    "drip": (_drip, 1),
}


class Faulty:
    """The provider, and its ledger."""

    def __init__(self, *, share: float, seed: int) -> None:
        self._share = share
        self._rng = random.Random(seed)
        self._went_wrong = Counter[str]()
        self._told = Counter[str]()
        self._left_at: dict[str, float] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            while await self._reply(reader, writer):
                pass
        writer.close()

    async def _reply(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serves one request; returns whether the connection lives on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        if head.startswith("get"):
            body = json.dumps({"told": self._told, "went_wrong": self._went_wrong, "left_at": self._left_at}).encode()
            writer.write(_head(_JSON, length=len(body)) + body)
            return True
        length = int(head.partition("content-length:")[2].partition("\r\n")[0])
        asked = json.loads(await reader.readexactly(length))
        question, is_stream = str(asked["messages"][-1].get("content")), bool(asked.get("stream"))
        if question.startswith(LEAVE):
            await FAULTS["hang in the body"][0](reader, writer, is_stream)
            self._left_at[question] = time.monotonic()
            return False
        if self._rng.random() < self._share:
            (name,) = self._rng.choices(list(FAULTS), weights=[weight for _, weight in FAULTS.values()])
            self._went_wrong[name] += 1
            await FAULTS[name][0](reader, writer, is_stream)
            return False
        usage = {"prompt_tokens": self._rng.randint(5, 50), "completion_tokens": self._rng.randint(1, 40)}
        writer.write(_stream_of(question, usage) if is_stream else _whole_of(question, usage))
        await writer.drain()
        self._told.update(usage | {"replies": 1})
        return not is_stream


def _whole_of(question: str, usage: dict[str, int]) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": question}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice], "usage": usage})
    return _head(_JSON, length=len(body)) + body.encode()


def _stream_of(question: str, usage: dict[str, int]) -> bytes:
    words = [_chunk({"content": word}) for word in question.replace(" ", " \0").split("\0")]
    return _head(_EVENTS) + b"".join([*words, _chunk({}, finish="stop", usage=usage), b"data: [DONE]\n\n"])


async def serve(port: int, faulty: Faulty) -> None:
    """Serves until it is stopped, having printed its port."""
    server = await asyncio.start_server(faulty.serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Runs the provider from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--share", type=float, default=0.05, help="of calls that go wrong (default 0.05)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port, Faulty(share=options.share, seed=options.seed)))


if __name__ == "__main__":
    main()
