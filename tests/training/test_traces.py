"""Reading and writing labelled traces: the formats, what is converted and what is put together."""

import csv
import gzip
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from penstock.training.errors import TraceError
from penstock.training.traces import Trace, read_traces, write_traces

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

FULL = Trace(
    query_id="q1",
    query="What is 2 + 2?\nThink, “carefully”.",
    backend="small",
    score=0.5,
    cost_usd=0.00012,
    input_tokens=12,
    output_tokens=30,
    reasoning_tokens=20,
    latency_s=1.25,
    response='It is "4", I\nthink.',
    logprobs=(-0.5, -0.25, 0.0),
    entropies=(0.7, 0.25, 0.0),
    margins=(0.0, 1.5, 20.0),
    task="arithmetic",
    dataset="mine",
    split="train",
    group="g1",
    draw=2,
)
BARE = Trace(query_id="q2", query="Why?", backend="lrm@low")


def record(**changes: object) -> dict[str, object]:
    return {"query_id": "q1", "query": "Why?", "backend": "small", "score": 1.0} | changes


def write_jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(item) + "\n" for item in records), encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, jsonl: Path) -> Path:
    with duckdb.connect() as connection:
        table = connection.read_json(str(jsonl), format="newline_delimited")
        table.write_parquet(str(path))
    return path


def compress(path: Path, ending: str) -> Path:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    content = path.read_bytes()
    packed = path.with_name(path.name + ending)
    packed.write_bytes(gzip.compress(content) if ending == ".gz" else zstd.compress(content))
    return packed


def as_csv_row(trace: Trace) -> dict[str, Any]:
    names = [name for name in Trace.__slots__ if name not in ("messages", "verdicts")]
    row = {name: getattr(trace, name) for name in names}
    return row | {name: json.dumps(row[name]) for name in ("logprobs", "entropies", "margins") if row[name] is not None}


def test_jsonl_gives_back_what_was_written(tmp_path: Path) -> None:
    write_traces([FULL, BARE], tmp_path / "traces.jsonl")
    assert read_traces([tmp_path / "traces.jsonl"]).rows == (FULL, BARE)


def test_csv_gives_the_same_rows_as_jsonl(tmp_path: Path) -> None:
    write_traces([FULL, BARE], tmp_path / "traces.jsonl")
    path = write_csv(tmp_path / "traces.csv", [as_csv_row(FULL), as_csv_row(BARE)])
    assert read_traces([path]) == read_traces([tmp_path / "traces.jsonl"])


def test_parquet_gives_the_same_rows_as_jsonl(tmp_path: Path) -> None:
    write_traces([FULL, BARE], tmp_path / "traces.jsonl")
    path = write_parquet(tmp_path / "traces.parquet", tmp_path / "traces.jsonl")
    assert read_traces([path]) == read_traces([tmp_path / "traces.jsonl"])


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_compressed_files_give_the_same_rows(tmp_path: Path, ending: str, compression: str) -> None:
    jsonl = tmp_path / "plain.jsonl"
    write_traces([FULL, BARE], jsonl)
    plain = tmp_path / f"traces{ending}"
    if ending == ".parquet":
        write_parquet(plain, jsonl)
    elif ending == ".csv":
        write_csv(plain, [as_csv_row(FULL), as_csv_row(BARE)])
    else:
        plain.write_bytes(jsonl.read_bytes())
    assert read_traces([compress(plain, compression)]).rows == (FULL, BARE)


@pytest.mark.parametrize("name", ["a*.parquet", "a[1].parquet", "it's; DROP TABLE x.parquet", "split=odd.parquet"])
def test_parquet_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    write_traces([BARE], tmp_path / "plain.jsonl")
    write_traces([FULL], tmp_path / "other.jsonl")
    write_parquet(tmp_path / "a1.parquet", tmp_path / "other.jsonl")
    path = write_parquet(tmp_path / "b.parquet", tmp_path / "plain.jsonl").rename(tmp_path / name)
    assert read_traces([path]).rows == (BARE,)


def test_the_hash_tells_contents_apart_and_not_formats(tmp_path: Path) -> None:
    write_traces([FULL, BARE], tmp_path / "one.jsonl")
    write_traces([FULL], tmp_path / "two.jsonl")
    path = write_csv(tmp_path / "one.csv", [as_csv_row(FULL), as_csv_row(BARE)])
    one, two, same = (read_traces([tmp_path / name]).sha256 for name in ("one.jsonl", "two.jsonl", path.name))
    assert one == same
    assert one != two
    assert len(one) == len(hashlib.sha256().hexdigest())


def test_a_folder_is_read_recursively_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_jsonl(tmp_path / "z.jsonl", record(query_id="z"))
    write_jsonl(tmp_path / "deep" / "er" / "a.ndjson", record(query_id="a"))
    (tmp_path / "README.md").write_text("not a trace file")
    (tmp_path / "deep" / "empty.jsonl").touch()
    assert [row.query_id for row in read_traces([tmp_path]).rows] == ["a", "z"]


