"""Connections to providers, down to the bytes: framing, proxies, TLS, compression, and when one is used again."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
import ssl
import subprocess
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import orjson
import pytest

from penstock.backends import (
    BackendSpec,
    BackendTimeout,
    BackendUnreachable,
    InvalidRequest,
    MalformedReply,
    Query,
    Timeouts,
    create_backend,
)
from penstock.backends import wires as penstock_wires
from penstock.backends.http import CallClock, Connections
from penstock.backends.in_turn import InTurn
from penstock.backends.wire import Wire
from penstock.backends.wires import NoConnection, Wires

from .shapes import OPENAI

WHOLE = orjson.dumps(OPENAI.whole)
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


def replying(*pieces: bytes, is_closed: bool = False) -> tuple[Speak, list[bytes]]:
    """Returns what speaks for a server that gives the same reply to every request, and the requests."""
    asked: list[bytes] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                asked.append(await read_request(reader))
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.001)
                if is_closed:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()

    return speak, asked


@contextlib.asynccontextmanager
async def serving(speak: Speak, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Yields the port of a server, and waits for its connections to end; the one who asks closes them before."""
    tasks = []

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        await speak(reader, writer)

    server = await asyncio.start_server(noted, "127.0.0.1", 0, ssl=tls)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            await asyncio.gather(*filter(None, tasks), return_exceptions=True)


async def ask(url: str, *, n_calls: int = 1) -> list[str]:
    """Returns the texts of so many answers, one after the other."""
    backend = create_backend(BackendSpec(name="small", type="openai", base_url=url))
    try:
        return [(await backend.complete(Query.from_text("17 * 23?"))).text for _ in range(n_calls)]
    finally:
        await backend.aclose()


