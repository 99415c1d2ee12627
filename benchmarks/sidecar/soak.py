"""Asks a sidecar very often while its providers go wrong, and checks that nothing is lost.

    python -m benchmarks.sidecar.soak [--requests 200000] [--share 0.05] [--seconds 3600]

Requests of three formats, whole and as streams, go over real sockets to `penstock serve`, which asks a provider that
fails a share of its calls in every way there is (`faulty.py`); one client in a hundred leaves in the middle. At the end
the ledger is printed, and the exit code is 1 where it does not balance: every request an answer of its own, once, or a
clear error; a trace for each; the budget that was spent the sum of the traces' costs; their tokens those that the
provider told, to the last one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
import urllib.request
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from penstock.router.keys import Claim, Key, new_key, open_store
from penstock.router.keys.limits import limits_of

from .contenders import free_port
from .faulty import LEAVE
from .process import Server, unwind_at_sigterm

_MODELS = """
version: 1
policies:
  auto: {{objective: utility, lam: 20}}
keys: {{file: keys.db}}
traces: {{folder: traces}}
backends:
  first: {{type: openai, model: m, base_url: "{url}", tier: small, price: {{input: 1, output: 2}}, {common}}}
  spare: {{type: openai, model: m, base_url: "{url}", tier: mid, price: {{input: 10, output: 20}}, {common}}}
"""
_COMMON = "retries: 1, timeout: {first_token_s: 2, total_s: 4}, limits: {concurrency: 256}"
_PATIENCE_S = 60.0
_LEAVES = 0.01  # of clients
_STEPS = 10  # at which memory is printed
_ENDS = {
    "/v1/chat/completions": b"data: [DONE]",
    "/v1/messages": b"message_stop",
    "/v1/responses": b"response.completed",
}


@dataclass(kw_only=True)
class Seen:
    """What the clients saw."""

    outcomes: Counter[str] = field(default_factory=Counter)
    cost_usd: float = 0.0  # as told with answers
    left_at: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def lose(self, why: str) -> None:
        """Notes a request that was lost."""
        self.outcomes["lost"] += 1
        self.wrong.append(why[:300])


def _body(path: str, question: str, *, is_stream: bool) -> dict[str, Any]:
    if path == "/v1/responses":
        return {"input": question, "stream": is_stream}
    return {"messages": [{"role": "user", "content": question}], "max_tokens": 50, "stream": is_stream}


async def _ask(session: aiohttp.ClientSession, number: int, seen: Seen) -> None:
    """Sends one request, and notes what comes of it."""
    path = list(_ENDS)[number % 3]
    is_stream = number // 3 % 2 == 0
    leaves = number % round(1 / _LEAVES) == 7
    question = f"{LEAVE if leaves else 'say'} <{number}>"
    is_sent = asyncio.Event()
    body = _body(path, question, is_stream=is_stream)
    try:
        async with asyncio.timeout(_PATIENCE_S) as limit, asyncio.TaskGroup() as group:
            if leaves:
                group.create_task(_leave(is_sent, limit, after_s=0.05 + number % 7 / 50))
            async with session.post(path, json=body, trace_request_ctx=is_sent) as reply:
                content = await reply.read()
    except TimeoutError:
        if leaves:
            seen.outcomes["left"] += 1
            seen.left_at[question] = time.monotonic()  # the same clock for all processes
        else:
            seen.lose(f"{question}: no reply within {_PATIENCE_S:g} s")
        return
    except aiohttp.ClientError as error:
        seen.lose(f"{question}: {type(error).__name__}: {error}")
        return
    if is_stream and reply.status == 200:
        _judge_stream(seen, question, content, _ENDS[path])
    else:
        _judge_whole(seen, question, content, reply.status)


async def _leave(is_sent: asyncio.Event, limit: asyncio.Timeout, *, after_s: float) -> None:
    """Ends the patience of a client soon after its request was sent: before that, there would be nothing to lose."""
    await is_sent.wait()
    limit.reschedule(asyncio.get_running_loop().time() + after_s)


async def _see_sent(session: object, context: Any, params: object) -> None:
    context.trace_request_ctx.set()


def _judge_whole(seen: Seen, question: str, content: bytes, status: int) -> None:
    try:
        told = json.loads(content)
    except ValueError:
        seen.lose(f"{question}: status {status}, no JSON: {content!r}")
        return
    if status == 200 and content.count(question.encode()) == 1:
        seen.outcomes["answered"] += 1
        seen.cost_usd += told["penstock"]["cost_usd"]
    elif status >= 400 and told["error"]["message"]:
        seen.outcomes["error"] += 1
    else:
        seen.lose(f"{question}: status {status}: {content!r}")


def _judge_stream(seen: Seen, question: str, content: bytes, end: bytes) -> None:
    events = [json.loads(line[6:]) for line in content.split(b"\n") if line.startswith(b"data: {")]
    is_whole = end in content
    if is_whole and _text_of(events) == question:
        seen.outcomes["answered"] += 1
        seen.cost_usd += next(told["cost_usd"] for event in reversed(events) if (told := _told_in(event)))
    elif not is_whole and events and (events[-1].get("error") or events[-1].get("type") == "error"):
        seen.outcomes["error in a stream"] += 1
    else:
        seen.lose(f"{question}: {content!r}")


def _text_of(events: list[dict[str, Any]]) -> str:
    """Returns the text of a stream in any of the three formats."""
    text = ""
    for event in events:
        delta: Any = event.get("delta")
        if event.get("type") == "response.output_text.delta":
            text += delta
        elif isinstance(delta, dict):
            text += delta.get("text", "")
        text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    return text


def _told_in(event: dict[str, Any]) -> dict[str, Any] | None:
    """Returns what a stream's event tells of how its answer came about."""
    told: dict[str, Any] | None = event.get("penstock") or event.get("response", {}).get("penstock")
    return told


