"""The sidecar, called as the ASGI application that it is."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import (
    AuthenticationFailed,
    BackendError,
    BackendTimeout,
    BackendUnreachable,
    Completion,
    ContextTooLong,
    FakeBackend,
    InvalidRequest,
    Query,
    RateLimited,
    ServerFailed,
)
from penstock.router import Router, Wishes
from penstock.router.headers import encode_headers
from penstock.router.server import Sidecar

from .serving import HELLO, MODELS, WaitingBackend, acall, call, chat, make_judging_router, make_router, write_models


@pytest.fixture
def app(tmp_path: Path) -> Sidecar:
    return Sidecar(make_router(tmp_path), clock=lambda: 1_700_000_000.9)


def failing(folder: Path, small: BackendError, lrm: BackendError) -> Sidecar:
    return Sidecar(make_router(folder, small=FakeBackend(answer=small), lrm=FakeBackend(answer=lrm)))


def test_a_policy_is_answered_by_the_backend_it_chooses(app: Sidecar) -> None:
    got = chat(app, model="auto")
    assert got.status == 200
    assert got.json["model"] == got.headers["x-penstock-backend"] == "small"
    assert got.json["choices"][0]["message"] == {"role": "assistant", "content": "It is 391."}
    assert got.json["object"] == "chat.completion"
    assert got.json["created"] == 1_700_000_000
    assert got.json["usage"]["total_tokens"] > 0


def test_a_backend_is_passed_through_by_its_name(app: Sidecar) -> None:
    assert chat(app, model="lrm").headers["x-penstock-path"] == "lrm"


@pytest.mark.parametrize("fields", [{}, {"model": None}])
def test_without_a_model_the_default_policy_decides(app: Sidecar, fields: dict[str, Any]) -> None:
    assert chat(app, **fields).json["penstock"]["policy"] == "auto"


def test_the_headers_tell_what_the_body_tells(app: Sidecar) -> None:
    got = chat(app)
    told = got.json["penstock"]
    for name in ("backend", "path", "reason", "trace_id"):
        assert got.headers[f"x-penstock-{name.replace('_', '-')}"] == told[name]
    for name in ("quality", "confidence", "cost_usd"):
        assert float(got.headers[f"x-penstock-{name.replace('_', '-')}"]) == pytest.approx(told[name])
    assert got.json["id"] == f"chatcmpl-{told['trace_id']}"


def test_every_request_has_a_trace_id_of_its_own(app: Sidecar) -> None:
    assert chat(app).json["id"] != chat(app).json["id"]


def test_unknown_fields_travel_untouched(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "max_tokens": "a lot",
        "metadata": {"deep": [1, None, {"er": "x"}]},
        "policy": "mine",
    }
    assert chat(Sidecar(make_router(tmp_path, small=small)), **fields).status == 200
    assert dict(small.queries[0].params) == fields


def test_messages_travel_untouched(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}], "name": "x"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "content": "7", "tool_call_id": "a"},
    ]
    chat(Sidecar(make_router(tmp_path, small=small)), messages=messages)
    assert [dict(message) for message in small.queries[0].messages] == messages


def test_wishes_come_in_the_body(app: Sidecar) -> None:
    assert chat(app, penstock={"min_quality": 0.8}).json["model"] == "lrm"


def test_wishes_come_as_headers(app: Sidecar) -> None:
    assert chat(app, headers={"X-Penstock-Min-Quality": "0.8"}).json["model"] == "lrm"
    assert chat(app, headers={"x-penstock-deny": "small"}).json["model"] == "lrm"


def test_a_wish_in_the_body_holds_over_the_same_one_in_a_header(app: Sidecar) -> None:
    got = chat(app, penstock={"allow": ["small"]}, headers={"x-penstock-allow": "lrm", "x-penstock-lam": "1"})
    assert got.json["model"] == "small"


def test_wishes_do_not_reach_the_backend(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    chat(Sidecar(make_router(tmp_path, small=small)), penstock={"lam": 5}, stream=False)
    assert not small.queries[0].params


def test_headers_are_printable_ascii_whatever_they_tell() -> None:
    told = encode_headers({"x-penstock-reason": "größe\r\nset-cookie: a=1", "x-penstock-path": ""})
    assert told == [(b"x-penstock-reason", b"gr%C3%B6%C3%9Fe%0D%0Aset-cookie: a=1")]


def test_a_failed_backend_is_marked_in_the_path(tmp_path: Path) -> None:
    got = chat(Sidecar(make_router(tmp_path, small=FakeBackend(answer=ServerFailed("down")))))
    assert got.headers["x-penstock-path"] == "small!>lrm"
    assert got.json["model"] == "lrm"


def test_a_doubtful_answer_is_escalated(tmp_path: Path) -> None:
    backends = {"small": FakeBackend(answer="wrong"), "lrm": FakeBackend(answer="right")}
    got = chat(Sidecar(make_judging_router(tmp_path, backends)))
    assert got.headers["x-penstock-path"] == "small>lrm"
    assert float(got.headers["x-penstock-confidence"]) > 0.999
    assert got.json["choices"][0]["message"]["content"] == "right"


BAD_REQUESTS: dict[str, tuple[Any, str]] = {
    "no JSON": (b'{"messages": [}', "line 1 column 15"),
    "empty": (b"", "not JSON"),
    "no UTF-8": (b'{"messages": "\xff"}', "not JSON"),
    "no object": ([], "not a JSON object"),
    "no messages": ({}, "messages"),
    "messages of the wrong kind": ({"messages": "hi"}, "messages"),
    "a message without a role": ({"messages": [{"content": "hi"}]}, "messages[0]"),
    "content of the wrong kind": ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
    "a part of the wrong kind": ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]"),
    "model of the wrong kind": ({"messages": HELLO, "model": 7}, "model"),
    "stream of the wrong kind": ({"messages": HELLO, "stream": "yes"}, "stream"),
    "stream options of the wrong kind": ({"messages": HELLO, "stream_options": [1]}, "stream_options"),
    "unknown wish": ({"messages": HELLO, "penstock": {"speed": 1}}, "max_latency_s"),
    "wishes of the wrong kind": ({"messages": HELLO, "penstock": [1]}, "penstock"),
    "unknown backend in a wish": ({"messages": HELLO, "penstock": {"allow": ["x"]}}, "small, lrm"),
    "nobody is left": ({"messages": HELLO, "penstock": {"min_quality": 0.99}}, "is below min_quality"),
    "nobody can see": (
        {"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "penstock": {"deny": ["small"]}},
        "lrm: does not support vision",
    ),
    "nobody gives two answers": ({"messages": HELLO, "n": 2}, "small: does not support n; lrm: does not support n"),
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/route"])
@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_a_bad_request_is_refused_with_a_reason(app: Sidecar, case: str, path: str) -> None:
    body, said = BAD_REQUESTS[case]
    got = call(app, path, body)
    assert got.status == 400
    assert said in got.json["error"]["message"]
    assert got.json["error"]["type"] == "invalid_request_error"
    assert got.json["error"].keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_unknown_model_is_not_found(app: Sidecar, is_stream: bool) -> None:
    got = chat(app, model="gpt", stream=is_stream)
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
    assert "expected one of auto, best, small, lrm" in got.json["error"]["message"]


def test_an_unknown_header_wish_is_refused(app: Sidecar) -> None:
    got = chat(app, headers={"x-penstock-speed": "1"})
    assert got.status == 400
    assert "headers x-penstock-*: unknown wish 'speed'" in got.json["error"]["message"]


def test_an_unknown_path_is_not_found(app: Sidecar) -> None:
    got = call(app, "/v1/completions", {})
    assert (got.status, got.json["error"]["type"]) == (404, "not_found_error")
    assert "/v1/chat/completions" in got.json["error"]["message"]


def test_a_wrong_method_is_told_the_right_one(app: Sidecar) -> None:
    got = call(app, "/v1/chat/completions", method="GET")
    assert (got.status, got.headers["allow"]) == (405, "POST")


def test_health_may_be_asked_for_with_head(app: Sidecar) -> None:
    assert call(app, "/healthz", method="HEAD").status == 200


def test_a_body_that_announces_too_much_is_not_even_read(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path), max_body_bytes=100)
    got = call(app, "/v1/chat/completions", b"", method="POST", headers={"content-length": "101"})
    assert (got.status, got.json["error"]["code"]) == (413, "request_too_large")


def test_a_body_that_grows_too_large_is_refused(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path), max_body_bytes=100)
    assert call(app, "/v1/chat/completions", b"x" * 101).status == 413
    assert call(app, "/v1/chat/completions", b"x" * 100).status == 400


BOTH_FAIL: dict[str, tuple[BackendError, BackendError, int, str | None]] = {
    "limited": (RateLimited("slow down", retry_after_s=7.2), RateLimited("slow"), 429, "rate_limit_exceeded"),
    "limited and refused": (RateLimited("slow down"), InvalidRequest("no"), 429, "rate_limit_exceeded"),
    "timed out": (BackendTimeout("late"), BackendTimeout("late"), 504, "upstream_timeout"),
    "unreachable": (BackendUnreachable("gone"), BackendUnreachable("gone"), 503, "upstream_unreachable"),
    "failed": (ServerFailed("down"), BackendTimeout("late"), 502, "upstream_failed"),
    "keys": (AuthenticationFailed("bad key"), AuthenticationFailed("bad"), 502, "upstream_authentication_failed"),
    "a key and a refusal": (AuthenticationFailed("k"), InvalidRequest("no"), 502, "upstream_authentication_failed"),
    "refused": (InvalidRequest("no such field"), InvalidRequest("no"), 400, None),
    "too long": (ContextTooLong("long"), ContextTooLong("long"), 400, "context_length_exceeded"),
    "too long and refused": (ContextTooLong("long"), InvalidRequest("no"), 400, None),
}


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("case", BOTH_FAIL)
def test_what_went_wrong_upstream_decides_the_status(tmp_path: Path, case: str, is_stream: bool) -> None:
    small, lrm, status, code = BOTH_FAIL[case]
    got = chat(failing(tmp_path, small, lrm), stream=is_stream)
    assert (got.status, got.json["error"]["code"]) == (status, code)
    assert got.json["error"]["message"].startswith("every backend failed: ")
    assert got.is_complete
    assert len(got.headers["x-penstock-trace-id"]) == 32


def test_the_shortest_wait_is_told(tmp_path: Path) -> None:
    limited = (RateLimited("slow", retry_after_s=7.2), RateLimited("slow", retry_after_s=60))
    assert chat(failing(tmp_path, *limited)).headers["retry-after"] == "8"


def test_no_wait_is_told_where_none_is_known(tmp_path: Path) -> None:
    assert "retry-after" not in chat(failing(tmp_path, RateLimited("slow"), RateLimited("slow"))).headers


def test_what_a_provider_says_of_a_key_stays_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    error = AuthenticationFailed("HTTP 401: bad key pk-secret-1", backend="small", status=401)
    got = chat(failing(tmp_path, error, ServerFailed("down", backend="lrm")))
    assert got.status == 502
    assert b"pk-secret" not in got.body
    assert "small: the provider refuses the key that this sidecar is configured with" in got.json["error"]["message"]
    assert "pk-secret-1" in caplog.text


@pytest.mark.parametrize("is_stream", [False, True])
def test_what_a_provider_says_of_a_key_stays_in_the_log_where_another_one_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, is_stream: bool
) -> None:
    error = AuthenticationFailed("HTTP 401: bad key pk-secret-1 of acme", backend="small", status=401)
    got = chat(Sidecar(make_router(tmp_path, small=FakeBackend(answer=error))), stream=is_stream)
    told = (got.chunks[-1] if is_stream else got.json)["penstock"]
    assert told["path"] == "small!>lrm"
    assert told["steps"][0]["error"].startswith("small: the provider refuses the key")
    assert b"acme" not in got.body
    assert [record.levelno for record in caplog.records if "pk-secret-1" in record.getMessage()] == [logging.WARNING]


def test_a_failure_upstream_is_logged_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    got = chat(failing(tmp_path, ServerFailed("down\nand out"), ServerFailed("down")))
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert got.headers["x-penstock-trace-id"] in record.getMessage()
    assert "\n" not in record.getMessage()


def test_a_bug_is_logged_and_told_as_an_internal_error(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def explode(query: object) -> str:
        raise ZeroDivisionError("secret detail")

    got = chat(Sidecar(make_router(tmp_path, small=FakeBackend(explode))))
    assert (got.status, got.json["error"]["type"]) == (500, "server_error")
    assert b"secret detail" not in got.body
    assert b"Traceback" not in got.body
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_half_a_surrogate_pair_in_an_answer_is_replaced(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path, small=FakeBackend(lambda query: Completion(text="a\ud800b"))))
    assert chat(app).json["choices"][0]["message"]["content"] == "a?b"
    assert chat(app, stream=True).chunks[0]["choices"][0]["delta"]["content"] == "a?b"


def test_log_probabilities_are_there_when_asked_for_only(tmp_path: Path) -> None:
    answer = Completion(text="ab", tokens=("a", "b"), logprobs=(-0.5, -1.5))
    app = Sidecar(make_router(tmp_path, small=FakeBackend(answer=answer)))
    assert chat(app).json["choices"][0]["logprobs"] is None
    told = chat(app, logprobs=True).json["choices"][0]["logprobs"]["content"]
    assert [(token["token"], token["logprob"]) for token in told] == [("a", -0.5), ("b", -1.5)]


def test_tool_calls_and_reasoning_are_passed_on(tmp_path: Path) -> None:
    tool_call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    answer = Completion(text="", reasoning="hm", tool_calls=(tool_call,), finish_reason="tool_calls")
    choice = chat(Sidecar(make_router(tmp_path, small=FakeBackend(answer=answer)))).json["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"] == [tool_call]
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["message"]["content"] is None


def test_policies_are_listed_before_backends_and_the_default_one_first(tmp_path: Path) -> None:
    path = write_models(tmp_path, MODELS + "default_policy: best\n")
    got = call(Sidecar(Router.from_config(path)), "/v1/models")
    assert got.json["object"] == "list"
    assert [model["id"] for model in got.json["data"]] == ["best", "auto", "small", "lrm"]
    assert all(model["object"] == "model" and isinstance(model["created"], int) for model in got.json["data"])


def test_a_dry_run_tells_the_decision_and_calls_nothing(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    router = make_router(tmp_path, small=small)
    got = call(Sidecar(router), "/v1/route", {"messages": HELLO, "penstock": {"deny": ["lrm"]}})
    assert got.status == 200
    assert got.json == router.route(messages=HELLO, wishes=Wishes(deny=("lrm",))).as_dict()
    assert got.headers["x-penstock-backend"] == "small"
    assert not small.queries


def test_feedback_finds_the_trace_by_header_or_by_id(tmp_path: Path) -> None:
    path = write_models(tmp_path, MODELS + "traces: {folder: log}\n")
    with Router.from_config(path) as router:
        app = Sidecar(router)
        answered = chat(app)
        trace_id = answered.headers["x-penstock-trace-id"]
        for given in (trace_id, answered.json["id"]):
            assert call(app, "/v1/feedback", {"trace_id": given, "score": 1}).json["recorded"] is True
    _, *scores = map(orjson.loads, (tmp_path / "log" / "traces.jsonl").read_bytes().splitlines())
    assert scores == [{"query_id": trace_id, "backend": "small", "score": 1.0}] * 2


def test_feedback_is_a_score_a_thumb_or_a_comparison(tmp_path: Path) -> None:
    with Router.from_config(write_models(tmp_path, MODELS + "traces: {folder: log}\n")) as router:
        app = Sidecar(router)
        one, two = (chat(app, model=model).headers["x-penstock-trace-id"] for model in ("small", "lrm"))
        for body in (
            {"trace_id": one, "score": 0.5},
            {"trace_id": one, "thumbs": "up"},
            {"trace_id": two, "thumbs": "down"},
            {"trace_id": one, "other_trace_id": two, "winner": "this"},
            {"trace_id": one, "backend": "small", "other_backend": "lrm", "winner": "tie"},
        ):
            assert call(app, "/v1/feedback", body).status == 200
    written = list(map(orjson.loads, (tmp_path / "log" / "traces.jsonl").read_bytes().splitlines()))
    small, lrm = {"query_id": one, "backend": "small"}, {"query_id": two, "backend": "lrm"}
    assert written[2:] == [
        {**small, "score": 0.5},
        {**small, "score": 1.0},
        {**lrm, "score": 0.0},
        {**small, "other_query_id": two, "other_backend": "lrm", "winner": "this"},
        {**small, "other_query_id": one, "other_backend": "lrm", "winner": "tie"},
    ]


@pytest.mark.parametrize("max_mb", [64, 0.0001])
def test_feedback_finds_in_the_trace_log_what_another_process_answered(tmp_path: Path, max_mb: float) -> None:
    path = write_models(tmp_path, MODELS + f"traces: {{folder: log, max_mb: {max_mb}}}\n")
    with Router.from_config(path) as one, Router.from_config(path) as other:
        trace_id = chat(Sidecar(one), model="lrm").headers["x-penstock-trace-id"]
        with (tmp_path / "log" / "traces.jsonl").open("ab") as log:
            log.write(b'{"query_id": "torn\n')
        app = Sidecar(other)
        assert call(app, "/v1/feedback", {"trace_id": trace_id, "score": 1}).status == 200
        assert call(app, "/v1/feedback", {"trace_id": trace_id[:-1], "score": 1}).status == 404
        assert other.backend_of(trace_id) == "lrm"
        for file in (tmp_path / "log").iterdir():
            file.unlink()
        assert call(app, "/v1/feedback", {"trace_id": trace_id, "score": 0}).status == 200  # it was remembered
        assert call(app, "/v1/feedback", {"trace_id": "nope", "score": 0}).status == 404
    (written,) = map(orjson.loads, (tmp_path / "log" / "traces.jsonl").read_bytes().splitlines())
    assert written == {"query_id": trace_id, "backend": "lrm", "score": 0.0}


def test_feedback_on_an_unknown_trace_is_not_found(app: Sidecar) -> None:
    got = call(app, "/v1/feedback", {"trace_id": "nope", "score": 0.5})
    assert (got.status, got.json["error"]["code"]) == (404, "trace_not_found")


BAD_FEEDBACK: dict[str, dict[str, Any]] = {
    "trace_id": {"score": 1},
    "trace_id: expected at most 200 signs, got 201": {"trace_id": "a" * 201, "score": 1, "backend": "small"},
    "score": {"trace_id": "a"},
    "score: expected a number from 0 to 1, got 2": {"trace_id": "a", "score": 2},
    "score: expected a number from 0 to 1, got True": {"trace_id": "a", "score": True},
    "backend": {"trace_id": "a", "score": 1, "backend": 7},
    "thumbs: expected up or down, got 'sideways'": {"trace_id": "a", "thumbs": "sideways"},
    "thumbs: expected this or score, not both": {"trace_id": "a", "thumbs": "up", "score": 1},
    "winner: expected one of this, other, tie, got 'a'": {"trace_id": "a", "other_trace_id": "b", "winner": "a"},
    "winner: expected one of this, other, tie, got None": {"trace_id": "a", "other_trace_id": "b"},
    "other_trace_id: expected": {"trace_id": "a", "other_trace_id": 7, "winner": "tie"},
    "unknown field 'score'": {"trace_id": "a", "other_trace_id": "b", "winner": "tie", "score": 1},
    "unknown field 'stars'": {"trace_id": "a", "score": 1, "stars": 5},
}


@pytest.mark.parametrize("said", BAD_FEEDBACK)
def test_malformed_feedback_is_refused(app: Sidecar, said: str) -> None:
    got = call(app, "/v1/feedback", BAD_FEEDBACK[said])
    assert got.status == 400
    assert said in got.json["error"]["message"]


async def live(app: Sidecar) -> tuple[list[Any], asyncio.Event, asyncio.Task[None]]:
    """Starts the application's life; returns what it says, the event that ends it, and its task."""
    said: list[Any] = []
    has_said, end = asyncio.Event(), asyncio.Event()
    events = [{"type": "lifespan.startup"}]

    async def receive() -> Any:
        if events:
            return events.pop()
        await end.wait()
        return {"type": "lifespan.shutdown"}

    async def send(event: Any) -> None:
        said.append(event)
        has_said.set()

    task = asyncio.create_task(app({"type": "lifespan"}, receive, send))
    await has_said.wait()
    return said, end, task