def texts_of(
    speak: Speak, *, n_calls: int = 1, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> list[str]:
    """Returns the texts of so many answers from a server."""

    async def run() -> list[str]:
        async with serving(speak, tls=tls) as port:
            return await ask(f"{'https' if tls else 'http'}://{host}:{port}/v1", n_calls=n_calls)

    return asyncio.run(run())


def framed(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_reply_may_end_with_the_connection() -> None:
    speak, asked = replying(b"HTTP/1.1 200 OK\r\n\r\n" + WHOLE[:20], WHOLE[20:], is_closed=True)
    assert texts_of(speak, n_calls=2) == ["391", "391"]
    assert len(asked) == 2


def test_interim_replies_are_passed_over() -> None:
    speak, _ = replying(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", framed(WHOLE))
    assert texts_of(speak) == ["391"]


def test_a_reply_may_come_byte_by_byte() -> None:
    reply = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(WHOLE), WHOLE)
    speak, _ = replying(*(reply[i : i + 1] for i in range(len(reply))))
    assert texts_of(speak) == ["391"]


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_reply_compressed_unasked_is_read_all_the_same(coding: str) -> None:
    body = gzip.compress(WHOLE) if coding == "gzip" else zlib.compress(WHOLE)
    speak, _ = replying(framed(body, f"content-encoding: {coding}"))
    assert texts_of(speak) == ["391"]


@pytest.mark.parametrize(
    ("headers", "why"), [(("content-encoding: br",), "compressed as 'br'"), (("content-encoding: gzip",), "was cut")]
)
def test_a_reply_compressed_in_another_way_is_malformed(headers: tuple[str, ...], why: str) -> None:
    speak, _ = replying(framed(WHOLE, *headers))
    with pytest.raises(MalformedReply, match=why):
        texts_of(speak)


def test_a_status_that_is_none_is_malformed() -> None:
    speak, _ = replying(b"HTTP/1.1 000 what\r\ncontent-length: 0\r\n\r\n")
    with pytest.raises(MalformedReply, match="not HTTP"):
        texts_of(speak)


def test_a_head_without_end_is_malformed() -> None:
    speak, _ = replying(b"HTTP/1.1 200 OK\r\n", *(b"x-filler: %s\r\n" % (b"x" * 8000) for _ in range(20)))
    with pytest.raises(MalformedReply, match="larger than 64 KB"):
        texts_of(speak)


def test_a_connection_that_the_server_wants_closed_is_not_used_again() -> None:
    n_connections = 0
    speak, _ = replying(framed(WHOLE, "connection: close"))

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_connections
        n_connections += 1
        await speak(reader, writer)

    assert texts_of(counted, n_calls=3) == ["391"] * 3
    assert n_connections == 3


def test_what_nobody_asked_for_answers_no_question() -> None:
    speak, asked = replying(framed(WHOLE) + framed(WHOLE.replace(b"391", b"666")))
    assert texts_of(speak, n_calls=3) == ["391"] * 3
    assert len(asked) == 3


def test_a_connection_that_was_idle_for_long_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(penstock_wires, "_IDLE_S", -1.0)
    speak, asked = replying(framed(WHOLE))
    seen: set[int] = set()

    async def noted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.add(writer.get_extra_info("peername")[1])
        await speak(reader, writer)

    texts_of(noted, n_calls=3)
    assert (len(seen), len(asked)) == (3, 3)


def test_a_header_with_a_line_break_is_refused() -> None:
    async def run() -> None:
        spec = BackendSpec(name="small", type="openai")
        connections = Connections(spec, "http://127.0.0.1:9/v1", {}, secrets=())
        clock = CallClock(Timeouts(), waits_for_first_token=False)
        with pytest.raises(InvalidRequest, match="line break"):
            connections.post("/chat/completions", b"", clock, headers={"x-team": "a\r\nx-evil: b"})

    asyncio.run(run())


def test_a_server_that_is_not_read_from_is_held_back() -> None:
    sent = 0

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 50000000\r\n\r\n")
        try:
            while sent < 50_000_000:
                writer.write(b" " * 100_000)
                await asyncio.wait_for(writer.drain(), 0.3)
                sent += 100_000
        except TimeoutError:
            pass
        writer.transport.abort()

    async def run() -> None:
        async with serving(speak) as port:
            wires = Wires(f"http://127.0.0.1:{port}", connect_s=5)
            wire = await wires.open()
            end = asyncio.get_running_loop().time() + 10
            await wire.ask(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", b"", deadline=end)
            await asyncio.sleep(0.5)
            wires.give(wire)
            await wires.aclose()

    asyncio.run(run())
    assert sent < 25_000_000


def test_a_proxy_is_asked_with_the_whole_address_and_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    speak, asked = replying(framed(WHOLE))

    async def run() -> list[str]:
        async with serving(speak) as port:
            monkeypatch.setenv("http_proxy", f"http://me:pass%20word@127.0.0.1:{port}")
            monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
            return await ask("http://models.invalid/v1")

    assert asyncio.run(run()) == ["391"]
    assert asked[0].startswith(b"POST http://models.invalid/v1/chat/completions HTTP/1.1\r\nhost: models.invalid\r\n")
    assert b"proxy-authorization: Basic bWU6cGFzcyB3b3Jk\r\n" in asked[0]


@pytest.mark.parametrize(
    "named", ["https://me:secret@127.0.0.1", "socks5://127.0.0.1:9", "http://me:sec/ret@127.0.0.1"]
)
def test_a_proxy_of_another_kind_is_an_error_without_its_password(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", named)
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    with pytest.raises(BackendUnreachable, match="expected http://host:port") as raised:
        asyncio.run(ask("http://models.invalid/v1"))
    assert "sec" not in str(raised.value)


def test_a_proxy_is_asked_for_an_ipv6_address_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    speak, asked = replying(b"HTTP/1.1 403 No\r\ncontent-length: 0\r\n\r\n")

    async def run() -> None:
        async with serving(speak) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
            monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
            with pytest.raises(BackendUnreachable, match="refuses: HTTP 403"):
                await ask("https://[::1]:9/v1")

    asyncio.run(run())
    assert asked[0].startswith(b"CONNECT [::1]:9 HTTP/1.1\r\nhost: [::1]:9\r\n")


def test_an_ipv6_address_can_be_kept_from_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "::1")
    assert Wires("http://[::1]:8000/v1", connect_s=1).target("/v1") == "/v1"
    assert Wires("http://[::2]:8000/v1", connect_s=1).target("/v1") == "http://[::2]:8000/v1"


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Returns how a server at `localhost` makes connections secure; we trust it from now on."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = [program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(penstock_wires, "_tls", lambda: trusting)
    return context


def test_a_secure_server_is_spoken_to_securely(tls: ssl.SSLContext) -> None:
    speak, asked = replying(framed(WHOLE))
    assert texts_of(speak, n_calls=2, tls=tls, host="localhost") == ["391", "391"]
    assert len(asked) == 2


def test_opening_a_connection_takes_no_longer_than_the_first_token_may() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def run() -> None:
        async with serving(say_nothing) as port:
            url, timeout = f"https://127.0.0.1:{port}/v1", Timeouts(first_token_s=0.2, total_s=60)
            backend = create_backend(BackendSpec(name="small", type="openai", base_url=url, timeout=timeout))
            with pytest.raises(BackendTimeout, match="no first token"):
                await anext(aiter(backend.stream(Query.from_text("17 * 23?"))))
            await backend.aclose()

    asyncio.run(run())


def test_a_certificate_for_another_name_is_refused(tls: ssl.SSLContext) -> None:
    speak, asked = replying(framed(WHOLE))
    with pytest.raises(BackendUnreachable, match="certificate"):
        texts_of(speak, tls=tls)
    assert not asked


def test_a_proxy_does_not_see_what_goes_to_a_secure_server(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    speak, asked = replying(framed(WHOLE))
    seen: list[bytes] = []

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        port = int(seen[0].split()[1].rpartition(b":")[2])
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                seen.append(data)
                target.write(data)
            target.close()

        await asyncio.gather(pipe(reader, inner_writer), pipe(inner_reader, writer))

    async def run() -> list[str]:
        async with serving(tunnel) as proxy_port, serving(speak, tls=tls) as port:
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{proxy_port}")
            monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
            return await ask(f"https://localhost:{port}/v1", n_calls=2)

    assert asyncio.run(run()) == ["391", "391"]
    assert seen[0].startswith(b"CONNECT localhost:")
    assert b"/v1/chat/completions" in asked[0]
    assert not any(b"chat/completions" in data or b"391" in data for data in seen)


def test_a_wire_takes_no_request_once_it_is_closed() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def run() -> None:
        async with serving(hang_up) as port:
            wires = Wires(f"http://127.0.0.1:{port}", connect_s=5)
            wire = await wires.open()
            await asyncio.sleep(0.05)
            assert not wire.is_reusable
            with pytest.raises(ConnectionResetError):
                await wire.ask(b"POST / HTTP/1.1\r\n\r\n", b"", deadline=asyncio.get_running_loop().time() + 1)

    asyncio.run(run())


def test_a_refusal_that_comes_before_all_was_sent_is_told() -> None:
    has_asked = asyncio.Event()

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"error": {"message": "too large for us"}}'
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        await has_asked.wait()
        writer.close()

    async def run() -> None:
        async with serving(refuse) as port:
            timeout = Timeouts(total_s=10)
            spec = BackendSpec(name="small", type="openai", base_url=f"http://127.0.0.1:{port}/v1", timeout=timeout)
            backend = create_backend(spec)
            try:
                with pytest.raises(InvalidRequest, match="too large for us"):
                    await backend.complete(Query.from_text("x" * 40_000_000))
            finally:
                has_asked.set()
                await backend.aclose()

    asyncio.run(run())


def test_a_connection_on_which_a_second_reply_has_begun_is_not_used_again() -> None:
    n_connections = 0
    speak, _ = replying(framed(WHOLE) + b"HTTP/1.1 2")

    async def counted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n_connections
        n_connections += 1
        await speak(reader, writer)

    assert texts_of(counted, n_calls=2) == ["391", "391"]
    assert n_connections == 2


def giving_up(second: Speak) -> tuple[Speak, list[int]]:
    """Returns what answers a request and treats the next one on its connection otherwise; how many came on each."""
    asked: list[int] = []

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(0)
        number = len(asked) - 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await read_request(reader)
                asked[number] += 1
                if number == 0 and asked[0] == 2:
                    await second(reader, writer)
                    break
                writer.write(framed(WHOLE))
        writer.close()

    return speak, asked


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing."""


async def thinking_it_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing, but has worked on it."""
    await asyncio.sleep(0.7)


async def half_a_word(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Begins to say something."""
    writer.write(b"HTTP/1.1 2")


async def long_silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the other has left."""
    await reader.read()


def test_a_kept_connection_that_the_server_gives_up_as_it_is_used_again_is_no_failure() -> None:
    speak, asked = giving_up(silence)
    assert texts_of(speak, n_calls=3) == ["391"] * 3
    assert asked == [2, 2]


def test_a_new_connection_that_the_server_gives_up_is_a_failure() -> None:
    speak, asked = replying(is_closed=True)
    with pytest.raises(BackendUnreachable, match="without a reply"):
        texts_of(speak)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("second", "error", "total_s"),
    [
        (half_a_word, BackendUnreachable, 9.0),
        (thinking_it_over, BackendUnreachable, 9.0),
        (long_silence, BackendTimeout, 0.3),
    ],
)
def test_a_kept_connection_on_which_more_went_wrong_is_a_failure(
    second: Speak, error: type[Exception], total_s: float
) -> None:
    speak, asked = giving_up(second)

    async def run() -> None:
        async with serving(speak) as port:
            url = f"http://127.0.0.1:{port}/v1"
            spec = BackendSpec(name="small", type="openai", base_url=url, timeout=Timeouts(total_s=total_s))
            backend = create_backend(spec)
            await backend.complete(Query.from_text("17 * 23?"))
            with pytest.raises(error):
                await backend.complete(Query.from_text("17 * 23?"))
            await backend.aclose()

    asyncio.run(run())
    assert asked == [2]


def test_each_call_on_a_kept_connection_has_its_own_deadline() -> None:
    pauses = iter([0.0, 0.0, 0.4, 5.0])

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await read_request(reader)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(next(pauses)):
                        await reader.read(1)
                        break  # the other has left
                head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
                events = b"".join(OPENAI.events)
                streamed = head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(events), events)
                writer.write(streamed if b'"stream":true' in request else framed(WHOLE))
        writer.close()

    async def run() -> None:
        async with serving(speak) as port:
            timeout = Timeouts(first_token_s=0.2, total_s=60)
            url = f"http://127.0.0.1:{port}/v1"
            backend = create_backend(BackendSpec(name="small", type="openai", base_url=url, timeout=timeout))
            query = Query.from_text("17 * 23?")
            await backend.complete(query)  # its deadline is far
            assert [chunk async for chunk in backend.stream(query)]  # the first piece's is near
            assert (await backend.complete(query)).text == "391"  # and is no longer so: it takes longer
            with pytest.raises(BackendTimeout, match=r"no first token within 0\.2 s"):
                async for _ in backend.stream(query):
                    pass
            await backend.aclose()

    asyncio.run(run())


def test_what_follows_the_end_of_a_stream_is_not_read_for_ever() -> None:
    was_left = False

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal was_left
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b"".join(OPENAI.events))
        end = asyncio.get_running_loop().time() + 5
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing() and asyncio.get_running_loop().time() < end:
                writer.write(b": more" + b"." * 200_000 + b"\n\n")
                await writer.drain()
        was_left = asyncio.get_running_loop().time() < end
        writer.transport.abort()

    async def run() -> None:
        async with serving(flood) as port:
            backend = create_backend(BackendSpec(name="small", type="openai", base_url=f"http://127.0.0.1:{port}/v1"))
            chunks = [chunk async for chunk in backend.stream(Query.from_text("17 * 23?"))]
            assert chunks[-1].completion is not None
            await backend.aclose()

    asyncio.run(run())
    assert was_left


def test_a_connection_that_is_opened_while_the_others_are_closed_is_closed_too() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def run() -> None:
        async with serving(wait) as port:
            wires = Wires(f"http://127.0.0.1:{port}", connect_s=5)
            opening = asyncio.create_task(wires.open())
            await asyncio.sleep(0)
            await wires.aclose()
            (outcome,) = await asyncio.gather(opening, return_exceptions=True)
            await wires.aclose()
        assert isinstance(outcome, NoConnection)

    asyncio.run(run())


class DeafTransport(asyncio.Transport):
    """Takes what is written, and passes it on to nobody."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes it."""


def test_replies_that_have_begun_are_read_on_a_few_at_a_time() -> None:
    """What came for another stream as its first piece would have to wait for all of them."""
    read_at: list[list[int]] = []  # by connection: in which turns of the loop a piece was read

    async def main() -> None:
        n_turns, in_turn = 0, InTurn(2)
        wires = [Wire(in_turn) for _ in range(6)]

        async def stream(wire: Wire, turns: list[int]) -> None:
            deadline = asyncio.get_running_loop().time() + 10
            await wire.ask(b"GET / HTTP/1.1\r\n\r\n", b"", deadline=deadline)
            while await wire.read(deadline=deadline):
                turns.append(n_turns)

        for wire in wires:
            wire.connection_made(DeafTransport())
            read_at.append([])
        streams = asyncio.gather(*map(stream, wires, read_at))
        await asyncio.sleep(0)
        for data in (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\none", b"two", b"end"):
            for wire in wires:
                wire.data_received(data)
            for _ in range(9):
                n_turns += 1
                await asyncio.sleep(0)
        await streams

    asyncio.run(main())
    pieces = list(zip(*read_at, strict=True))
    assert [sorted(turns.count(turn) for turn in set(turns)) for turns in pieces] == [[6], [2, 2, 2], [2, 2, 2]]
