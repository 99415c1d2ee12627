from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.backends import BackendError, BackendSpec, Completion, ConfigError, InvalidRequest, Query, create_backend
from penstock.backends.replay import ReplayBackend

ROW = {
    "query_id": "q1",
    "query": "17 * 23?",
    "backend": "small",
    "score": 1.0,
    "cost_usd": 0.002,
    "input_tokens": 7,
    "output_tokens": 3,
    "reasoning_tokens": 1,
    "latency_s": 0.5,
    "response": "It is 391.",
    "logprobs": [-0.5, -0.25],
    "entropies": [0.75, 0.5],
    "margins": [1.0, 2.0],
}


def write(path: Path, *rows: Any) -> Path:
    text = b"".join(row if isinstance(row, bytes) else orjson.dumps(row) + b"\n" for row in rows)
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def ask(path: Path, query: Query, **options: Any) -> Completion:
    backend = create_backend(BackendSpec(name="small", type="replay", options={"traces": str(path)} | options))
    return asyncio.run(backend.complete(query))


def test_a_sample_replays_the_draw_of_its_number(tmp_path: Path) -> None:
    path = write(tmp_path / "traces.jsonl", ROW, {**ROW, "draw": 1, "response": "It is 392."})
    answers = {
        name: asyncio.run(
            create_backend(BackendSpec(name=name, type="replay", options={"traces": str(path)}, draw=draw)).complete(
                Query.from_text("17 * 23?")
            )
        ).text
        for draw, name in enumerate(("small", "small#2"))
    }
    assert answers == {"small": "It is 391.", "small#2": "It is 392."}


@pytest.mark.parametrize("name", ["traces.jsonl", "traces.jsonl.gz"])
def test_row_becomes_a_completion(tmp_path: Path, name: str) -> None:
    completion = ask(write(tmp_path / name, ROW), Query.from_text("another text", id="q1"))
    assert (completion.text, completion.cost_usd, completion.latency_s) == ("It is 391.", 0.002, 0.5)
    assert completion.logprobs == (-0.5, -0.25)
    assert (completion.entropies, completion.margins) == ((0.75, 0.5), (1.0, 2.0))
    usage = completion.usage
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, usage.is_estimated) == (7, 3, 1, False)


def test_parquet_is_read(tmp_path: Path) -> None:
    import duckdb

    source, path = write(tmp_path / "traces.jsonl", ROW), tmp_path / "traces.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_json('{source}')) TO '{path}' (FORMAT parquet)")
    assert ask(path, Query.from_text("17 * 23?")).logprobs == (-0.5, -0.25)


def test_query_without_an_id_is_found_by_its_text(tmp_path: Path) -> None:
    assert ask(write(tmp_path / "t.jsonl", ROW), Query.from_text("17 * 23?")).text == "It is 391."


def test_query_recorded_as_messages_is_found_by_their_text(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "17 * 23?"}]
    for column in (messages, orjson.dumps(messages).decode()):
        row = {key: value for key, value in ROW.items() if key != "query"} | {"messages": column}
        assert ask(write(tmp_path / "t.jsonl", row), Query.from_messages(messages)).text == "It is 391."


def test_rows_of_other_backends_are_skipped(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ROW | {"backend": "lrm", "response": "391!"}, ROW)
    assert ask(path, Query.from_text("x", id="q1")).text == "It is 391."
    assert ask(path, Query.from_text("x", id="q1"), record="lrm").text == "391!"


def test_first_draw_counts(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ROW | {"draw": 0}, ROW | {"draw": 1, "response": "390"})
    assert ask(path, Query.from_text("x", id="q1")).text == "It is 391."


def test_row_without_a_response_or_counts_is_an_empty_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", {"query_id": "q1", "query": "17 * 23?", "backend": "small"})
    completion = ask(path, Query.from_text("17 * 23?"))
    assert (completion.text, completion.cost_usd, completion.usage.is_estimated) == ("", None, True)


def test_query_without_a_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no recording for query 'q2'"):
        ask(write(tmp_path / "t.jsonl", ROW), Query.from_text("x", id="q2"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"{\n", "not JSON"),
        (b"[]\n", "expected an object"),
        ({"query_id": "q"}, "backend is missing"),
        ({"backend": "small", "query": "x"}, "query_id is missing"),
        ({"backend": "small", "query_id": "q"}, "query: expected text, or messages"),
        (ROW | {"cost_usd": -1}, "cost_usd: expected a number"),
        (ROW | {"latency_s": "slow"}, "latency_s: expected a number"),
        (ROW | {"response": 391}, "response: expected text"),
        (ROW | {"logprobs": ["a"]}, "logprobs: expected a list of numbers"),
        (ROW | {"logprobs": 5}, "2: "),
    ],
)
def test_bad_row_is_named_by_file_and_line(tmp_path: Path, row: Any, message: str) -> None:
    path = write(tmp_path / "t.jsonl", ROW, row)
    with pytest.raises(BackendError) as caught:
        ask(path, Query.from_text("x"))
    assert f"{path}:2: " in str(caught.value)
    assert message in str(caught.value)


def test_file_that_is_no_gzip_is_an_error_of_the_call(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(b"plain")
    with pytest.raises(BackendError, match=r"t\.jsonl\.gz"):
        ask(path, Query.from_text("x"))


def test_traces_without_this_backend_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="no row of backend 'small'"):
        ask(write(tmp_path / "t.jsonl", ROW | {"backend": "lrm"}), Query.from_text("x"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "traces: missing"),
        ({"traces": "/nowhere/t.jsonl"}, "traces: no file /nowhere/t.jsonl"),
        ({"traces": 5}, "traces: expected a path"),
        ({"traces": [5]}, "traces: expected a path"),
        ({"speed": 2}, "speed: unknown; expected one of traces, record"),
    ],
)
def test_wrong_configuration_is_told_when_the_backend_is_built(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ReplayBackend(BackendSpec(name="small", type="replay", options=options))
    assert f"backends.small.{message}" in str(caught.value)
