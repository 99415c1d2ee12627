"""Conversations through the sidecar: in every format, streamed or not, and never across keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import FakeBackend
from penstock.router import Router
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.server import Sidecar

from ..serving import Got, acall, write_models
from .test_conversations import FOLLOW_UP, LONG, MODELS, Caching

ASKED: dict[str, Any] = {"role": "user", "content": LONG}


def make_sidecar(folder: Path, keys: MemoryStore | None = None) -> Sidecar:
    backends = {name: FakeBackend(Caching(name)) for name in ("small", "lrm")}
    return Sidecar(Router.from_config(write_models(folder, MODELS), backends=backends), keys=keys)


def text_in(path: str, got: Got) -> str:
    """Returns the text of a reply, whole or streamed."""
    if not got.headers["content-type"].startswith("text/event-stream"):
        body = got.json
        if path == "/v1/messages":
            return str(body["content"][0]["text"])
        return str(
            body["output"][0]["content"][0]["text"] if "output" in body else body["choices"][0]["message"]["content"]
        )
    lines = [line[6:] for line in got.body.decode().splitlines() if line.startswith("data: {")]
    text = ""
    for event in map(orjson.loads, lines):
        if path == "/v1/responses":
            text += event["delta"] if event["type"] == "response.output_text.delta" else ""
        elif path == "/v1/messages":
            text += (event.get("delta") or {}).get("text", "")
        else:
            text += "".join(choice["delta"].get("content") or "" for choice in event["choices"])
    return text


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
def test_a_conversation_stays_in_every_format(tmp_path: Path, path: str, is_stream: bool) -> None:
    async def talk() -> Got:
        sidecar = make_sidecar(tmp_path)
        turns: list[Any] = [ASKED]
        field = "input" if path == "/v1/responses" else "messages"
        first = await acall(sidecar, path, {field: turns, "stream": is_stream}, headers={"x-penstock-deny": "small"})
        turns += [{"role": "assistant", "content": text_in(path, first)}, FOLLOW_UP]
        return await acall(sidecar, path, {field: turns, "stream": is_stream})

    got = asyncio.run(talk())
    assert got.headers["x-penstock-backend"] == "lrm"
    assert "stays with lrm, whose cache saves $0.0" in got.headers["x-penstock-reason"]


def test_what_one_key_has_said_is_not_known_to_another(tmp_path: Path) -> None:
    keys = MemoryStore()
    texts = []
    for name in ("ann", "bob"):
        key, text = new_key(Key(id="", name=name, digest="", created_at=0.0))
        keys.put(key)
        texts.append({"authorization": f"Bearer {text}"})
    named = {"conversation": "chat-7"}

    async def talk() -> list[Any]:
        sidecar = make_sidecar(tmp_path, keys)
        wishes = named | {"deny": ["small"]}
        path = "/v1/chat/completions"
        first = await acall(sidecar, path, {"messages": [ASKED], "penstock": wishes}, headers=texts[0])
        turns = [ASKED, {"role": "assistant", "content": text_in(path, first)}, FOLLOW_UP]
        asked = {"messages": turns, "penstock": named}
        return [(await acall(sidecar, "/v1/route", asked, headers=headers)).json["backend"] for headers in texts]

    assert asyncio.run(talk()) == ["lrm", "small"]
