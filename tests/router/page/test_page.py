"""The files of the page, and what it is told: to whom, and what never."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.backends import FakeBackend, ServerFailed
from penstock.router import Router
from penstock.router.figures import Figures
from penstock.router.keys import ANYONE, Key, MemoryStore, new_key
from penstock.router.page.recent import Recent, totals_for
from penstock.router.server import Sidecar

from ..serving import HELLO, MODELS, call, chat, make_judging_router, make_router, serving, write_models

ASSETS = Path(__file__).parents[3] / "router" / "page" / "assets"
LOCAL = {"host": "127.0.0.1:8080"}


class House:
    """A sidecar with two tenants who have a key each, and a caretaker whose key sees all."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        store = MemoryStore()
        self.texts = {}
        for name in ("anna", "bert", "caretaker"):
            is_caretaker = name == "caretaker"
            given = Key(id="", name=name, digest="", created_at=0.0, sees_all=is_caretaker, **limits)
            key, self.texts[name] = new_key(given)
            store.put(key)
        self.app = Sidecar(make_router(folder), keys=store)

    def ask(self, name: str, **fields: Any) -> None:
        """Asks for an answer with somebody's key."""
        assert chat(self.app, headers={"x-api-key": self.texts[name]}, **fields).status == 200

    def told(self, name: str) -> Any:
        """Returns what somebody's page is told."""
        got = call(self.app, "/v1/activity", headers={"x-api-key": self.texts[name]})
        assert got.status == 200
        return got.json