def test_hidden_files_of_a_folder_are_copies_and_not_read(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "traces.jsonl", record())
    (tmp_path / "._traces.jsonl").write_bytes(b"\x00\x05\x16\x07")  # as macOS keeps beside files on other disks
    (tmp_path / ".ipynb_checkpoints").mkdir()
    write_jsonl(tmp_path / ".ipynb_checkpoints" / "traces-checkpoint.jsonl", record(score=0.5))
    assert len(read_traces([tmp_path]).rows) == 1


def test_ids_in_parquet_may_be_of_the_kind_that_databases_have(tmp_path: Path) -> None:
    jsonl = write_jsonl(tmp_path / "traces.jsonl", record(query_id="0b8a3c52-5f4e-4c2c-9d0e-3f4c2f1b7a11"))
    with duckdb.connect() as connection:
        table = connection.read_json(str(jsonl), format="newline_delimited")
        table.project("* REPLACE (query_id::UUID AS query_id)").write_parquet(str(tmp_path / "traces.parquet"))
    assert read_traces([tmp_path / "traces.parquet"]).rows == read_traces([jsonl]).rows


def test_messages_in_parquet_are_those_of_jsonl_whatever_their_parts(tmp_path: Path) -> None:
    shown = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is it?"}, shown]}]
    jsonl = write_jsonl(tmp_path / "traces.jsonl", record(query=None, messages=messages))
    path = write_parquet(tmp_path / "traces.parquet", jsonl)
    assert read_traces([path]).rows == read_traces([jsonl]).rows


def test_a_file_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", record())
    traces = read_traces([path, tmp_path, path])
    assert len(traces.rows) == 1
    assert traces.notes == ()


