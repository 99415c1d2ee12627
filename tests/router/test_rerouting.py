"""Requests that would have the provider choose another model, or another price, than was decided."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.backends import FakeBackend, InvalidRequest
from penstock.router.rerouting import FIELDS
from penstock.router.server import Sidecar

from .keys.door import Door
from .serving import HELLO, call, chat, make_router

ASKED: list[tuple[str, Any]] = [
    ("models", ["dear/model"]),
    ("fallbacks", [{"model": "dear/model"}]),
    ("route", "fallback"),
    ("provider", {"order": ["Dear"]}),
    ("extra_body", {"models": ["dear/model"]}),
    ("service_tier", "priority"),
]


@pytest.mark.parametrize(("field", "value"), ASKED)
def test_a_routed_request_may_not_have_it_so(tmp_path: Path, field: str, value: Any) -> None:
    small = FakeBackend(answer="fine")
    got = chat(Sidecar(make_router(tmp_path, small=small)), **{field: value})
    assert (got.status, small.queries) == (400, [])
    assert got.json["error"]["message"].startswith(f"{field}: may make the provider use another model or price")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
def test_nor_one_of_another_format(tmp_path: Path, path: str) -> None:
    body = {"messages": HELLO, "input": "x", "max_tokens": 9, "fallbacks": [{"model": "dear"}]}
    del body["messages" if path == "/v1/responses" else "input"]
    got = call(Sidecar(make_router(tmp_path)), path, body)
    assert got.status == 400
    assert "fallbacks: may make the provider use" in got.json["error"]["message"]


def test_nor_one_of_the_sdk(tmp_path: Path) -> None:
    with make_router(tmp_path) as router, pytest.raises(InvalidRequest, match="models: may make the provider"):
        router.ask("x", models=["dear/model"])


@pytest.mark.parametrize("field", FIELDS)
def test_values_that_ask_for_nothing_travel_on(tmp_path: Path, field: str) -> None:
    small = FakeBackend(answer="fine")
    app = Sidecar(make_router(tmp_path, small=small))
    for value in FIELDS[field]:
        assert chat(app, **{field: value}).status == 200
        assert small.queries[-1].params[field] == value


def test_a_request_for_one_backend_is_passed_on_as_it_is(tmp_path: Path) -> None:
    small = FakeBackend(answer="fine")
    assert chat(Sidecar(make_router(tmp_path, small=small)), model="small", models=["other"]).status == 200
    assert small.queries[0].params["models"] == ["other"]


def test_a_key_is_held_to_the_backends_and_prices_that_are_configured(tmp_path: Path) -> None:
    small = FakeBackend(answer="fine")
    door = Door(tmp_path, small=small, backends=("small",))
    got = door.chat(model="small", models=["dear/model"])
    assert (got.status, small.queries) == (400, [])
    assert "a key is held to the backends and prices that are configured" in got.json["error"]["message"]
    assert door.chat(model="small").status == 200