def test_it_is_ready_from_start_up_to_shut_down(tmp_path: Path) -> None:
    small = FakeBackend(answer="ok")
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> list[int]:
        statuses = [(await acall(app, "/readyz")).status]
        said, end, task = await live(app)
        assert said == [{"type": "lifespan.startup.complete"}]
        statuses.append((await acall(app, "/readyz")).status)
        app.is_stopping = True
        statuses.append((await acall(app, "/readyz")).status)
        end.set()
        await task
        assert said[-1] == {"type": "lifespan.shutdown.complete"}
        return [*statuses, (await acall(app, "/healthz")).status]

    assert asyncio.run(run()) == [503, 200, 503, 200]
    assert small.is_closed


def test_a_missing_key_fails_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ABSENT_KEY", raising=False)
    text = "backends: {far: {type: openai, model: m, price: {input: 1, output: 1}, api_key_env: ABSENT_KEY}}"
    app = Sidecar(Router.from_config(write_models(tmp_path, text)))

    async def run() -> list[Any]:
        said, _, task = await live(app)
        await task
        return said

    (failed,) = asyncio.run(run())
    assert failed["type"] == "lifespan.startup.failed"
    assert "ABSENT_KEY" in failed["message"]


def test_after_shut_down_a_request_is_told_so(tmp_path: Path) -> None:
    router = make_router(tmp_path)
    router.close()
    got = chat(Sidecar(router))
    assert (got.status, got.json["error"]["message"]) == (503, "the router is closed; make another one")


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_call_ends_upstream_when_the_client_leaves(tmp_path: Path, is_stream: bool) -> None:
    small = WaitingBackend()
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> None:
        gone = asyncio.Event()
        body = {"messages": HELLO, "stream": is_stream}
        request = asyncio.create_task(acall(app, "/v1/chat/completions", body, gone=gone))
        while not small.has_begun.is_set():
            await asyncio.sleep(0.01)
        gone.set()
        got = await request
        assert not got.is_complete

    asyncio.run(run())
    assert small.was_left.is_set()


