"""Faults with real clients on one side and a real provider on the other, and the ledger that is to balance then."""

from __future__ import annotations

import asyncio
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from penstock.router import Router
from penstock.router.keys import Key, new_key, open_store
from penstock.router.server import Sidecar

from ..backends.loopback import Asked, Canned, Loopback, data, event_reply, json_reply
from .keys.door import NOON, used
from .serving import HELLO, PATIENCE_S, serving, write_models
from .test_faults import Fault, Faulty, hangs, head, sends
from .test_server_command import ENVIRONMENT, command_of, url_in

STREAMED = pytest.mark.parametrize("is_stream", [False, True])
MODELS = """
keys: {{file: keys.db}}
traces: {{folder: traces}}
backends:
  first: {{type: openai, model: m, base_url: "{url}", tier: small, price: {{input: 1, output: 2}}, {more}}}
"""
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}


def says(asked: Asked) -> Canned:
    """Returns a reply that tells what it used."""
    if not asked.json.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", "content": "fine"}, "finish_reason": "stop"}
        return json_reply({"choices": [choice], "usage": USAGE})
    pieces = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in ("fi", "ne")]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}
    return event_reply(*(data({"choices": [piece]}) for piece in pieces), data(end), b"data: [DONE]\n\n")


@asynccontextmanager
async def asking(folder: Path, url: str, *, more: str = "retries: 0") -> AsyncIterator[httpx.AsyncClient]:
    """Yields a client of a sidecar that asks one provider."""
    path = write_models(folder, MODELS.format(url=url, more=more))
    key, text = new_key(Key(id="", name="me", digest="", created_at=0.0))
    store = open_store(folder / "keys.db")
    store.put(key)
    app = Sidecar(Router.from_config(path), keys=store, clock=lambda: NOON)
    with serving(app) as address:
        async with httpx.AsyncClient(
            base_url=address, headers={"x-api-key": text}, timeout=PATIENCE_S, verify=False
        ) as client:
            yield client
            spent = used(store, key, NOON)["usd a day"]
    assert spent == pytest.approx(sum(record.get("cost_usd") or 0.0 for record in traces_in(folder)))


def traces_in(folder: Path) -> list[dict[str, Any]]:
    path = folder / "traces" / "traces.jsonl"
    return [orjson.loads(line) for line in path.read_bytes().splitlines()]


async def chat(client: httpx.AsyncClient, *, is_stream: bool) -> httpx.Response:
    return await client.post("/v1/chat/completions", json={"messages": HELLO, "stream": is_stream})


@STREAMED
def test_a_reply_of_50_mb_is_cut_off_and_an_error(tmp_path: Path, is_stream: bool) -> None:
    taken = 0

    async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        writer.write(head())
        for _ in range(50):
            writer.write(b" " * 2**20)
            await writer.drain()
            taken += 1

    async def run() -> httpx.Response:
        async with Faulty(floods) as provider, asking(tmp_path, provider.url) as client:
            return await chat(client, is_stream=is_stream)

    got = asyncio.run(run())
    assert (got.status_code, got.json()["error"]["code"]) == (502, "upstream_failed")
    assert "the reply is larger than 32 MB" in got.json()["error"]["message"]
    assert taken < 45  # the rest was never sent
    assert [record["error"] for record in traces_in(tmp_path)] == ["MalformedReply"]


@STREAMED
def test_a_client_that_leaves_ends_the_call_at_the_provider(tmp_path: Path, is_stream: bool) -> None:
    was_left = asyncio.Event()
    begins: Fault = hangs(head("text/event-stream"), data({"choices": [{"index": 0, "delta": {"content": "One"}}]}))

    async def waits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await begins(reader, writer)
        was_left.set()

    async def run() -> None:
        async with Faulty(waits) as provider, asking(tmp_path, provider.url) as client:
            task = asyncio.create_task(chat(client, is_stream=is_stream))
            async with asyncio.timeout(PATIENCE_S):
                while not provider.n_asked:
                    await asyncio.sleep(0.01)
                task.cancel()
                await was_left.wait()
                while not (tmp_path / "traces" / "traces.jsonl").exists():
                    await asyncio.sleep(0.01)

    asyncio.run(run())
    (record,) = traces_in(tmp_path)
    assert (record["error"], record["final"]) == ("BrokenOff", False)
    assert record["cost_usd"] > 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no disk that is always full")
