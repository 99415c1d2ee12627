"""What is wrong with a trace file is said with file, line and column, and never with a traceback."""

import gzip
import json
from pathlib import Path

import duckdb
import pytest

from penstock.training.errors import TraceError
from penstock.training.traces import read_traces

GOOD = {"query_id": "q1", "query": "Why?", "backend": "small", "score": 1.0}

BAD_VALUES = [
    ({"query_id": None}, "column query_id: missing; expected text"),
    ({"query_id": " "}, "column query_id: ' ' is empty; expected text"),
    ({"query_id": 1.5}, "column query_id: 1.5 is not text; expected text"),
    ({"query": None}, "column query: missing"),
    ({"query": "  "}, "column query: '  ' is empty"),
    ({"query": ["a"]}, "column query: ['a'] is a list; expected text, or the list in column messages"),
    ({"backend": None}, "column backend: missing; expected text"),
    ({"backend": ""}, "column backend: '' is empty; expected text"),
    ({"score": 1.5}, "column score: 1.5; expected a number from 0 to 1"),
    ({"score": -0.1}, "column score: -0.1; expected a number from 0 to 1"),
    ({"score": float("nan")}, "column score: nan; expected a number from 0 to 1"),
    ({"score": "good"}, "column score: 'good'; expected a number from 0 to 1"),
    ({"cost_usd": float("nan")}, "column cost_usd: nan; expected a number from 0 up"),
    ({"cost_usd": -0.5}, "column cost_usd: -0.5; expected a number from 0 up"),
    ({"cost_usd": float("inf")}, "column cost_usd: inf; expected a number from 0 up"),
    ({"latency_s": -1}, "column latency_s: -1; expected a number from 0 up"),
    ({"input_tokens": -3}, "column input_tokens: -3; expected a whole number from 0 up"),
    ({"output_tokens": 2.5}, "column output_tokens: 2.5; expected a whole number from 0 up"),
    ({"reasoning_tokens": float("nan")}, "column reasoning_tokens: nan; expected a whole number from 0 up"),
    ({"draw": -1}, "column draw: -1; expected a whole number from 0 up"),
    ({"input_tokens": 10**400}, "column input_tokens: 1"),
    ({"response": 4}, "column response: 4 is not text; expected text"),
    ({"logprobs": 4}, "column logprobs: 4; expected a list of natural logs, up to 0"),
    ({"logprobs": [-0.5, 0.5]}, "column logprobs: 0.5 at position 1; expected natural logs, up to 0"),
    ({"logprobs": [None]}, "column logprobs: None at position 0"),
    ({"entropies": [0.5, -0.5]}, "column entropies: -0.5 at position 1; expected numbers from 0 up"),
    ({"margins": "wide"}, "column margins: 'wide'; expected a list of numbers from 0 up"),
    ({"margins": [float("inf")]}, "column margins: inf at position 0; expected numbers from 0 up"),
    ({"messages": "hello"}, "column messages: 'hello': messages: expected a list"),
    ({"messages": [{"content": "no role"}]}, "messages[0]: expected an object with a `role`"),
    ({"messages": []}, "column messages: []: messages: expected a list of at least one chat message"),
    ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content: expected text or a list of parts"),
]