def test_unknown_columns_are_ignored(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", record(confidence=0.5, nested={"a": [1]}, cost_kind="real"))
    assert read_traces([path]).rows == (Trace(query_id="q1", query="Why?", backend="small", score=1.0),)


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_column_that_looks_like_a_slip_is_told(tmp_path: Path, ending: str) -> None:
    jsonl = write_jsonl(tmp_path / "rows.jsonl", record(splt="test", cost=0.5, scores=1.0, prompt="Why?"))
    (tmp_path / "traces").mkdir()
    path = tmp_path / "traces" / f"rows{ending}"
    if ending == ".parquet":
        write_parquet(path, jsonl)
    else:
        rows = [json.loads(line) for line in jsonl.read_text().splitlines()]
        (write_csv(path, rows) if ending == ".csv" else write_jsonl(path, *rows))
    assert read_traces([path]).notes == (
        "Column 'cost' is not read; did you mean cost_usd?",
        "Column 'splt' is not read; did you mean split?",
    )


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_feedback_may_be_a_table(tmp_path: Path, ending: str) -> None:
    write_jsonl(tmp_path / "a.jsonl", record(score=None))
    feedback = write_jsonl(tmp_path / "b.jsonl", {"query_id": "q1", "backend": "small", "score": 0.25})
    if ending == ".parquet":
        write_parquet(tmp_path / "b.parquet", feedback)
    else:
        write_csv(tmp_path / "b.csv", [json.loads(feedback.read_text())])
    feedback.unlink()
    assert [row.score for row in read_traces([tmp_path]).rows] == [0.25]


def test_messages_stand_for_a_query(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    as_list = {"query_id": "q1", "messages": messages, "backend": "small"}
    as_text = as_list | {"messages": json.dumps(messages), "backend": "mid"}
    rows = read_traces([write_jsonl(tmp_path / "traces.jsonl", as_list, as_text)]).rows
    assert [row.messages for row in rows] == [tuple(messages)] * 2
    assert rows[0].query == "Be brief.\nWhy?"
    write_traces(rows, tmp_path / "again.jsonl")
    assert read_traces([tmp_path / "again.jsonl"]).rows == rows


def test_messages_in_parquet_lose_the_keys_they_do_not_have(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Why?", "name": "ann"}, {"role": "user", "content": "How?"}]
    jsonl = write_jsonl(tmp_path / "traces.jsonl", {"query_id": "q1", "messages": messages, "backend": "small"})
    rows = read_traces([write_parquet(tmp_path / "traces.parquet", jsonl)]).rows
    assert rows[0].messages == tuple(messages)


def test_numbers_as_other_programs_write_them_are_accepted(tmp_path: Path) -> None:
    rows = read_traces(
        [write_jsonl(tmp_path / "traces.jsonl", record(query_id=7, score=True, input_tokens=12.0, output_tokens=None))]
    ).rows
    assert (rows[0].query_id, rows[0].score, rows[0].input_tokens, rows[0].output_tokens) == ("7", 1.0, 12, None)


def test_a_byte_order_mark_is_no_part_of_the_first_row(tmp_path: Path) -> None:
    jsonl, table = tmp_path / "traces.jsonl", tmp_path / "traces.csv"
    jsonl.write_bytes(b"\xef\xbb\xbf" + json.dumps(record()).encode() + b"\r\n\r\n")
    table.write_bytes(b"\xef\xbb\xbfquery_id,query,backend,score\r\nq1,Why?,small,1\r\n")
    assert read_traces([jsonl]).rows == read_traces([table]).rows


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_a_query_of_ten_megabytes_is_read(tmp_path: Path, ending: str) -> None:
    query = "why? " * (2 * 2**20)
    path = write_jsonl(tmp_path / "long.jsonl", record(query=query))
    if ending == ".csv":
        before = csv.field_size_limit()
        path = write_csv(tmp_path / "long.csv", [record(query=query)])
    if ending == ".parquet":
        with duckdb.connect() as connection:
            table = connection.sql(
                "SELECT 'q1' AS query_id, ? AS query, 'small' AS backend, 1.0 AS score", params=[query]
            )
            table.write_parquet(str(tmp_path / "long.parquet"))
        path = tmp_path / "long.parquet"
    assert read_traces([path]).rows[0].query == query
    if ending == ".csv":
        assert csv.field_size_limit() == before


def test_rows_of_one_query_share_its_text(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", record(), record(backend="mid"))
    first, second = read_traces([path]).rows
    assert first.query is second.query


def test_progress_is_told_of_every_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", *(record(query_id=str(number)) for number in range(2500)))
    write_jsonl(tmp_path / "b.jsonl", record(query_id="last"))
    told: list[tuple[str, int]] = []
    read_traces([tmp_path], progress=lambda path, n_rows: told.append((path.name, n_rows)))
    assert told == [("a.jsonl", 1000), ("a.jsonl", 2000), ("a.jsonl", 2500), ("b.jsonl", 2501)]


def test_identical_rows_are_kept_once_and_counted(tmp_path: Path) -> None:
    traces = read_traces([write_jsonl(tmp_path / "traces.jsonl", record(), record(), record(draw=1))])
    assert len(traces.rows) == 2
    assert traces.notes == ("Rows that repeat an earlier row in every column, dropped: 1.",)


def test_a_score_that_comes_later_completes_its_row(tmp_path: Path) -> None:
    first = {"query_id": "q1", "query": "Why?", "backend": "small", "cost_usd": 0.5}
    traces = read_traces([write_jsonl(tmp_path / "traces.jsonl", first, first | {"score": 0.25})])
    assert [row.score for row in traces.rows] == [0.25]
    assert traces.notes == ("Rows graded by a later row or by feedback: 1.",)


def test_the_last_feedback_grades_the_row_it_names(tmp_path: Path) -> None:
    path = write_jsonl(
        tmp_path / "traces.jsonl",
        {"query_id": "q1", "backend": "small", "score": 1},
        {"query_id": "q1", "query": "Why?", "backend": "small"},
        {"query_id": "q1", "query": "Why?", "backend": "mid"},
        {"query_id": "q1", "backend": "small", "score": 0},
    )
    assert [(row.backend, row.score) for row in read_traces([path]).rows] == [("small", 0.0), ("mid", None)]


def test_feedback_on_nothing_is_a_row_without_a_query(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", record(), {"query_id": "q2", "backend": "small", "score": 1})
    with pytest.raises(TraceError, match=r"traces\.jsonl, line 2: column query: missing.*'q2'"):
        read_traces([path])


def test_feedback_that_contradicts_a_score_is_refused(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "traces.jsonl", record(), {"query_id": "q1", "backend": "small", "score": 0})
    with pytest.raises(TraceError, match=r"line 2: column score: feedback 0\.0 .* has score 1\.0"):
        read_traces([path])


def test_a_file_that_cannot_be_written_whole_does_not_appear(tmp_path: Path) -> None:
    write_traces([BARE], tmp_path / "traces.jsonl")

    def broken() -> Any:
        yield FULL
        raise RuntimeError("no more rows")

    with pytest.raises(RuntimeError):
        write_traces(broken(), tmp_path / "traces.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["traces.jsonl"]
    assert read_traces([tmp_path / "traces.jsonl"]).rows == (BARE,)


def test_writing_names_what_stands_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"ends in \.jsonl"):
        write_traces([BARE], tmp_path / "traces.csv")
    (tmp_path / "file").touch()
    with pytest.raises(TraceError, match="cannot be written: Not a directory"):
        write_traces([BARE], tmp_path / "file" / "traces.jsonl")


def test_writing_makes_the_folder(tmp_path: Path) -> None:
    write_traces([BARE], tmp_path / "new" / "er" / "traces.jsonl")
    assert read_traces([tmp_path / "new"]).rows == (BARE,)


@pytest.mark.parametrize(
    ("name", "n_rows", "n_queries", "n_backends"),
    [("mixed_9_open_models", 54_972, 6_108, 9), ("math_l5", 6_489, 721, 9), ("bullshit_bench", 493, 55, 9)],
)
def test_real_traces_are_read_without_a_complaint(name: str, n_rows: int, n_queries: int, n_backends: int) -> None:
    path = SHARED_DATA / f"{name}.parquet"
    if not path.exists():
        pytest.skip("../shared/data with real traces is not there")
    traces = read_traces([path])
    assert (len(traces.rows), traces.notes) == (n_rows, ())
    assert len({row.query_id for row in traces.rows}) == n_queries
    assert len({row.backend for row in traces.rows}) == n_backends
