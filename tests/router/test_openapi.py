"""The description of what the sidecar serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from penstock.router.formats import FORMATS
from penstock.router.server import Sidecar

from .keys.door import Door
from .serving import HELLO, call, make_router


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return call(Sidecar(make_router(tmp_path_factory.mktemp("openapi"))), "/openapi.json").json


def references_in(value: Any) -> list[str]:
    """Returns what a description refers to."""
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for inner in value.values() for found in references_in(inner)]
    return [found for inner in value for found in references_in(inner)] if isinstance(value, list) else []


def test_every_path_of_the_reference_is_described_with_its_method(described: Any) -> None:
    reference = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text(encoding="utf-8")
    table = [
        line for line in reference.splitlines() if line.startswith(("| `GET /", "| `POST /")) and "page" not in line
    ]
    named = {line.split("`")[1] for line in table if "openapi" not in line} | {"GET /openapi.json"}
    told = {f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods}
    assert told - {"GET /v1/models/{id}"} == named


def test_every_format_is_described_by_the_fields_that_it_reads(described: Any) -> None:
    for path, format in FORMATS.items():
        body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert {*format.fields, "model", "stream", "penstock"} == set(body["properties"])
        assert body["required"] == list(format.required)
        assert "text/event-stream" in described["paths"][path]["post"]["responses"]["200"]["content"]


def test_what_it_refers_to_is_there(described: Any) -> None:
    for reference in references_in(described):
        place = described
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]
        assert place


def test_errors_are_of_the_form_that_is_described(tmp_path: Path, described: Any) -> None:
    error = call(Sidecar(make_router(tmp_path)), "/v1/chat/completions", {"messages": []}).json["error"]
    described_error = described["components"]["schemas"]["error"]["properties"]["error"]
    assert set(described_error["required"]) <= set(error)


def test_it_needs_no_key(tmp_path: Path) -> None:
    door = Door(tmp_path)
    assert call(door.app, "/openapi.json").status == 200
    assert call(door.app, "/v1/chat/completions", {"messages": HELLO}).status == 401