def write_lines(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def line_of(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def failure(*paths: Path) -> str:
    with pytest.raises(TraceError) as caught:
        read_traces(paths)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("changes", "message"), BAD_VALUES)
def test_a_bad_value_is_named_with_file_line_and_column(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(query_id="q0"), b"", line_of(**changes))
    assert failure(path).startswith(f"{path}, line 3: ")
    assert message in failure(path)


@pytest.mark.parametrize(("changes", "message"), BAD_VALUES)
def test_a_bad_row_is_counted_where_asked_to_skip(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(**changes), line_of(query_id="q2"))
    traces = read_traces([path], skip_bad_rows=True)
    assert [row.query_id for row in traces.rows] == ["q2"]
    assert traces.n_skipped == 1
    assert message in traces.skipped[0]
    assert traces.notes[0].startswith(f"Bad rows skipped: 1; the first one: {path}, line 1: ")


def test_only_the_first_messages_of_skipped_rows_are_kept(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.jsonl", *[line_of(score=2)] * 20, line_of())
    traces = read_traces([path], skip_bad_rows=True)
    assert traces.n_skipped == 20
    assert len(traces.skipped) == 5


def test_a_file_of_nothing_but_bad_rows_is_an_error_even_so(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(score=2), line_of(score=3))
    with pytest.raises(TraceError, match=r"no usable row: all 2 are bad, the first one: .*line 1: column score: 2"):
        read_traces([path], skip_bad_rows=True)


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(score="x" * 10_000))
    assert len(failure(path)) < 300 + len(str(path))


@pytest.mark.parametrize("name", ["traces.jsonl", "traces.csv", "traces.parquet"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    message = failure(tmp_path / name)
    assert message.startswith(str(tmp_path / name))
    assert ("no rows" in message) or ("Parquet" in message)


def test_a_table_without_rows_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.csv", b"query_id,query,backend,score")
    assert "no rows" in failure(path)


@pytest.mark.parametrize("missing", ["query_id", "query", "backend"])
def test_a_missing_column_is_named(tmp_path: Path, missing: str) -> None:
    columns = [column for column in (*GOOD, "task") if column != missing]
    table = write_lines(tmp_path / "traces.csv", ",".join(columns).encode(), b"a,b,0.5")
    assert f"column {missing} is missing; found 'query" in failure(table)
    with duckdb.connect() as connection:
        connection.sql("SELECT " + ", ".join(f"'0.5' AS {name}" for name in columns)).write_parquet(
            str(tmp_path / "traces.parquet")
        )
    assert f"column {missing} is missing" in failure(tmp_path / "traces.parquet")


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.csv", b"query_id,query,backend,score,score", b"q,Why?,small,1,0")
    assert "column 'score' appears twice" in failure(path)


@pytest.mark.parametrize("fields", [b"q1,Why?", b"q1,Why?,small,1,extra"])
def test_a_table_row_of_another_length_than_the_header_is_named(tmp_path: Path, fields: bytes) -> None:
    path = write_lines(
        tmp_path / "traces.csv", b"query_id,query,backend,score", b'q0,"two\nlines",small,1', fields, b"q2,Why?,small,0"
    )
    assert failure(path).startswith(f"{path}, line 4: {fields.count(b',') + 1} fields, from 'q1' on; expected 4")
    assert [row.query_id for row in read_traces([path], skip_bad_rows=True).rows] == ["q0", "q2"]


@pytest.mark.parametrize(("cell", "shown"), [(b"nan", "nan"), (b"1.5", "1.5"), (b"much", "'much'")])
def test_a_bad_cell_of_a_table_is_named(tmp_path: Path, cell: bytes, shown: str) -> None:
    path = write_lines(tmp_path / "traces.csv", b"query_id,query,backend,score", b"q1,Why?,small," + cell)
    assert failure(path) == f"{path}, line 2: column score: {shown}; expected a number from 0 to 1"


def test_a_bad_cell_of_parquet_is_named_by_its_row(tmp_path: Path) -> None:
    path = tmp_path / "traces.parquet"
    with duckdb.connect() as connection:
        rows = "(VALUES ('q1', 'Why?', 'small', 1.0::DOUBLE), ('q2', 'Why?', 'small', 'nan'::DOUBLE))"
        connection.sql(f"SELECT * FROM {rows} AS t(query_id, query, backend, score)").write_parquet(str(path))
    assert failure(path) == f"{path}, row 2: column score: nan; expected a number from 0 to 1"


def test_bytes_that_are_not_utf8_are_named_by_their_line(tmp_path: Path) -> None:
    jsonl = write_lines(tmp_path / "a.jsonl", line_of(query_id="q0"), b'{"query_id": "caf\xe9"}')
    assert failure(jsonl).startswith(f"{jsonl}, line 2: not UTF-8: b'\\xe9")
    table = write_lines(
        tmp_path / "a.csv", b"query_id,query,backend", b"q0,Why?,small", b"q1,caf\xe9,small", b"q2,Why?,mid"
    )
    assert failure(table).startswith(f"{table}, line 3: not UTF-8: b'\\xe9")
    assert [row.query_id for row in read_traces([table], skip_bad_rows=True).rows] == ["q0", "q2"]


@pytest.mark.parametrize("line", [b'{"query_id": "q1", "query', b"[1, 2", b"[" * 100_000, b"{'query_id': 1}", b"\x00"])
def test_a_line_that_is_not_json_is_named(tmp_path: Path, line: bytes) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(), line)
    assert failure(path).startswith(f"{path}, line 2: not JSON: ")


@pytest.mark.parametrize("line", [b"[1, 2]", b'"text"', b"null", b"3"])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, line: bytes) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(), line)
    assert failure(path).startswith(f"{path}, line 2: ")
    assert "expected a JSON object" in failure(path)


