"""Prompts from files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.training import TraceError
from penstock.training.errors import BadRow
from penstock.training.prompts import parse_prompt, read_prompts

from .collecting import sums, write_rows


def test_jsonl_csv_and_parquet_say_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"query_id": "a", "query": "Capital?", "answer": "Paris", "choices": ["Rome", "Paris"], "split": "test"},
        {"query_id": "b", "query": "2 + 2?", "answer": "4", "choices": None, "split": None},
    ]
    jsonl = write_rows(tmp_path / "p.jsonl", rows)
    (tmp_path / "p.csv").write_text(
        'query_id,query,answer,choices,split,unknown\na,Capital?,Paris,"[""Rome"", ""Paris""]",test,1\nb,2 + 2?,4,,,\n'
    )
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(jsonl.read_bytes()))
    with duckdb.connect() as connection:
        connection.read_json(str(jsonl)).write_parquet(str(tmp_path / "p.parquet"))
    found = [
        [(p.query_id, p.query, p.answers, p.choices, p.split) for p in read_prompts([tmp_path / name])]
        for name in ("p.jsonl", "p.jsonl.gz", "p.csv", "p.parquet")
    ]
    assert found[0] == [("a", "Capital?", ("Paris",), ("Rome", "Paris"), "test"), ("b", "2 + 2?", ("4",), (), "")]
    assert found[1:] == [found[0]] * 3


def test_an_id_is_made_from_what_is_asked_alone() -> None:
    first, second = (
        parse_prompt({"query": "x", "answer": 1}),
        parse_prompt({"query": "x", "answer": 2, "query_id": None}),
    )
    assert first.query_id == second.query_id
    assert first.query_id.startswith("query-")
    assert parse_prompt({"query": "y"}).query_id != first.query_id
    message = {"role": "user", "content": "x"}
    assert parse_prompt({"messages": [message]}).query_id != parse_prompt({"messages": [message] * 2}).query_id


def test_messages_are_asked_as_they_are() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "x"}]
    query = parse_prompt({"messages": json.dumps(messages), "query_id": "a"}).as_query({"temperature": 1})
    assert list(query.messages) == messages
    assert (query.id, query.params) == ("a", {"temperature": 1})
    assert parse_prompt({"query": "x"}).as_query({}).messages == ({"role": "user", "content": "x"},)


def test_traces_may_be_prompts_each_query_once(tmp_path: Path) -> None:
    rows = [{**row, "backend": name, "score": 1} for row in sums(3) for name in ("small", "large")]
    assert [prompt.query_id for prompt in read_prompts([write_rows(tmp_path / "t.jsonl", rows)])] == ["q0", "q1", "q2"]


def test_the_file_that_is_written_to_is_not_read_for_prompts(tmp_path: Path) -> None:
    write_rows(tmp_path / "prompts.jsonl", sums(2))
    out = write_rows(tmp_path / "traces.jsonl", [{"query_id": "other", "query": "x", "backend": "small"}])
    assert len(read_prompts([tmp_path], leave_out=out)) == 2


def test_one_id_for_two_prompts_is_refused(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "p.jsonl", [{"query_id": 1, "query": "x"}, {"query_id": "1", "query": "y"}])
    with pytest.raises(
        TraceError, match=r"line 2: query_id '1' is another prompt at .*p.jsonl, line 1; expected an id"
    ):
        read_prompts([path])


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text("\n")
    with pytest.raises(TraceError, match=r"p.jsonl: no prompt; expected rows with column query or messages"):
        read_prompts([tmp_path / "p.jsonl"])


def test_a_table_without_queries_is_refused_by_its_header(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("query_id,answer\na,1\n")
    with pytest.raises(TraceError, match=r"p.csv: column query is missing; found 'query_id', 'answer'"):
        read_prompts([tmp_path / "p.csv"])


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"query": None}, "column query: missing"),
        ({"query": " "}, "column query: ' ' is empty"),
        ({"answer": {"a": 1}}, "column answer: {'a': 1}; expected text or a number, or a list"),
        ({"answer": [""]}, "column answer: ''; expected"),
        ({"choices": "Rome, Paris"}, "column choices: 'Rome, Paris' is not JSON"),
        ({"choices": ["Rome"]}, "column choices: .*; expected a list of at least two texts"),
        ({"choices": ["Rome", None]}, "column choices: .*; expected a list of texts"),
        ({"schema": "{"}, "column schema: '{' is not JSON"),
        ({"schema": [1]}, "column schema: .*; expected a JSON schema, an object"),
        ({"pattern": 3}, "column pattern: 3 is not text"),
        ({"split": "tset"}, "column split: 'tset'; expected train, training"),
    ],
)
def test_a_bad_row_is_refused_by_its_column(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRow, match=f"^{said}"):
        parse_prompt({"query": "x", **columns})


def test_a_bad_row_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"query": "x"}\n\n{"query": 3}\n')
    with pytest.raises(TraceError, match=r"p.jsonl, line 3: column query: 3 is not text"):
        read_prompts([path])