async def _ask_all(url: str, key: str, server: Server, seen: Seen, *, n: int, n_clients: int, seconds: float) -> int:
    """Returns how many requests were sent; fewer than n where the time was over."""
    end, sent = time.monotonic() + seconds, 0
    headers = {"authorization": f"Bearer {key}"}
    connector, tracing = aiohttp.TCPConnector(limit=0), aiohttp.TraceConfig()
    tracing.on_request_chunk_sent.append(_see_sent)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector, trace_configs=[tracing]) as session:

        async def client() -> None:
            nonlocal sent
            while sent < n and time.monotonic() < end:
                sent += 1
                if sent % max(n // _STEPS, 1) == 0:
                    print(f"{sent:8} requests: {server.memory_mb():6.1f} MB", flush=True)
                await _ask(session, sent, seen)

        await asyncio.gather(*(client() for _ in range(n_clients)))
    return sent


def _ledger(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/ledger", timeout=_PATIENCE_S) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def _traces(folder: Path) -> tuple[set[str], dict[str, float]]:
    """Returns the trace ids in a log, and sums over its records."""
    ids, sums = set[str](), defaultdict[str, float](float)
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.open(encoding="utf-8"):
            record = json.loads(line)
            ids.add(record["query_id"])
            sums["finals"] += bool(record["final"])
            sums["cost_usd"] += record.get("cost_usd") or 0.0
            for column in ("input_tokens", "output_tokens"):
                sums[column] += record.get(column) or 0
    return ids, sums


def _spent_usd(file: Path, key: Key) -> float:
    """Returns what a key has spent this month."""
    store, now = open_store(file), time.time()
    limit = next(limit for limit in limits_of(key, now) if limit.unit == "usd" and limit.window == "month")
    (total,) = store.charge([Claim(counter=limit.counter, amount=0.0, expires_at=limit.ends_at)], now=now)
    store.close()
    return total


def soak(folder: Path, *, n: int, share: float, n_clients: int, seconds: float) -> bool:
    """Returns whether nothing was lost, having printed the ledger."""
    command = [sys.executable, "-m", "benchmarks.sidecar.faulty", "--share", str(share)]
    port = free_port()
    provider = Server([*command, "--port", str(port)], port=port, log=folder / "provider.log")
    key, text = new_key(Key(id="", name="soak", digest="", created_at=0.0))
    store = open_store(folder / "keys.db")
    store.put(key)
    store.close()
    upstream = f"http://127.0.0.1:{port}"
    models = folder / "models.yaml"
    models.write_text(_MODELS.format(url=f"{upstream}/v1", common=_COMMON), encoding="utf-8")
    port = free_port()
    command = [sys.executable, "-m", "penstock", "serve", "--models", str(models), "--port", str(port)]
    sidecar = Server(command, port=port, log=folder / "sidecar.log")
    seen = Seen()
    try:
        provider.wait(b"GET /ledger HTTP/1.1\r\n\r\n")
        sidecar.wait(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\n\r\n")
        asking = _ask_all(f"http://127.0.0.1:{port}", text, sidecar, seen, n=n, n_clients=n_clients, seconds=seconds)
        sent = asyncio.run(asking)
    finally:
        sidecar.stop()
        told = _ledger(upstream)
        provider.stop()
    ids, sums = _traces(folder / "traces")
    spent = _spent_usd(folder / "keys.db", key)
    print(f"faults: {', '.join(f'{name} {count}' for name, count in sorted(told['went_wrong'].items()))}")
    print(f"clients: {', '.join(f'{name} {count}' for name, count in sorted(seen.outcomes.items()))}")
    delays_ms = sorted(
        1000 * (when - seen.left_at[who]) for who, when in told["left_at"].items() if who in seen.left_at
    )
    if delays_ms:
        middle, longest = delays_ms[len(delays_ms) // 2], delays_ms[-1]
        print(
            f"after its client had left, the provider was left within {middle:.1f} ms (median), {longest:.1f} ms (most)"
        )
    print(f"as told with whole answers ${seen.cost_usd:.9f}, the rest failed or was left in the middle")
    balances = [
        ("requests", sent, "answers, errors and clients that left", seen.outcomes.total()),
        ("answers", seen.outcomes["answered"], "traces of an answer", sums["finals"]),
        ("requests", sent, "traces", len(ids)),
        ("budget spent", round(spent, 9), "cost of traces", round(sums["cost_usd"], 9)),
        ("input tokens told", told["told"].get("prompt_tokens", 0), "in traces", sums["input_tokens"]),
        ("output tokens told", told["told"].get("completion_tokens", 0), "in traces", sums["output_tokens"]),
        ("lost", seen.outcomes["lost"], "to be", 0),
    ]
    for left, first, right, second in balances:
        print(f"{'ok  ' if first == second else 'LOST'} {left} {first} = {right} {second}")
    print("\n".join(seen.wrong[:10]), file=sys.stderr)
    return all(first == second for _, first, _, second in balances)


def main() -> int:
    """Returns the exit code: 1 where something was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument(
        "--share", type=float, default=0.05, help="of the provider's calls that go wrong (default 0.05)"
    )
    parser.add_argument("--clients", type=int, default=32, help="at once (default 32)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="at most (default 3600)")
    options = parser.parse_args()
    unwind_at_sigterm()
    with tempfile.TemporaryDirectory() as folder:
        is_whole = soak(
            Path(folder),
            n=options.requests,
            share=options.share,
            n_clients=options.clients,
            seconds=options.seconds,
        )
    return 0 if is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
