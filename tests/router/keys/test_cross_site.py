"""Web pages, which a browser lets ask a sidecar of this machine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from penstock.backends import FakeBackend
from penstock.router.server import Sidecar

from ..serving import HELLO, PATIENCE_S, call, make_router, serving
from .door import Door

PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/messages/count_tokens", "/v1/route")

FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "cross-site", "origin": "http://localhost:3000"},
    {"origin": "https://evil.example"},
    {"origin": "http://localhost.evil.example"},
    {"origin": "http://127.0.0.1.evil.example:8080"},
    {"origin": "http://localhost@evil.example"},
    {"origin": "http://0.0.0.0:8080"},
    {"origin": "http://[::1"},
    {"origin": "null"},
    {"origin": "app://localhost.example"},
]
OWN = [
    {},
    {"sec-fetch-site": "none"},
    {"sec-fetch-site": "same-origin", "origin": "http://127.0.0.1:8080"},
    {"sec-fetch-site": "same-site", "origin": "http://localhost:3000"},
    {"origin": "https://[::1]:8080"},
    {"origin": "http://127.9.9.9"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_from_elsewhere_is_refused_before_anybody_is_asked(tmp_path: Path, headers: dict[str, str]) -> None:
    small = FakeBackend(answer="dear")
    app = Sidecar(make_router(tmp_path, small=small))
    got = call(app, "/v1/chat/completions", {"messages": HELLO}, headers={"content-type": "text/plain", **headers})
    assert (got.status, got.json["error"]["code"]) == (403, "cross_site")
    assert got.json["error"]["message"].startswith("without API keys, only programs and pages of this machine may ask")
    assert not small.queries


@pytest.mark.parametrize("headers", OWN)
def test_programs_and_pages_of_this_machine_may_ask(tmp_path: Path, headers: dict[str, str]) -> None:
    app = Sidecar(make_router(tmp_path))
    assert call(app, "/v1/chat/completions", {"messages": HELLO}, headers=headers).status == 200


@pytest.mark.parametrize("path", [*PATHS, "/v1/feedback"])
def test_every_path_that_is_posted_to_refuses_pages(tmp_path: Path, path: str) -> None:
    got = call(Sidecar(make_router(tmp_path)), path, {}, headers={"origin": "https://evil.example"})
    assert got.status == 403


def test_the_refusal_has_the_form_of_the_format(tmp_path: Path) -> None:
    got = call(Sidecar(make_router(tmp_path)), "/v1/messages", {}, headers={"origin": "https://evil.example"})
    assert (got.json["type"], got.json["error"]["type"]) == ("error", "permission_error")


def test_what_is_only_read_is_not_refused(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))
    assert call(app, "/v1/models", headers={"origin": "https://evil.example"}).status == 200


@pytest.mark.parametrize("headers", [*FOREIGN, {"host": "evil.example"}])
def test_with_keys_it_is_the_key_that_counts(tmp_path: Path, headers: dict[str, str]) -> None:
    assert Door(tmp_path).call("/v1/chat/completions", {"messages": HELLO}, **headers).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1:{port}", 200),
        ("127.3.2.1", 200),
        ("[::1]:{port}", 200),
        ("evil.example:{port}", 403),
        ("localhost.evil.example", 403),
        ("0.0.0.0:{port}", 403),
        ("192.0.2.1", 403),
    ],
)
def test_a_loopback_socket_is_asked_by_a_loopback_name(url: str, host: str, status: int) -> None:
    named = host.format(port=url.rpartition(":")[2])
    got = httpx.post(
        f"{url}/v1/chat/completions", json={"messages": HELLO}, headers={"host": named}, timeout=PATIENCE_S
    )
    assert got.status_code == status


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(Sidecar(make_router(tmp_path_factory.mktemp("sidecar")))) as url:
        yield url


def test_other_sockets_are_asked_by_any_name(tmp_path: Path) -> None:
    app = Sidecar(make_router(tmp_path))

    async def status(server: str) -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=f"http://{server}") as client:
            headers = {"host": "penstock.example"}
            got = await client.post("/v1/chat/completions", json={"messages": HELLO}, headers=headers)
            return got.status_code

    async def both() -> tuple[int, int]:
        return await status("192.0.2.7"), await status("127.0.0.1")

    assert asyncio.run(both()) == (200, 403)