@STREAMED
def test_with_the_disk_full_requests_are_answered_and_the_loss_is_logged(
    tmp_path: Path, is_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "traces.jsonl").symlink_to("/dev/full")
    models = MODELS.replace("keys: {{file: keys.db}}\n", "")

    async def run() -> None:
        async with Loopback(says) as provider:
            path = write_models(tmp_path, models.format(url=provider.url, more="retries: 0"))
            with serving(Sidecar(Router.from_config(path))) as address:
                async with httpx.AsyncClient(base_url=address, timeout=PATIENCE_S, verify=False) as client:
                    for _ in range(3):
                        assert (await chat(client, is_stream=is_stream)).status_code == 200

    asyncio.run(run())
    assert "traces lost: 1 more, 1 in all: " in caplog.text
    assert "traces lost: 2 more, 3 in all" in caplog.text


def test_sigterm_under_load_answers_what_was_taken_and_the_ledger_balances(tmp_path: Path) -> None:
    """Clients ask one request after the other until the sidecar has gone; the provider counts what it told."""

    async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: bytes) -> None:
        canned = says(Asked(path="", headers={}, body=body))
        pieces = (canned.body,) if isinstance(canned.body, bytes) else canned.body
        writer.write(head(canned.content_type))
        for piece in pieces:
            await asyncio.sleep(0.05)
            writer.write(piece)
            await writer.drain()

    class Slow(Faulty):
        n_told = 0

        async def answer(self, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await slowly(reader, writer, body)
            self.n_told += 1

    outcomes = Counter[str]()

    async def client(number: int, address: str, key: str) -> None:
        async with httpx.AsyncClient(base_url=address, headers={"x-api-key": key}, verify=False) as http:
            while True:
                is_stream = number % 2 == 0
                body = {"messages": HELLO, "stream": is_stream}
                request = http.build_request("POST", "/v1/chat/completions", json=body)
                try:
                    got = await http.send(request, stream=True)
                except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
                    return  # not one byte came: nobody listens any more, or an idle connection was just being closed
                await got.aread()
                if got.status_code != 200:
                    assert (got.status_code, bool(got.json()["error"]["message"])) == (503, True)
                    outcomes["refused"] += 1
                    return
                assert got.text.count("[DONE]" if is_stream else '"fine"') == 1
                outcomes["answered"] += 1

    async def run() -> int:
        async with Slow(sends()) as provider:
            write_models(tmp_path, MODELS.format(url=provider.url, more="limits: {concurrency: 4}"))
            key, text = new_key(Key(id="", name="me", digest="", created_at=0.0))
            store = open_store(tmp_path / "keys.db")
            store.put(key)
            store.close()
            process = subprocess.Popen(
                command_of(tmp_path, "--port", "0"), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            with process:
                assert process.stdout is not None
                line = await asyncio.to_thread(process.stdout.readline)
                asking = [asyncio.create_task(client(n, url_in(line.decode()), text)) for n in range(12)]
                async with asyncio.timeout(PATIENCE_S):
                    while outcomes["answered"] <= 4:
                        await asyncio.sleep(0.01)
                    process.send_signal(signal.SIGTERM)
                    await asyncio.gather(*asking)
                    await asyncio.to_thread(process.wait)
            assert process.returncode == 0
            return provider.n_told

    n_told = asyncio.run(run())
    records = traces_in(tmp_path)
    assert outcomes["answered"] > 4
    assert n_told == outcomes["answered"] == sum(record["final"] for record in records)
    assert sum(record.get("output_tokens") or 0 for record in records) == n_told * USAGE["completion_tokens"]
    assert sum(record.get("input_tokens") or 0 for record in records) == n_told * USAGE["prompt_tokens"]
