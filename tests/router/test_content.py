from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import ConfigError, PenstockError, Query
from penstock.router import NoFeasibleBackend, Router, Wishes
from penstock.router.content import PlainContent, content_columns
from penstock.router.server import Sidecar

from .serving import HELLO, MODELS, WaitingBackend, acall, chat, make_router, write_models

SECRET = "write to ada@example.com"


def shout(text: str) -> str:
    """Returns the text in capitals, as a third party's redactor."""
    return text.upper()


def fail(text: str) -> str:
    """Fails as a third party's redactor may, with the text in its error."""
    raise ValueError(text)


def leave(text: str) -> None:
    """Leaves the program, as a script may."""
    raise SystemExit(text)


def forget(text: str) -> None:
    """Returns nothing, where a text is expected."""


def written_with(folder: Path, traces: str, *, ask: str = SECRET) -> list[dict[str, Any]]:
    """Returns what a router with these settings of the trace log writes when it is asked."""
    folder.mkdir(exist_ok=True)
    with Router.from_config(write_models(folder, f"{MODELS}traces: {{folder: log, {traces}}}\n")) as router:
        router.ask(ask)
    return read_log(folder)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Returns the records of a trace log."""
    return list(map(orjson.loads, (folder / "log" / "traces.jsonl").read_bytes().splitlines()))


def test_redactors_work_in_their_order_before_anything_is_written(tmp_path: Path) -> None:
    (record,) = written_with(tmp_path, f"content: on, redact: [patterns, '{__name__}:shout']")
    assert record["messages"] == [{"role": "user", "content": "WRITE TO [EMAIL]"}]
    assert record["response"] == "IT IS 391."


@pytest.mark.parametrize("text", ["data: ", "data:,", "data:text/plain,", "data:image/png;base64,"])
def test_a_text_that_begins_like_a_picture_is_redacted_all_the_same(tmp_path: Path, text: str) -> None:
    (record,) = written_with(tmp_path, "content: on, redact: [patterns]", ask=text + SECRET)
    assert "[email]" in record["messages"][0]["content"]


@pytest.mark.parametrize("redactor", ["fail", "forget", "leave"])
def test_a_redactor_that_fails_costs_the_content_and_leaks_nothing(
    tmp_path: Path, redactor: str, caplog: pytest.LogCaptureFixture
) -> None:
    (record,) = written_with(tmp_path, f"content: on, redact: ['{__name__}:{redactor}']")
    assert record["content_lost"] in ("ValueError", "TypeError", "SystemExit")
    assert (record["backend"], record["final"]) == ("small", True)
    for text in ("ada@example.com", "It is"):
        assert text not in orjson.dumps(record).decode() + caplog.text


def test_every_text_of_a_message_is_redacted_and_nothing_else() -> None:
    query = Query.from_messages(
        [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": SECRET},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,c2stcHJvag=="}},
                ],
            },
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"arguments": '{"to": "ada@example.com"}'}}]},
        ]
    )
    columns = content_columns(PlainContent([str.upper]), query, None)
    user, assistant = columns["messages"]
    assert (user["role"], user["content"][0]) == ("user", {"type": "text", "text": SECRET.upper()})
    assert user["content"][1]["image_url"]["url"] == "data:image/png;base64,c2stcHJvag=="
    assert assistant["tool_calls"][0]["function"]["arguments"] == '{"TO": "ADA@EXAMPLE.COM"}'


def test_hashes_tell_equal_texts_and_only_whoever_has_the_key_can_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACE_KEY", "a key")
    (first,) = written_with(tmp_path / "a", "content: hashed, hash_key_env: TRACE_KEY")
    (again,) = written_with(tmp_path / "b", "content: hashed, hash_key_env: TRACE_KEY")
    monkeypatch.setenv("TRACE_KEY", "another key")
    (other,) = written_with(tmp_path / "c", "content: hashed, hash_key_env: TRACE_KEY")
    message = b'[{"content":"write to ada@example.com","role":"user"}]'
    assert first["query_hash"] == hmac.new(b"a key", message, hashlib.sha256).hexdigest()
    assert first["response_hash"] == hmac.new(b"a key", b"It is 391.", hashlib.sha256).hexdigest()
    assert (first["query_hash"], first["response_hash"]) == (again["query_hash"], again["response_hash"])
    assert first["query_hash"] != other["query_hash"]
    assert not first.keys() & {"messages", "response", "logprobs"}


def test_without_the_key_of_its_hashes_no_router_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRACE_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"traces\.hash_key_env: the environment variable TRACE_KEY is not set"):
        written_with(tmp_path, "content: hashed, hash_key_env: TRACE_KEY")


def test_a_request_that_nobody_may_answer_leaves_a_trace_without_content(tmp_path: Path) -> None:
    path = write_models(tmp_path, MODELS + "traces: {folder: log, content: on}\n")
    with Router.from_config(path) as router:
        with pytest.raises(NoFeasibleBackend):
            router.ask(SECRET, wishes=Wishes(deny=("small", "lrm")))
        with pytest.raises(PenstockError):
            router.ask(SECRET, policy="atuo")
    assert [(record["backend"], record["error"]) for record in read_log(tmp_path)] == [
        (None, "NoFeasibleBackend"),
        (None, "UnknownPolicy"),
    ]
    assert "ada@example.com" not in (tmp_path / "log" / "traces.jsonl").read_text()


BAD_REQUESTS: Mapping[str, Any] = {
    "no_feasible_backend": {"messages": HELLO, "penstock": {"deny": ["small", "lrm"]}},
    "invalid_json": b"{",
    "InvalidRequest": {"messages": 7},
    "model_not_found": {"messages": HELLO, "model": "gpt"},
}


def test_every_request_to_the_sidecar_leaves_a_trace_under_the_id_that_its_client_is_told(tmp_path: Path) -> None:
    told = []
    with Router.from_config(write_models(tmp_path, MODELS + "traces: {folder: log}\n")) as router:
        app = Sidecar(router)
        told.append(chat(app).headers["x-penstock-trace-id"])
        for body in BAD_REQUESTS.values():
            got = asyncio.run(acall(app, "/v1/chat/completions", body))
            assert got.status in (400, 404)
            told.append(got.headers["x-penstock-trace-id"])
    records = read_log(tmp_path)
    assert [record["query_id"] for record in records] == told
    assert [record["error"] for record in records] == [None, *BAD_REQUESTS]


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_request_whose_client_leaves_leaves_one_trace(tmp_path: Path, is_stream: bool) -> None:
    waiting = WaitingBackend()
    write_models(tmp_path, MODELS + "traces: {folder: log}\n")

    async def leave() -> None:
        gone = asyncio.Event()
        router = Router.from_config(tmp_path / "models.yaml", backends={"small": waiting})
        router.live_on(asyncio.get_running_loop())
        body = {"messages": HELLO, "model": "small", "stream": is_stream}
        asked = asyncio.create_task(acall(Sidecar(router), "/v1/chat/completions", body, gone=gone))
        await asyncio.to_thread(waiting.has_begun.wait)
        gone.set()
        await asked
        await router.aclose()

    asyncio.run(leave())
    assert [(record["backend"], record["final"], record["error"]) for record in read_log(tmp_path)] == [
        ("small", False, "BrokenOff")
    ]


def test_two_answers_are_compared_or_it_is_said_why_not(tmp_path: Path) -> None:
    with make_router(tmp_path) as router:
        one, two = router.ask("a").trace_id, router.ask("a").trace_id
        router.compare(one, two, "other")
        router.compare(one, one, "tie", backend="small", other_backend="lrm")
        for given, said in (
            ((one, two, "first"), "unknown winner 'first'; expected one of this, other, tie"),
            ((one, one, "tie"), "both are one answer"),
            ((one, "unknown", "tie"), "unknown trace id 'unknown'"),
        ):
            with pytest.raises(PenstockError, match=said):
                router.compare(*given)
