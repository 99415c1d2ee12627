"""The file that traces are appended to: torn lines, locks, contradictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.training import Trace, TraceError, read_traces
from penstock.training.collecting.trace_file import open_trace_file

from .collecting import lines_of, prompts_of, rows_in, sums, write_rows

ROW = {"query_id": "q0", "query": "What is 0 + 7?", "backend": "small", "score": 1.0}


def trace(query_id: str, **columns: Any) -> Trace:
    return Trace(query_id=query_id, query="Well?", backend="small", **columns)


def test_rows_are_on_disk_as_soon_as_they_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "new" / "traces.jsonl"
    with open_trace_file(path) as file:
        file.append(trace("a", score=1.0))
        assert [row["query_id"] for row in lines_of(path)] == ["a"]
        file.append(trace("b"))
        assert [row["query_id"] for row in lines_of(path)] == ["a", "b"]


def test_an_existing_file_is_added_to(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "traces.jsonl", [ROW])
    with open_trace_file(path) as file:
        file.append(trace("a"))
    assert [row["query_id"] for row in lines_of(path)] == ["q0", "a"]


@pytest.mark.parametrize("cut", [1, 2, 30, 60])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    path = write_rows(tmp_path / "traces.jsonl", [ROW, ROW | {"query_id": "q1", "response": "x" * 50}])
    whole = path.read_bytes()
    path.write_bytes(whole[: -1 - cut])
    with open_trace_file(path) as file:
        assert file.n_torn_bytes == len(whole) // 2 or file.n_torn_bytes > 0
        file.append(trace("a"))
    assert [row["query_id"] for row in lines_of(path)] == ["q0", "a"]


def test_a_last_line_that_lacks_its_end_only_is_kept(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "traces.jsonl", [ROW])
    path.write_bytes(path.read_bytes()[:-1])
    with open_trace_file(path) as file:
        assert file.n_torn_bytes == 0
        file.append(trace("a"))
    assert [row["query_id"] for row in lines_of(path)] == ["q0", "a"]


@pytest.mark.parametrize("torn", [b"\0" * 300_000, b'{"response": "' + b"x" * 200_000, b"7", b"\xff"])
def test_a_long_or_strange_torn_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = write_rows(tmp_path / "traces.jsonl", [ROW])
    path.write_bytes(path.read_bytes() + torn)
    with open_trace_file(path) as file:
        assert file.n_torn_bytes == len(torn)
    assert lines_of(path) == [ROW]


def test_a_file_of_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_bytes(b'{"query_id": "q')
    assert rows_in(path) == {}
    assert path.read_bytes() == b""


def test_two_processes_cannot_write_at_once(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "traces.jsonl"
    with (
        open_trace_file(path),
        pytest.raises(TraceError, match=r"traces.jsonl: another process is writing to it"),
        open_trace_file(path),
    ):
        pass
    with open_trace_file(path) as file:
        file.append(trace("a"))
    assert len(lines_of(path)) == 1


@pytest.mark.parametrize("name", ["traces.csv", "traces.parquet", "traces.jsonl.gz", "traces"])
def test_a_file_that_cannot_grow_by_lines_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(TraceError, match=r"expected a name that ends in .jsonl"), open_trace_file(tmp_path / name):
        pass
    assert not (tmp_path / name).exists()


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with (
        pytest.raises(TraceError, match=r"cannot be written: Is a directory"),
        open_trace_file(tmp_path / "folder.jsonl"),
    ):
        pass


def test_feedback_grades_the_row_it_is_about(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with open_trace_file(path) as file:
        file.append(trace("a", draw=1, response="x"))
        file.append(trace("a", response="y"))
        file.grade(("a", "small", 1), 0.25)
    rows = rows_in(path)
    assert rows["a", "small", 1].score == 0.25
    assert rows["a", "small", 0].score is None
    assert sorted((row.draw, row.score) for row in read_traces([path]).rows) == [(0, None), (1, 0.25)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({**ROW, "query": "What is 1 + 8?"}, "column query: 'What is 1 . 8.' where prompts.jsonl, line 1 has"),
        ({**ROW, "split": "test"}, "column split: 'test' where"),
        ({**ROW, "score": 3}, "column score: 3; expected a number from 0 to 1"),
        ({"query_id": "q0", "backend": "small", "score": 1}, "column query: missing, and no row before"),
        ([1], "expected a JSON object"),
    ],
)
def test_a_row_that_is_wrong_or_contradicts_the_prompts_is_refused(tmp_path: Path, row: object, said: str) -> None:
    path = tmp_path / "traces.jsonl"
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(TraceError, match=f"traces.jsonl, line 1: .*{said}"):
        rows_in(path, prompts_of(sums(1)))


def test_rows_of_other_queries_and_backends_are_left_alone(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "traces.jsonl", [ROW, {**ROW, "query_id": "other", "backend": "gone"}])
    assert set(rows_in(path, prompts_of(sums(1)))) == {("q0", "small", 0), ("other", "gone", 0)}
