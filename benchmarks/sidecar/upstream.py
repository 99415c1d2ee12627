"""A provider that answers at once: the mock behind every server that is measured.

    python -m benchmarks.sidecar.upstream [--port 0]

Speaks as much of OpenAI's chat completions as proxies need, straight on the transport, so that it is never what limits
them. `GET /calls` tells how many completions it was asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import uvloop

N_CHUNKS = 50  # of a stream
CHUNK_S = 0.001  # between two of them
WORD = " word"

_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":'
    b'[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"mock","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":20,"completion_tokens":50,'
    b'"total_tokens":70}}\n\ndata: [DONE]\n\n'
)
_WHOLE = (
    b'{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"mock","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":%s},"logprobs":null,"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":20,"completion_tokens":30,"total_tokens":50}}'
)
_QUESTION = re.compile(rb'"content": ?("(?:[^"\\]|\\.)*")')  # the first one, as JSON


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body


_REPLY = _whole(_WHOLE % b'"The answer is 391."')
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _framed(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


FRAMED, END = _framed(_CHUNK), _framed(_LAST) + b"0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection; requests come one after the other."""

    n_calls = 0  # of all connections
    replies: Mapping[bytes, bytes] = {}  # by question

    def __init__(self) -> None:
        self._received = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._write: Callable[[bytes], None] = transport.write

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a stream that nobody reads any more."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answers a request once it is there."""
        self._received += data
        head, gap, body = self._received.partition(b"\r\n\r\n")
        if not gap or len(body) < _length_of(head):
            return
        self._received = b""
        if head.startswith(b"GET"):
            self._write(_whole(b'{"calls":%d}' % Upstream.n_calls))
            return
        Upstream.n_calls += 1
        if b'"stream":true' in body or b'"stream": true' in body:
            self._write(STREAM + FRAMED)
            self._timer = asyncio.get_running_loop().call_later(CHUNK_S, self._go_on, N_CHUNKS - 1)
        else:
            asked = _QUESTION.search(body)
            self._write(Upstream.replies.get(asked[1], _REPLY) if asked else _REPLY)

    def _go_on(self, n_left: int) -> None:
        if n_left:
            self._write(FRAMED)
            self._timer = asyncio.get_running_loop().call_later(CHUNK_S, self._go_on, n_left - 1)
        else:
            self._write(END)


def _length_of(head: bytes) -> int:
    """Returns the length of a request's body."""
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def serve(port: int) -> None:
    """Serves until it is stopped, having printed its port."""
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Runs the mock from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--answers", type=Path, help="JSON file: by question, what to answer")
    options = parser.parse_args()
    known = json.loads(options.answers.read_text(encoding="utf-8")) if options.answers else {}
    # As senders write JSON: with signs outside ASCII escaped, or as they are.
    Upstream.replies = {
        json.dumps(question, ensure_ascii=is_ascii).encode(): _whole(_WHOLE % json.dumps(answer).encode())
        for question, answer in known.items()
        for is_ascii in (True, False)
    }
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(options.port))


if __name__ == "__main__":
    main()
