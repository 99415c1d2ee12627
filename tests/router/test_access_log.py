"""The access log."""

from __future__ import annotations

import errno
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.backends import ConfigError, FakeBackend
from penstock.router.access_log import AccessLog, open_access_log
from penstock.router.keys import Key, MemoryStore, new_key
from penstock.router.server import Sidecar

from .serving import call, chat, make_judging_router, make_router


def test_a_request_is_a_record_with_its_path_and_its_cost_and_nothing_that_was_said(tmp_path: Path) -> None:
    records: list[Any] = []
    small, lrm = FakeBackend(answer="wrong SECRET"), FakeBackend(answer="right SECRET")
    app = Sidecar(
        make_judging_router(tmp_path, {"small": small, "lrm": lrm}),
        observers=[AccessLog(records.append)],
        clock=lambda: 1_700_000_000.25,
    )
    got = chat(app, stream=True)
    (record,) = records
    assert record["time"] == "2023-11-14T22:13:20.250+00:00"
    assert (record["method"], record["path"], record["status"]) == ("POST", "/v1/chat/completions", 200)
    assert record["trace_id"] == got.headers["x-penstock-trace-id"]
    assert (record["policy"], record["backend"], record["route"]) == ("auto", "lrm", "small>lrm")
    told = got.chunks[-1]["penstock"]
    assert record["cost_usd"] == pytest.approx(told["cost_usd"])
    assert record["output_tokens"] == sum(step["output_tokens"] for step in told["steps"])
    assert 0 < record["first_piece_s"] <= record["duration_s"]
    assert "SECRET" not in str(record)
    assert "17 * 23" not in str(record)


def test_a_refusal_and_what_is_no_request_for_an_answer_are_records_too(tmp_path: Path) -> None:
    records: list[Any] = []
    app = Sidecar(make_router(tmp_path), observers=[AccessLog(records.append)])
    chat(app, model="nobody")
    call(app, "/healthz")
    call(app, "/no/such?secret=1")
    assert [(record["path"], record["status"], record["error"]) for record in records] == [
        ("/v1/chat/completions", 404, "UnknownPolicy"),
        ("/healthz", 200, None),
        ("other", 404, "HttpError"),
    ]


def test_a_key_is_told_by_its_name_and_id_alone(tmp_path: Path) -> None:
    records: list[Any] = []
    key, text = new_key(Key(id="", name="anna", digest="", created_at=0.0))
    store = MemoryStore()
    store.put(key)
    app = Sidecar(make_router(tmp_path), keys=store, observers=[AccessLog(records.append)])
    chat(app, headers={"x-api-key": text})
    chat(app, headers={"x-api-key": "penstock_0_wrong"})
    assert [(record["key"], record["key_id"], record["status"]) for record in records] == [
        ("anna", key.id, 200),
        (None, None, 401),
    ]
    assert text not in str(records)
    assert "wrong" not in str(records)


def test_lines_are_appended_to_a_file(tmp_path: Path) -> None:
    for _ in range(2):
        log, close = open_access_log(str(tmp_path / "access.jsonl"))
        call(Sidecar(make_router(tmp_path), observers=[log]), "/healthz")
        close()
    lines = (tmp_path / "access.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == ["/healthz", "/healthz"]


def test_lines_go_to_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    log, close = open_access_log("-")
    call(Sidecar(make_router(tmp_path), observers=[log]), "/healthz")
    close()
    assert json.loads(capfdbinary.readouterr().out)["path"] == "/healthz"


class Left(io.RawIOBase):
    """The end of a pipe whose other end is closed."""

    def write(self, data: Any) -> int:
        """Refuses."""
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


def test_who_follows_standard_output_may_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=Left()))
    log, close = open_access_log("-")
    app = Sidecar(make_router(tmp_path), observers=[log])
    assert [call(app, "/healthz").status for _ in range(3)] == [200, 200, 200]
    close()
    assert [record.getMessage() for record in caplog.records] == [
        "lines of the access log lost: 1 more, 1 in all: standard output: [Errno 32] Broken pipe",
        "lines of the access log lost: 2 more, 3 in all",
    ]


def test_another_name_of_a_file_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"--access-log: expected a path that ends in \.jsonl, or -, got 'access.log'"
    ):
        open_access_log("access.log")
