"""Pairwise preferences as traces."""

import json
from pathlib import Path

import pytest

from penstock.training.errors import TraceError
from penstock.training.traces import Traces, read_traces


def preference(**changes: object) -> dict[str, object]:
    return {"query": "Why?", "backend_a": "small", "backend_b": "mid", "winner": "a"} | changes


def read(tmp_path: Path, *records: dict[str, object]) -> Traces:
    path = tmp_path / "preferences.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in records))
    return read_traces([path])


def scores(traces: Traces) -> dict[str, float | None]:
    return {row.backend: row.score for row in traces.rows}


@pytest.mark.parametrize(
    ("winner", "expected"),
    [
        ("a", {"small": 1.0, "mid": 0.0}),
        ("backend_b", {"small": 0.0, "mid": 1.0}),
        ("mid", {"small": 0.0, "mid": 1.0}),
        ("tie", {"small": 0.5, "mid": 0.5}),
    ],
)
def test_the_winner_scores_one_and_the_loser_nothing(
    tmp_path: Path, winner: str, expected: dict[str, float | None]
) -> None:
    assert scores(read(tmp_path, preference(winner=winner))) == expected


def test_several_comparisons_are_averaged_and_said_so(tmp_path: Path) -> None:
    traces = read(
        tmp_path,
        preference(),
        preference(backend_b="lrm"),
        preference(backend_a="mid", backend_b="lrm", winner="tie"),
        preference(winner="tie"),
    )
    assert scores(traces) == {"small": pytest.approx(5 / 6), "mid": pytest.approx(1 / 3), "lrm": 0.25}
    assert len(traces.notes) == 1
    assert traces.notes[0].startswith("Pairwise preferences converted")
    assert traces.notes[0].endswith(": 4.")


def test_comparisons_without_an_id_belong_together_by_their_text(tmp_path: Path) -> None:
    traces = read(tmp_path, preference(), preference(), preference(query="How?"))
    assert len({row.query_id for row in traces.rows}) == 2
    assert len(traces.rows) == 4


def test_different_answers_of_one_backend_become_draws(tmp_path: Path) -> None:
    traces = read(
        tmp_path,
        preference(response_a="because", response_b="so", cost_usd_a=0.25),
        preference(response_a="it is", response_b="so", winner="b"),
    )
    small = [(row.response, row.score, row.draw, row.cost_usd) for row in traces.rows if row.backend == "small"]
    mid = [(row.response, row.score, row.draw) for row in traces.rows if row.backend == "mid"]
    assert small == [("because", 1.0, 0, 0.25), ("it is", 0.0, 1, None)]
    assert mid == [("so", 0.5, 0)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"winner": "c"}, r"column winner: 'c'; expected one of a, b, tie, 'small' or 'mid'"),
        ({"winner": None}, r"column winner: None; expected one of"),
        ({"backend_b": "small"}, r"column backend_b: 'small' is backend_a too"),
        ({"backend_b": None}, r"column backend_b: missing"),
        ({"query": ""}, r"column query: '' is empty"),
    ],
)
def test_a_bad_comparison_names_its_column(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(TraceError, match=rf"line 2: {message}"):
        read(tmp_path, preference(), preference(**changes))


def test_csv_of_preferences_needs_no_query_id(tmp_path: Path) -> None:
    path = tmp_path / "preferences.csv"
    path.write_text("query,backend_a,backend_b,winner\nWhy?,small,mid,tie\n")
    assert scores(read_traces([path])) == {"small": 0.5, "mid": 0.5}


def test_one_id_with_two_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"line 2: column query: 'How\?' where .*line 1 has 'Why\?'"):
        read(tmp_path, preference(query_id="q"), preference(query_id="q", query="How?"))


def test_costs_of_either_side_may_come_as_csv(tmp_path: Path) -> None:
    path = tmp_path / "preferences.csv"
    path.write_text("query,backend_a,backend_b,winner,cost_usd_a,cost_usd_b\nWhy?,small,mid,a,0.1,0.25\n")
    assert {row.backend: row.cost_usd for row in read_traces([path]).rows} == {"small": 0.1, "mid": 0.25}
