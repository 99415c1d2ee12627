"""What a key may ask for, as the sidecar enforces it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.backends import FakeBackend, RateLimited
from penstock.router import Router
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.server import Sidecar

from ..serving import HELLO, MODELS, call, make_router, write_models
from .door import Door

ALL = ["auto", "best", "small", "lrm"]


@pytest.mark.parametrize(
    ("limits", "names"),
    [
        ({}, ALL),
        ({"backends": ("small",)}, ["auto", "best", "small"]),
        ({"policies": ("best",)}, ["best"]),
        ({"policies": ("auto",), "backends": ("lrm",)}, ["auto", "lrm"]),
    ],
)
def test_models_lists_what_can_be_asked_for_and_the_rest_is_refused(
    tmp_path: Path, limits: Any, names: list[str]
) -> None:
    door = Door(tmp_path, **limits)
    assert [model["id"] for model in door.call("/v1/models").json["data"]] == names
    assert {name: door.chat(model=name).status for name in ALL} == {name: 200 if name in names else 403 for name in ALL}
    assert {name: door.call(f"/v1/models/{name}").status == 200 for name in ALL} == {n: n in names for n in ALL}


def test_routing_never_reaches_a_backend_that_is_not_the_keys(tmp_path: Path) -> None:
    assert Door(tmp_path).chat(model="best").json["model"] == "lrm"
    assert Door(tmp_path, backends=("small",)).chat(model="best").json["model"] == "small"


@pytest.mark.parametrize("wish", [{"allow": ["lrm"]}, {"deny": ["small"]}])
def test_a_wish_does_not_widen_a_key(tmp_path: Path, wish: Any) -> None:
    got = Door(tmp_path, backends=("small",)).chat(penstock=wish)
    assert (got.status, got.json["error"]["code"]) == (400, "no_feasible_backend")


def test_a_dry_run_tells_nothing_of_other_backends(tmp_path: Path) -> None:
    got = Door(tmp_path, backends=("small",)).call("/v1/route", {"messages": HELLO, "model": "best"})
    assert got.json["backend"] == "small"
    assert [row["backend"] for row in got.json["estimates"]] == ["small"]
    assert "lrm" not in got.body.decode()
    whole = Door(tmp_path, backends=("small",), sees_all=True).call("/v1/route", {"messages": HELLO, "model": "best"})
    assert [row["backend"] for row in whole.json["estimates"]] == ["small", "lrm"]


def test_an_answer_that_another_process_gave_may_be_scored_by_who_may_use_its_backend_only(tmp_path: Path) -> None:
    models = write_models(tmp_path, MODELS + "traces: {folder: log}\n")
    with Router.from_config(models) as one, Router.from_config(models) as other:
        trace_id = call(Sidecar(one), "/v1/chat/completions", {"messages": HELLO, "model": "lrm"}).headers[
            "x-penstock-trace-id"
        ]
        store = MemoryStore()
        app = Sidecar(other, keys=store)
        for name, status in (("small", 403), ("lrm", 200)):
            key, text = new_key(Key(id="", name=name, digest="", created_at=0.0, backends=(name,)))
            store.put(key)
            body = {"trace_id": trace_id, "score": 1}
            assert call(app, "/v1/feedback", body, headers={"x-api-key": text}).status == status


@pytest.mark.parametrize("path", ["/v1/route", "/v1/chat/completions", "/v1/messages"])
def test_an_error_tells_nothing_of_other_backends(tmp_path: Path, path: str) -> None:
    body = {"messages": HELLO, "max_tokens": 10, "penstock": {"deny": ["small"]}}
    got = Door(tmp_path, backends=("small",)).call(path, body)
    assert got.status == 400
    assert "small: in deny" in got.body.decode()
    assert "lrm" not in got.body.decode()


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/responses", "/v1/route"])
def test_every_path_that_names_a_model_is_held_to_the_key(tmp_path: Path, path: str) -> None:
    body = {"model": "lrm", "max_tokens": 10, "input": "Hello?"} if "responses" in path else {}
    body |= {} if "responses" in path else {"model": "lrm", "max_tokens": 10, "messages": HELLO}
    assert Door(tmp_path, backends=("small",)).call(path, body).status == 403


def test_the_refusal_names_what_the_key_may_ask_for_and_nothing_else(tmp_path: Path) -> None:
    got = Door(tmp_path, policies=("best",)).chat(model="lrm")
    assert got.json["error"]["message"] == "this key may not ask for 'lrm'; expected one of best"
    assert got.json["error"]["code"] == "model_not_allowed"


def test_a_key_scores_no_backend_that_it_may_not_use(tmp_path: Path) -> None:
    door = Door(tmp_path, backends=("small",))
    got = door.call("/v1/feedback", {"trace_id": "a", "score": 0, "backend": "lrm"})
    assert (got.status, got.json["error"]["code"]) == (403, "model_not_allowed")
    assert got.json["error"]["message"] == "this key may not score 'lrm'; expected one of small"
    assert door.call("/v1/feedback", {"trace_id": "a", "score": 0, "backend": "small"}).status == 200
    answered = door.chat().headers["x-penstock-trace-id"]
    assert door.call("/v1/feedback", {"trace_id": answered, "score": 1}).status == 200


def test_feedback_that_names_no_backend_is_held_to_the_one_whose_answer_it_is(tmp_path: Path) -> None:
    door = Door(tmp_path)
    answered = door.chat(model="lrm").headers["x-penstock-trace-id"]
    narrow, text = new_key(Key(id="", name="narrow", digest="", created_at=0.0, backends=("small",)))
    door.store.put(narrow)
    body = {"trace_id": answered, "score": 0}
    got = call(door.app, "/v1/feedback", body, headers={"x-api-key": text})
    assert (got.status, got.json["error"]["code"]) == (403, "model_not_allowed")
    assert "lrm" not in got.json["error"]["message"]
    assert door.call("/v1/feedback", body).status == 200


def test_a_key_for_all_backends_scores_all(tmp_path: Path) -> None:
    assert Door(tmp_path).call("/v1/feedback", {"trace_id": "a", "score": 0, "backend": "lrm"}).status == 200


def test_a_default_policy_that_is_not_the_keys_is_refused(tmp_path: Path) -> None:
    assert Door(tmp_path, policies=("best",)).chat().status == 403


def test_a_key_whose_names_have_all_gone_may_ask_for_nothing(tmp_path: Path) -> None:
    door = Door(tmp_path, policies=("old",))
    assert door.call("/v1/models").json["data"] == []
    assert "nothing it names is there any more" in door.chat().json["error"]["message"]


@pytest.fixture
def door(tmp_path: Path) -> Door:
    return Door(tmp_path)


def test_whoever_has_no_key_is_not_told_how_backends_are_called(tmp_path: Path) -> None:
    limited = RateLimited("slow down", retry_after_s=30)
    door = Door(tmp_path, small=FakeBackend(answer=limited))
    assert door.chat(model="small").status == 429
    assert "unavailable" not in call(door.app, "/readyz").json
    ends = {"client": ("127.0.0.1", 9), "server": ("127.0.0.1", 80)}
    assert list(call(door.app, "/readyz", ends=ends).json["unavailable"]) == ["small"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_state_of_health_needs_no_key(door: Door, path: str) -> None:
    assert call(door.app, path).status in (200, 503)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("GET", "/v1/models/small"), ("POST", "/v1/feedback")]
)
def test_everything_else_does(door: Door, method: str, path: str) -> None:
    got = call(door.app, path, method=method)
    assert (got.status, got.json["error"]["code"]) == (401, "missing_api_key")
    assert got.headers["www-authenticate"] == "Bearer"


def test_a_wrong_key_is_refused_without_repeating_it(door: Door) -> None:
    for text in (door.text + "x", door.text[:-1], "sk-other", "penstock_x_y"):
        got = call(door.app, "/v1/models", headers={"authorization": f"Bearer {text}"})
        assert (got.status, got.json["error"]["code"]) == (401, "invalid_api_key")
        assert text.encode() not in got.body


@pytest.mark.parametrize("form", ["Bearer {}", "bearer  {}", "BEARER {}"])
def test_a_bearer_is_a_key_too(door: Door, form: str) -> None:
    assert call(door.app, "/v1/models", headers={"authorization": form.format(door.text)}).status == 200


def test_one_right_key_of_two_is_enough(door: Door) -> None:
    assert door.call("/v1/models", authorization="Bearer sk-somebody-elses").status == 200


def test_without_keys_nobody_is_asked_for_one(tmp_path: Path) -> None:
    assert call(Sidecar(make_router(tmp_path)), "/v1/models", headers={"x-api-key": "any"}).status == 200
