"""What the tests of `collect` share: prompts of sums, and a server that adds up or fails."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penstock.backends import Completion, Query
from penstock.training import Trace
from penstock.training.collecting.trace_file import open_trace_file
from penstock.training.prompts import Prompt, parse_prompt

from ..backends.loopback import Asked, Canned, json_reply

CHECKED_BY = {"small": 3, "large": 1}  # of so many sums one is right


def sums(n: int) -> list[dict[str, Any]]:
    """Returns the rows of n prompts."""
    return [{"query_id": f"q{i}", "query": f"What is {i} + {i + 7}?", "answer": 2 * i + 7} for i in range(n)]


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Writes rows as JSONL and returns the path."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def prompts_of(rows: Sequence[dict[str, Any]]) -> list[Prompt]:
    """Returns rows as prompts."""
    return [parse_prompt(row, where=f"prompts.jsonl, line {line}") for line, row in enumerate(rows, start=1)]


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Returns the rows of a JSONL file, which must end with a line end."""
    text = path.read_text(encoding="utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def keys_of(rows: Sequence[dict[str, Any]]) -> Counter[tuple[str, str, int]]:
    """Returns how often each answer stands in the rows."""
    return Counter((row["query_id"], row["backend"], row.get("draw", 0)) for row in rows if "query" in row)


def added(text: str) -> int:
    """Returns the sum that a prompt of `sums` asks for."""
    first, _, second = text.removeprefix("What is ").removesuffix("?").partition(" + ")
    return int(first) + int(second)


def answer_to(query: Query) -> Completion:
    """Returns the right answer, as a fake backend gives it."""
    return Completion(text=f"It is {added(query.text)}.", cost_usd=0.001)


class SumServer:
    """Adds up for `small`, which is right one time in three, and `large`, which always is. Fails first with `fail`."""

    def __init__(self, fail: Callable[[Asked], Canned | None] = lambda asked: None) -> None:
        self.served: Counter[tuple[str, str, int]] = Counter()  # by model, text and seed: answered in full
        self._fail = fail

    def __call__(self, asked: Asked) -> Canned:
        failed = self._fail(asked)
        if failed is not None:
            return failed
        body = asked.json
        text = body["messages"][0]["content"]
        self.served[body["model"], text, body.get("seed", 0)] += 1
        right = added(text)
        given = right if right % CHECKED_BY[body["model"]] == 0 else right + 1
        return completion_of(f"Let me add: the sum is {given}.")


def completion_of(text: str) -> Canned:
    """Returns a reply as an OpenAI-compatible server gives it."""
    message = {"role": "assistant", "content": text}
    return json_reply(
        {
            "id": "x",
            "object": "chat.completion",
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
        }
    )


def fails_at_random(seed: int) -> Callable[[Asked], Canned | None]:
    """Returns a way to fail two times in five, each time in another way."""
    rng = random.Random(seed)

    def fail(asked: Asked) -> Canned | None:
        lot = rng.random()
        if lot < 0.10:
            return json_reply({"error": {"message": "boom"}}, status=500)
        if lot < 0.16:
            headers = {"retry-after-ms": "20"} if rng.random() < 0.5 else {}
            return json_reply({"error": {"message": "slow down"}}, status=429, headers=headers)
        if lot < 0.24:
            raise ConnectionResetError  # the server hangs up without a word
        if lot < 0.30:
            return Canned(body=b'{"choices": [{"mess')
        if lot < 0.35:
            return Canned(body=b'{"choices": []}')
        if lot < 0.39:
            return Canned(body=b'{"choices":', ending="cut")
        if lot < 0.40:
            return Canned(body=b'{"choices":', ending="hang")
        return None

    return fail


def write_models(folder: Path, url: str, *, concurrency: int = 8, total_s: float = 3.0) -> Path:
    """Writes a models.yaml with `small` and `large` at an address and returns its path."""
    path = folder / "models.yaml"
    entry = (
        "  {name}: {{type: openai, model: {name}, base_url: '{url}', price: {{input: {price}, output: {price}}}, "
        "limits: {{concurrency: {concurrency}}}, timeout: {{total_s: {total_s}}}}}\n"
    )
    path.write_text(
        "backends:\n"
        + "".join(
            entry.format(name=name, url=url, price=price, concurrency=concurrency, total_s=total_s)
            for name, price in (("small", 1), ("large", 10))
        )
    )
    return path


def rows_in(path: Path, prompts: Sequence[Prompt] = ()) -> dict[tuple[str, str, int], Trace]:
    """Returns what a trace file holds, as a resumed run sees it."""
    with open_trace_file(path) as file:
        return file.rows(prompts)