def test_a_client_that_leaves_within_its_own_request_is_not_answered(app: Sidecar) -> None:
    async def run() -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}
        await app(scope, receive, send)
        return sent

    assert asyncio.run(run()) == []


def test_a_call_that_outlives_the_server_is_told_that_it_stops(tmp_path: Path) -> None:
    small = WaitingBackend()
    app = Sidecar(make_router(tmp_path, small=small))

    async def run() -> tuple[int, str]:
        request = asyncio.create_task(acall(app, "/v1/chat/completions", {"messages": HELLO}))
        while not small.has_begun.is_set():
            await asyncio.sleep(0.01)
        app.is_stopping = True
        request.cancel()
        got = await request
        return got.status, got.json["error"]["message"]

    assert asyncio.run(run()) == (503, "the sidecar is being stopped")
    assert small.was_left.is_set()


def test_of_requests_that_came_together_the_first_is_answered_before_the_last_begins(tmp_path: Path) -> None:
    n_begun, n_begun_at_end = 0, []

    class PromptBackend(FakeBackend):
        async def complete(self, query: Query) -> Completion:
            nonlocal n_begun
            n_begun += 1
            await asyncio.sleep(0)
            return await super().complete(query)

    app = Sidecar(make_router(tmp_path, small=PromptBackend(answer="391")))

    async def ask() -> None:
        await acall(app, "/v1/chat/completions", {"model": "small", "messages": HELLO})
        n_begun_at_end.append(n_begun)

    async def main() -> None:
        await asyncio.gather(*(ask() for _ in range(30)))

    asyncio.run(main())
    assert n_begun_at_end[0] < 10