def test_half_a_surrogate_pair_is_named_by_its_column(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.jsonl", b'{"query_id": "q1", "query": "\\ud800", "backend": "small"}')
    assert "line 1: column query: " in failure(path)


@pytest.mark.parametrize(
    "name", ["a.jsonl", "a.csv", "a.parquet", "a.jsonl.gz", "a.csv.zst", "a.parquet.gz", "a.parquet.zst"]
)
def test_binary_junk_is_refused_with_the_name_of_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(range(255, -1, -1)) * 40)
    assert failure(path).startswith(str(path))


def test_a_compressed_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl.gz"
    path.write_bytes(gzip.compress(b"".join(line_of(query_id=f"q{n}") + b"\n" for n in range(500)))[:-20])
    assert failure(path).startswith(f"{path}: cannot be read: ")


def test_conflicting_rows_are_refused_with_both_lines(tmp_path: Path) -> None:
    first = write_lines(tmp_path / "a.jsonl", line_of(query_id="q0"), line_of())
    second = write_lines(tmp_path / "b.jsonl", line_of(score=0.0))
    message = failure(first, second)
    assert message.startswith(
        f"{second}, line 1: column score: 0.0 where {first}, line 2 has 1.0 for the same query_id"
    )
    assert "column draw" in message


@pytest.mark.parametrize(
    ("column", "here", "there"), [("query", "How?", "Why?"), ("split", "test", "train"), ("group", "g2", "g1")]
)
def test_rows_of_one_query_that_disagree_on_it_are_refused(tmp_path: Path, column: str, here: str, there: str) -> None:
    path = write_lines(tmp_path / "traces.jsonl", line_of(**{column: there}), line_of(backend="mid", **{column: here}))
    assert failure(path).startswith(f"{path}, line 2: column {column}: {here!r} where {path}, line 1 has {there!r}")


def test_rows_that_say_nothing_of_a_split_do_not_hide_a_contradiction(tmp_path: Path) -> None:
    rows = [line_of(), line_of(backend="mid", split="train"), line_of(backend="lrm", split="test")]
    path = write_lines(tmp_path / "traces.jsonl", *rows)
    assert failure(path).startswith(f"{path}, line 3: column split: 'test' where ")


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert failure(tmp_path / "nowhere.jsonl") == f"{tmp_path / 'nowhere.jsonl'}: no such file or folder"


@pytest.mark.parametrize("name", ["traces.json", "traces.txt", "traces", "traces.gz"])
def test_an_unknown_ending_is_refused_with_those_allowed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(line_of())
    assert "expected a name that ends in .jsonl, .ndjson, .csv, .parquet" in failure(tmp_path / name)


def test_a_folder_without_traces_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert failure(tmp_path).startswith(f"{tmp_path}: no trace file in this folder")


def test_no_paths_at_all_are_refused() -> None:
    assert failure() == "no traces: expected at least one file or folder"
