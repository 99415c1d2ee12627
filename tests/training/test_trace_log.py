"""The log of a running router, read as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import FakeBackend, Query
from penstock.router import Router
from penstock.router.cli import main
from penstock.training import TraceError, read_traces

MODELS = """
artefact: trained
traces: {folder: log, content: on, redact: [patterns]}
backends:
  small: {type: fake, tier: small, price: {input: 0.1, output: 0.4}}
  lrm: {type: fake, tier: lrm, price: {input: 2, output: 8}}
"""


def write_log(folder: Path, *records: dict[str, Any]) -> Path:
    """Returns a folder with a trace log of these records."""
    folder.mkdir()
    (folder / "traces.jsonl").write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return folder


def call(query_id: str, backend: str, text: str | None = "Why?", **columns: Any) -> dict[str, Any]:
    """Returns the record of a call; without a text, one without content."""
    record = {"query_id": query_id, "backend": backend, "policy": "auto", "step": 0, "final": True, "cost_usd": 0.5}
    content = {} if text is None else {"messages": [{"role": "user", "content": text}], "response": "Because."}
    return record | content | columns


def versus(this: tuple[str, str], other: tuple[str, str], winner: str) -> dict[str, Any]:
    """Returns the record of a comparison."""
    return {
        "query_id": this[0],
        "backend": this[1],
        "other_query_id": other[0],
        "other_backend": other[1],
        "winner": winner,
    }


def test_a_router_is_trained_on_the_log_of_another_one_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.yaml").write_text(MODELS)

    def added(query: Query) -> int:
        """Returns the right answer."""
        return sum(int(word) for word in query.text.split(",")[0].split()[2].split("+"))

    def small(query: Query) -> str:
        """Returns a sum that is right where it is small."""
        return str(added(query) % 40)

    backends = {"small": FakeBackend(small), "lrm": FakeBackend(lambda query: str(added(query)))}
    with Router.from_config(tmp_path / "models.yaml", backends=backends) as router:
        for number in range(80):
            text = f"What is {number}+{number % 7}, asks ada@example.com"
            first, second = (router.ask(text, policy=name) for name in ("small", "lrm"))
            if number % 4:
                router.feedback(first.trace_id, float(first.text == second.text))
                router.feedback(second.trace_id, 1.0)
            else:
                router.compare(first.trace_id, second.trace_id, "tie" if first.text == second.text else "other")
        router.refused("Overloaded")
    models = ["--models", str(tmp_path / "models.yaml"), "--quiet"]
    log, trained = str(tmp_path / "log"), str(tmp_path / "trained")
    assert main(["train", log, "--out", trained, "--classifier", "linear", *models]) == 0
    said = capsys.readouterr().out
    assert "note: Comparisons of the trace log converted into scores" in said
    assert "note: Rows of the trace log without content, left out: 1." in said
    assert main(["evaluate", trained, log, "--split", "all", *models]) == 0
    assert "160 queries" in capsys.readouterr().out
    assert b"ada@example.com" not in (tmp_path / "log" / "traces.jsonl").read_bytes()
    assert b"[email]" in (tmp_path / "log" / "traces.jsonl").read_bytes()
    with Router.from_config(tmp_path / "models.yaml") as router:
        assert router.route("What is 3+4").estimates.source == "trained"


def test_comparisons_grade_answers_that_have_no_score(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log",
        call("t1", "small"),
        call("t2", "lrm"),
        call("t3", "mid", score=0.25),
        versus(("t1", "small"), ("t2", "lrm"), "other"),
        versus(("t1", "small"), ("t2", "lrm"), "tie"),
        versus(("t3", "mid"), ("t2", "lrm"), "this"),
    )
    traces = read_traces([log])
    assert {row.backend: row.score for row in traces.rows} == {"small": 0.25, "lrm": 0.5, "mid": 0.25}


def test_comparing_answers_to_two_queries_is_refused(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log", call("t1", "small"), call("t2", "lrm", "How?"), versus(("t1", "small"), ("t2", "lrm"), "tie")
    )
    with pytest.raises(TraceError, match=r"line 3: compares answers to two queries, 'Why\?' and 'How\?'"):
        read_traces([log])


def test_feedback_on_what_the_log_no_longer_holds_is_counted(tmp_path: Path) -> None:
    log = write_log(
        tmp_path / "log",
        call("t1", "small"),
        {"query_id": "gone", "backend": "small", "score": 1},
        versus(("gone", "small"), ("t1", "small"), "this"),
    )
    traces = read_traces([log])
    assert [row.score for row in traces.rows] == [None]
    assert traces.notes[-1] == "Feedback on answers without a row of their own, left out: 2."


def test_rows_without_content_are_left_out_and_counted(tmp_path: Path) -> None:
    refused = {"query_id": "t2", "backend": None, "policy": None, "final": False, "error": "no_feasible_backend"}
    log = write_log(tmp_path / "log", call("t1", "small", score=1), call("t3", "small", None), refused)
    traces = read_traces([log])
    assert [row.query_id for row in traces.rows] == ["t1"]
    assert "Rows of the trace log without content, left out: 2." in traces.notes


def test_a_log_without_any_content_says_what_to_change(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", call("t1", "small", None), {"query_id": "t1", "backend": "small", "score": 1})
    with pytest.raises(TraceError, match=r"all 1 rows are of a trace log without content; .*`traces: {content: on}`"):
        read_traces([log])


def test_a_call_that_came_to_no_answer_stands_beside_the_answer_of_the_same_backend(tmp_path: Path) -> None:
    lost = {"step": 1, "final": False, "response": None, "cost_usd": 0.2}
    log = write_log(
        tmp_path / "log",
        call("t1", "small", given_up=True, **lost | {"step": 0}),
        call("t1", "small", step=1),
        call("t2", "small"),
        call("t2", "small", given_up=True, **lost),
        call("t3", "small"),
        call("t3", "small", error="ServerFailed", **lost),
        {"query_id": "t1", "backend": "small", "score": 1.0},
        call("t3", "small", error="ServerFailed", **lost),
    )
    rows = read_traces([log]).rows
    assert [(row.query_id, row.is_answer, row.score) for row in rows] == [
        ("t1", False, None),
        ("t1", True, 1.0),
        ("t2", True, None),
        ("t2", False, None),
        ("t3", True, None),
        ("t3", False, None),
    ]
