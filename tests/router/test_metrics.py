"""What the sidecar tells Prometheus."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.backends import FakeBackend, ServerFailed
from penstock.router import Router
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.metrics import Counter, Histogram
from penstock.router.server import Sidecar

from .serving import (
    HELLO,
    MODELS,
    WaitingBackend,
    acall,
    call,
    chat,
    make_judging_router,
    make_router,
    serving,
    write_models,
)

_SAMPLE = re.compile(r"(\w+)(\{(?:\w+=\"(?:[^\"\\]|\\.)*\",?)+\})? (\S+)")


def samples(app: Sidecar) -> dict[str, float]:
    """Returns what is told, by name and labels."""
    got = call(app, "/metrics")
    assert (got.status, got.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert got.body.endswith(b"\n")
    return read(got.body.decode())


def read(text: str) -> dict[str, float]:
    found = [_SAMPLE.fullmatch(line) for line in text.splitlines() if not line.startswith("# ")]
    assert all(found), text
    return {f"{match[1]}{match[2] or ''}": float(match[3]) for match in found if match}


@pytest.fixture
def app(tmp_path: Path) -> Sidecar:
    return Sidecar(make_router(tmp_path))


def test_requests_are_counted_by_path_and_status(app: Sidecar) -> None:
    chat(app)
    chat(app, stream=True)
    chat(app, model="nobody")
    call(app, "/v1/models/small")
    call(app, "/v1/no/such/path")
    told = samples(app)
    assert told['penstock_requests_total{path="/v1/chat/completions",status="200"}'] == 2
    assert told['penstock_requests_total{path="/v1/chat/completions",status="404"}'] == 1
    assert told['penstock_requests_total{path="/v1/models",status="200"}'] == 1
    assert told['penstock_requests_total{path="other",status="404"}'] == 1
    assert told['penstock_request_seconds_count{path="/v1/chat/completions"}'] == 3
    assert told["penstock_first_piece_seconds_count"] == 1
    assert told["penstock_decision_seconds_count"] == 2


@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_is_counted_with_its_tokens_and_its_cost(app: Sidecar, is_stream: bool) -> None:
    told_by_reply = chat(app, model="best").json
    chat(app, model="best", stream=is_stream)
    told = samples(app)
    assert told['penstock_answers_total{policy="best",backend="lrm"}'] == 2
    assert told['penstock_calls_total{backend="lrm",result="ok"}'] == 2
    assert told['penstock_tokens_total{backend="lrm",kind="output"}'] == 2 * told_by_reply["usage"]["completion_tokens"]
    assert told['penstock_cost_usd_total{backend="lrm"}'] == pytest.approx(2 * told_by_reply["penstock"]["cost_usd"])
    assert "penstock_moves_total" not in str(told)


def test_what_the_best_would_have_cost_is_that_of_the_best_for_each_query(app: Sidecar) -> None:
    estimates = call(app, "/v1/route", {"messages": HELLO}).json["estimates"]
    chat(app, model="auto")
    told = samples(app)
    assert told["penstock_best_cost_usd_total"] == pytest.approx(estimates[1]["cost_usd"])
    assert told["penstock_best_cost_usd_total"] > told['penstock_cost_usd_total{backend="small"}']


def test_asking_the_best_saves_nothing(app: Sidecar) -> None:
    paid = chat(app, model="best").json["penstock"]["cost_usd"]
    assert samples(app)["penstock_best_cost_usd_total"] == pytest.approx(paid)


def test_escalations_and_fall_backs_are_told_apart(tmp_path: Path) -> None:
    wrong, right = FakeBackend(answer="wrong"), FakeBackend(answer="right")
    app = Sidecar(make_judging_router(tmp_path, {"small": wrong, "lrm": right}))
    assert chat(app).json["penstock"]["path"] == "small>lrm"
    assert samples(app)['penstock_moves_total{kind="escalate"}'] == 1

    app = Sidecar(make_router(tmp_path, small=FakeBackend(answer=ServerFailed("down", backend="small"))))
    assert chat(app).json["penstock"]["backend"] == "lrm"
    told = samples(app)
    assert told['penstock_moves_total{kind="fall_back"}'] == 1
    assert told['penstock_calls_total{backend="lrm",result="ok"}'] == 1
    assert "penstock_moves_total" in str(told)


def test_calls_of_a_request_without_an_answer_are_counted_too(tmp_path: Path) -> None:
    down = {name: FakeBackend(answer=ServerFailed("down", backend=name)) for name in ("small", "lrm")}
    app = Sidecar(make_router(tmp_path, **down))
    assert chat(app).status == 502
    told = samples(app)
    for name in down:
        assert told[f'penstock_calls_total{{backend="{name}",result="ServerFailed"}}'] >= 1
    assert not any(name.startswith("penstock_answers_total") for name in told)


def test_a_client_that_left_is_a_status_of_its_own(tmp_path: Path) -> None:
    waiting = WaitingBackend()
    app = Sidecar(make_router(tmp_path, small=waiting))

    async def leave() -> None:
        gone = asyncio.Event()
        asked = asyncio.create_task(acall(app, "/v1/chat/completions", {"messages": HELLO}, gone=gone))
        await asyncio.to_thread(waiting.has_begun.wait)
        gone.set()
        await asked

    asyncio.run(leave())
    assert samples(app)['penstock_requests_total{path="/v1/chat/completions",status="499"}'] == 1


def test_with_keys_only_this_machine_and_who_sees_all_may_see_it(tmp_path: Path) -> None:
    store, texts = MemoryStore(), {}
    for sees_all in (False, True):
        key, texts[sees_all] = new_key(Key(id="", name="me", digest="", created_at=0.0, sees_all=sees_all))
        store.put(key)
    app = Sidecar(make_router(tmp_path), keys=store)
    with serving(app) as url:
        assert httpx.get(f"{url}/metrics").status_code == 200
        assert httpx.get(f"{url}/v1/models").status_code == 401
    assert call(app, "/metrics").status == 401  # nobody knows from where
    assert call(app, "/metrics", headers={"x-api-key": texts[True]}).status == 200
    refused = call(app, "/metrics", headers={"x-api-key": texts[False]})
    assert (refused.status, refused.json["error"]["code"]) == (403, "figures_not_allowed")


def test_the_state_of_backends_is_told(tmp_path: Path) -> None:
    models = MODELS.replace('answer: "It is 391."', "breaker: {failures: 1, rest_s: 60}")
    small = FakeBackend(answer=ServerFailed("down", backend="small"))
    app = Sidecar(Router.from_config(write_models(tmp_path, models), backends={"small": small}))
    assert samples(app)['penstock_backend_circuit{backend="small",state="closed"}'] == 1
    chat(app)
    told = samples(app)
    assert told['penstock_backend_circuit{backend="small",state="open"}'] == 1
    assert told['penstock_backend_circuit{backend="small",state="closed"}'] == 0
    assert told['penstock_backend_circuit{backend="lrm",state="closed"}'] == 1
    assert told['penstock_backend_in_flight{backend="small"}'] == 0
    assert told['penstock_backend_waiting{backend="small"}'] == 0
    assert told['penstock_call_seconds_count{backend="lrm"}'] == 1


def test_the_client_library_of_prometheus_reads_it(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    chat(app)
    chat(app, stream=True)
    chat(app, model="nobody")
    families = {family.name: family for family in text_string_to_metric_families(call(app, "/metrics").body.decode())}
    assert {family.type for family in families.values()} == {"counter", "histogram", "gauge"}
    assert {name for name, family in families.items() if not family.samples} == {"penstock_moves"}
    assert all(family.documentation for family in families.values())


def test_buckets_add_up_to_the_count() -> None:
    times = Histogram("t", "T.", bounds=(0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        times.see(seconds)
    assert list(times.lines(times.rows())) == [
        "# HELP t T.",
        "# TYPE t histogram",
        't_bucket{le="0.1"} 2',
        't_bucket{le="1.0"} 3',
        't_bucket{le="+Inf"} 4',
        "t_sum 7.65",
        "t_count 4",
    ]


def test_signs_that_would_end_a_label_are_escaped() -> None:
    counter = Counter("c", "C.", "name")
    counter.totals[('a"b\\c\nd',)] += 1
    assert list(counter.lines(counter.rows()))[2] == r'c{name="a\"b\\c\nd"} 1.0'