def told_by(app: Sidecar, *, query: str = "") -> Any:
    """Returns what the page of this machine is told, after one request for an answer."""
    with serving(app) as url:
        httpx.post(f"{url}/v1/chat/completions", json={"messages": HELLO})
        got = httpx.get(f"{url}/v1/activity{query}")
    assert (got.status_code, got.headers["cache-control"]) == (200, "no-store")
    return got.json()


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_inline_script(tmp_path: Path) -> None:
    got = call(Sidecar(make_router(tmp_path)), "/")
    assert (got.status, got.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = got.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in ASSETS.iterdir():
        content = path.read_text(encoding="utf-8")
        assert set(re.findall(r"https?://[^\s\"'`]+", content)) <= {"http://www.w3.org/2000/svg"}, path
        assert not re.search(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", content), path
    assert not re.search(r"<script(?! type=\"module\" src=)|\son\w+=|\sstyle=", got.body.decode())


def test_every_file_that_the_page_names_is_served(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    named = set(re.findall(r"/page/([\w.]+)", call(app, "/").body.decode()))
    for script in ASSETS.glob("*.js"):
        named |= set(re.findall(r"from \"\./([\w.]+)\"", script.read_text(encoding="utf-8")))
    assert named == {path.name for path in ASSETS.iterdir()} - {"index.html"}
    kinds = {name: call(app, f"/page/{name}").headers["content-type"].partition(";")[0] for name in named}
    assert kinds == {name: "text/css" if name.endswith(".css") else "text/javascript" for name in named}


@pytest.mark.parametrize("path", ["/page", "/page/", "/page/../files.py", "/page//etc/passwd", "/page/recent.py"])
def test_nothing_else_is_served_as_a_file_of_the_page(tmp_path: Path, path: str) -> None:
    assert call(Sidecar(make_router(tmp_path)), path).status == 404


def test_a_request_is_told_with_its_path_and_its_cost_and_nothing_that_was_said(tmp_path: Path) -> None:
    router = make_judging_router(
        tmp_path, {"small": FakeBackend(answer="wrong SECRET"), "lrm": FakeBackend(answer="right SECRET")}
    )
    told = told_by(Sidecar(router))
    (request,) = told["requests"]
    assert [step["backend"] for step in request["calls"]] == ["small", "lrm"]
    assert request["chosen"] == 1
    assert request["cost_usd"] == pytest.approx(sum(step["cost_usd"] for step in request["calls"]))
    assert request["calls"][1]["confidence"] > 0.99
    assert set(request["estimates"]) == {"small", "lrm"}
    assert told["totals"]["escalated"] == told["totals"]["requests"] == 1
    assert told["totals"]["saved_usd"] == pytest.approx(request["best_cost_usd"] - request["cost_usd"])
    assert request["text"] == ""
    assert not re.search("SECRET|17 \\* 23", str(told))


def test_what_was_asked_is_told_as_it_may_be_kept(tmp_path: Path) -> None:
    def text(content: str) -> Any:
        models = write_models(tmp_path, f"{MODELS}traces: {{folder: traces, {content}}}\n")
        return told_by(Sidecar(Router.from_config(models)))["requests"][0]["text"]

    assert text("content: on") == "What is 17 * 23?"
    assert text("content: off") == ""
    assert text("content: on, redact: ['builtins:repr']") == "'What is 17 * 23?'"


def test_a_failure_is_told_by_its_kind_and_not_by_the_words_of_a_provider(tmp_path: Path) -> None:
    down = {name: FakeBackend(answer=ServerFailed("SECRET", backend=name)) for name in ("small", "lrm")}
    told = told_by(Sidecar(make_router(tmp_path, **down)))
    (request,) = told["requests"]
    assert (request["status"], request["error"], request["chosen"]) == (502, "AllBackendsFailed", None)
    assert {step["error"] for step in request["calls"]} == {"ServerFailed"}
    assert told["totals"]["failed"] == 1
    assert {backend["failed"] for backend in told["backends"]} == {1}
    assert {backend["last_error"] for backend in told["backends"]} == {"ServerFailed"}
    assert "SECRET" not in str(told)


def test_the_state_of_the_circuit_breaker_is_told(tmp_path: Path) -> None:
    models = MODELS.replace('answer: "It is 391."', "breaker: {failures: 1, rest_s: 60}")
    small = FakeBackend(answer=ServerFailed("down", backend="small"))
    told = told_by(Sidecar(Router.from_config(write_models(tmp_path, models), backends={"small": small})))
    states = {backend["name"]: (backend["circuit"], backend["refusal"]) for backend in told["backends"]}
    assert states["lrm"] == ("closed", None)
    assert states["small"][0] == "open"
    assert "left alone after a failure" in states["small"][1]


def test_an_estimate_that_is_not_known_is_null(tmp_path: Path) -> None:
    models = write_models(tmp_path, "backends: {small: {type: fake, answer: '391'}}")
    (request,) = told_by(Sidecar(Router.from_config(models)))["requests"]
    assert request["estimates"]["small"]["cost_usd"] is None


def test_only_requests_after_a_number_are_told(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    told = told_by(app)
    assert [request["number"] for request in told["requests"]] == [1]
    assert told_by(Sidecar(make_router(tmp_path)), query="?after=1")["requests"] == []


def test_what_is_no_number_is_refused(tmp_path: Path) -> None:
    with serving(Sidecar(make_router(tmp_path))) as url:
        assert httpx.get(f"{url}/v1/activity?after=-1").status_code == 400


def test_without_keys_only_this_machine_is_told(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    refused = call(app, "/v1/activity")  # nobody knows from where
    assert (refused.status, refused.json["error"]["code"]) == (403, "not_local")
    with serving(app) as url:
        assert httpx.get(f"{url}/v1/activity").status_code == 200
        rebound = httpx.get(f"{url}/v1/activity", headers={"host": "evil.example"})
        assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "cross_site")
        assert httpx.get(f"{url}/v1/activity", headers={"sec-fetch-site": "cross-site"}).status_code == 403


def test_with_keys_nobody_is_told_without_one(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert call(house.app, "/").status == 200
    assert call(house.app, "/v1/activity").status == 401
    with serving(house.app) as url:
        assert httpx.get(f"{url}/v1/activity").status_code == 401  # this machine neither


def test_a_key_sees_its_own_requests_only(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.ask("anna")
    house.ask("bert")
    house.ask("bert", model="best")
    told = house.told("anna")
    assert [request["key"] for request in told["requests"]] == ["anna"]
    assert told["totals"]["requests"] == 1
    assert sum(backend["answered"] for backend in told["backends"]) == 1
    assert {backend["in_flight"] for backend in told["backends"]} == {None}
    assert "bert" not in str(told)


def test_a_key_that_sees_all_sees_all(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.ask("anna")
    house.ask("bert")
    told = house.told("caretaker")
    assert [request["key"] for request in told["requests"]] == ["anna", "bert"]
    assert told["totals"]["requests"] == 2
    assert {backend["in_flight"] for backend in told["backends"]} == {0}


def test_no_key_is_ever_told(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.ask("anna")
    told = str(house.told("caretaker"))
    assert not any(text in told or text.split("_", 2)[2] in told for text in house.texts.values())


def test_backends_that_a_key_may_not_use_are_not_told(tmp_path: Path) -> None:
    house = House(tmp_path, backends=("small",))
    told = house.told("anna")
    assert [backend["name"] for backend in told["backends"]] == ["small"]
    assert "lrm" not in told["models"]
    house.ask("anna")
    assert "lrm" not in str(house.told("anna"))


def test_looking_does_not_use_up_the_requests_of_a_key(tmp_path: Path) -> None:
    house = House(tmp_path, rpm=1)
    for _ in range(3):
        house.told("anna")
    house.ask("anna")


def test_who_was_not_let_in_is_not_shown(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert chat(house.app, headers={"x-api-key": "penstock_0_1"}).status == 401
    assert house.told("caretaker")["requests"] == []


def test_no_more_than_so_many_requests_are_kept(tmp_path: Path) -> None:
    recent = Recent(most=3)
    app = Sidecar(make_router(tmp_path), observers=[recent])
    for _ in range(5):
        chat(app)
    assert [request.number for request in recent.requests_for(ANYONE)] == [3, 4, 5]
    assert totals_for(ANYONE, Figures(sums=recent.rows())).requests == 5
