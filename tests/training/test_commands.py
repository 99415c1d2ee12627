"""The offline commands as a user calls them: exit codes, files, messages."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penstock.classifiers.artefact import SCHEMA
from penstock.router.cli import main
from penstock.training import Trace, read_traces, split_queries, write_traces
from penstock.training.tables import write_table


@pytest.fixture(scope="module")
def artefact(demo, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    folder: Path = tmp_path_factory.mktemp("commands") / "artefact"
    assert main(["train", str(demo.traces), "--out", str(folder), "--quiet"]) == 0
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_train_leaves_an_artefact_and_a_report(artefact: Path) -> None:
    assert sorted(path.name for path in artefact.iterdir()) == ["manifest.json", "report.html", "weights.safetensors"]
    manifest = json.loads((artefact / "manifest.json").read_text())
    assert manifest["backends"] == ["lrm@high", "lrm@low", "mid", "small"]
    assert manifest["schema"] == SCHEMA
    assert len(manifest["training_data_sha256"]) == 64


def test_training_twice_gives_the_same_bytes_report_included(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert main(["train", str(demo.traces), "--out", str(tmp_path / "again"), "--quiet"]) == 0
    for path in artefact.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_evaluate_prints_figures_and_writes_json_and_report(
    demo,
    artefact: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    figures, report = tmp_path / "figures.json", tmp_path / "report.html"
    words = ["evaluate", str(artefact), str(demo.traces), "--json", str(figures), "--report", str(report), "--quiet"]
    assert main(words) == 0
    assert "gap_closed" in capsys.readouterr().out
    found = json.loads(figures.read_text())
    assert found["curves"]["cascade"]["gap_closed"]["value"] > 0
    assert found["confidences"]["auroc"]["value"] > 0.6
    assert report.read_text(encoding="utf-8").startswith("<!doctype html>") or "<html" in report.read_text()


def test_predict_writes_one_row_a_query_and_backend(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "estimates.csv"
    assert main(["predict", str(artefact), str(demo.traces), "--out", str(out), "--quiet"]) == 0
    rows = _rows(out)
    assert list(rows[0]) == ["query_id", "backend", "quality", "cost_usd", "latency_s", "difficulty", "familiarity"]
    assert len(rows) == 4 * demo.dataset.n_queries
    assert all(0 < float(row["quality"]) < 1 and float(row["cost_usd"]) > 0 for row in rows)


def test_predict_takes_queries_that_are_no_traces(artefact: Path, tmp_path: Path) -> None:
    queries, out = tmp_path / "queries.csv", tmp_path / "estimates.csv"
    queries.write_text('query\n"What is 3 + 4?"\nHow many days are 5 weeks?\n')
    assert main(["predict", str(artefact), str(queries), "--out", str(out), "--quiet"]) == 0
    assert len(_rows(out)) == 8


@pytest.mark.parametrize("ending", ["csv", "jsonl", "jsonl.gz", "parquet"])
def test_replay_writes_one_final_row_a_query_and_policy(demo, artefact: Path, tmp_path: Path, ending: str) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / f"calls.{ending}"
    words = ["replay", str(artefact), str(demo.traces), "--out", str(out), "--sweep", "3", "--policy", "auto"]
    assert main([*words, "--policy", "frugal", "--split", "test", "--quiet"]) == 0
    if ending != "csv":
        assert out.stat().st_size > 100
        return
    rows = _rows(out)
    policies = {row["policy"] for row in rows}
    assert {"auto", "frugal"} < policies
    assert sum(name.startswith("lam=") for name in policies) == 3
    finals = [(row["query_id"], row["policy"]) for row in rows if row["final"] == "True"]
    assert len(finals) == len(set(finals)) == len(policies) * len(demo.split.test)


def test_the_ends_of_a_sweep_are_all_cheapest_and_all_best(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "calls.csv"
    words = ["replay", str(artefact), str(demo.traces), "--out", str(out), "--sweep", "5", "--split", "test", "--quiet"]
    assert main(words) == 0
    swept = [row for row in _rows(out) if row["policy"].startswith("lam=") and row["step"] == "0"]
    dearest = max(swept, key=lambda row: float(row["policy"][4:]))["policy"]
    assert {row["backend"] for row in swept if row["policy"] == dearest} == {"small"}


def test_flipping_a_byte_of_the_artefact_is_an_error_in_one_line(
    demo,
    artefact: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("manifest.json", "weights.safetensors"):
        (broken / name).write_bytes((artefact / name).read_bytes())
    data = bytearray((broken / "weights.safetensors").read_bytes())
    data[len(data) // 2] ^= 1
    (broken / "weights.safetensors").write_bytes(bytes(data))
    assert main(["evaluate", str(broken), str(demo.traces), "--quiet"]) == 1
    error = capsys.readouterr().err.strip()
    assert error.startswith("penstock: error: ")
    assert "\n" not in error
    assert "weights.safetensors" in error


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows|empty"),
        (b"\x00\x01\x02\xff\xfe binary", "line 1"),
        (b'{"query_id": "a", "query": "x", "backend": "b", "score": 1.5, "cost_usd": 1}\n', "line 1.*score"),
        (b'{"query_id": "a", "query": "\xff", "backend": "b", "score": 1}\n', "line 1.*UTF-8"),
        (b'{"query_id": "a", "query": "x", "score": 1}\n', "backend"),
    ],
)
def test_bad_traces_fail_in_one_line_and_leave_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, message: str
) -> None:
    import re

    traces = tmp_path / "bad.jsonl"
    traces.write_bytes(content)
    assert main(["train", str(traces), "--out", str(tmp_path / "artefact"), "--quiet"]) == 1
    error = capsys.readouterr().err.strip()
    assert "bad.jsonl" in error
    assert re.search(message, error), error
    assert "\n" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--classifier", "forest"], "classifier: unknown 'forest'; expected one of mean, "),
        (["--encoder", "word2vec"], "encoder: unknown 'word2vec'; expected one of static, "),
        (["--out", __file__], "exists and is not an artefact; choose an empty or a new folder"),
    ],
)
def test_train_refuses_wrong_words_before_it_reads_the_traces(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(tmp_path / "missing.jsonl"), "--out", str(tmp_path / "out"), "--quiet", *words]) == 1
    assert told in capsys.readouterr().err


def test_train_refuses_a_folder_that_holds_something_else(
    demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # type: ignore[no-untyped-def]
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("all my work")
    assert main(["train", str(demo.traces), "--out", str(precious), "--quiet"]) == 1
    assert "not an artefact" in capsys.readouterr().err
    assert (precious / "thesis.txt").read_text() == "all my work"


@pytest.mark.parametrize(
    ("backends", "message"),
    [
        ("small mid lrm@low", "lrm@high"),  # the traces know one that models.yaml does not
        ("small mid lrm@low lrm@high other", "other"),  # and the reverse
    ],
)
def test_traces_and_models_yaml_must_name_the_same_backends(
    demo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    backends: str,
    message: str,  # type: ignore[no-untyped-def]
) -> None:
    models = tmp_path / "models.yaml"
    lines = ["version: 1", "backends:"]
    for name in backends.split():
        if "@" not in name:
            lines.append(f"  {name}: {{type: fake, tier: small}}")
    efforts = [name.partition("@")[2] for name in backends.split() if name.startswith("lrm")]
    lines.append(f"  lrm: {{type: fake, tier: lrm, efforts: [{', '.join(efforts)}]}}")
    models.write_text("\n".join(lines))
    words = ["train", str(demo.traces), "--models", str(models), "--out", str(tmp_path / "artefact"), "--quiet"]
    assert main(words) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "artefact").exists()


def test_a_ten_megabyte_query_is_no_trouble(tmp_path: Path) -> None:
    rows = [
        Trace(
            query_id=f"q{n}",
            query=f"question {n} " + ("long " * 2_000_000 if n == 3 else ""),
            backend=name,
            score=s,
            cost_usd=c,
        )
        for n in range(30)
        for name, s, c in (("a", float(n % 2), 0.1), ("b", 1.0, 1.0))
    ]
    path = tmp_path / "traces.jsonl"
    write_traces(rows, path)
    assert main(["train", str(path), "--out", str(tmp_path / "artefact"), "--quiet"]) == 0


def test_a_trained_router_keeps_what_the_traces_say_of_cost(demo, artefact: Path) -> None:  # type: ignore[no-untyped-def]
    manifest = json.loads((artefact / "manifest.json").read_text())
    assert manifest["training_data_sha256"] == read_traces([demo.traces]).sha256


def test_real_traces_train_evaluate_and_beat_the_mean_score_router(shared_data: Path, tmp_path: Path) -> None:
    traces, figures = str(shared_data / "routellm_gsm8k.parquet"), tmp_path / "figures.json"
    assert main(["train", traces, "--out", str(tmp_path / "artefact"), "--no-report", "--quiet"]) == 0
    assert main(["evaluate", str(tmp_path / "artefact"), traces, "--json", str(figures), "--quiet"]) == 0
    curves = json.loads(figures.read_text())["curves"]
    assert curves["router"]["gain_over_hull"]["low"] > 0
    assert curves["cascade"]["aiq"]["value"] > curves["router"]["aiq"]["value"]


def test_replay_of_streams_tells_what_was_given_up_and_released(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "calls.csv"
    words = ["replay", str(artefact), str(demo.traces), "--out", str(out), "--split", "test", "--quiet", "--streamed"]
    assert main(words) == 0
    rows = _rows(out)
    assert {row["given_up"] for row in rows} <= {"True", "False"}
    assert all(row["final"] == "True" for row in rows if row["released_after"])
    assert not any(row["final"] == "True" for row in rows if row["given_up"] == "True")


def test_a_policy_named_twice_is_replayed_once(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "calls.csv"
    words = ["replay", str(artefact), str(demo.traces), "--out", str(out), "--split", "test", "--quiet"]
    assert main([*words, "--policy", "auto", "--policy", "auto"]) == 0
    finals = [row["query_id"] for row in _rows(out) if row["final"] == "True"]
    assert len(finals) == len(set(finals)) == len(demo.split.test)


@pytest.mark.parametrize("command", ["train", "demo", "evaluate", "replay"])
def test_a_negative_seed_is_wrong_use(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--seed", "-1"]) == 2
    assert "whole number from 0 up" in capsys.readouterr().err


def test_evaluate_draws_the_split_that_training_drew(demo, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, figures, traces = tmp_path / "artefact", tmp_path / "figures.json", str(demo.grades)
    words = ["--seed", "7", "--classifier", "mean", "--no-report", "--quiet"]
    assert main(["train", traces, "--out", str(folder), *words]) == 0
    assert main(["evaluate", str(folder), traces, "--json", str(figures), "--quiet"]) == 0
    assert main(["predict", str(folder), traces, "--out", str(tmp_path / "p.csv"), "--quiet"]) == 0
    drawn = split_queries(demo.dataset, seed=7).test
    score = np.mean(demo.dataset.quality[drawn, demo.dataset.backends.index("small")])
    assert json.loads(figures.read_text())["always_cheapest"]["score"] == pytest.approx(score)


def test_without_a_test_split_there_is_no_report_and_it_is_said(
    demo,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],  # type: ignore[no-untyped-def]
) -> None:
    rows = [replace(row, split="train") for row in read_traces([demo.grades]).rows][:400]
    write_traces(rows, tmp_path / "traces.jsonl")
    assert main(["train", str(tmp_path / "traces.jsonl"), "--out", str(tmp_path / "a"), "--quiet"]) == 0
    assert "No report" in capsys.readouterr().out
    assert not (tmp_path / "a" / "report.html").exists()


def test_queries_that_a_policy_refuses_are_left_out_of_the_figures(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    models, figures = tmp_path / "models.yaml", tmp_path / "figures.json"
    models.write_text(
        "version: 1\ndefault_policy: auto\npolicies:\n  auto: {lam: 20}\n  fast: {lam: 20, max_latency_s: 0.000001}\n"
        "backends:\n  small: {type: fake}\n  mid: {type: fake}\n  lrm: {type: fake, efforts: [low, high]}\n"
    )
    words = ["evaluate", str(artefact), str(demo.traces), "--models", str(models), "--json", str(figures), "--quiet"]
    assert main(words) == 0
    fast = json.loads(figures.read_text())["policies"]["fast"]
    assert fast["refused"] == len(demo.split.test)


def test_a_cost_beyond_reason_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.jsonl").write_text(
        '{"query_id": "a", "query": "x", "backend": "b", "score": 1, "cost_usd": 1e300}\n'
    )
    assert main(["train", str(tmp_path / "t.jsonl"), "--out", str(tmp_path / "a"), "--quiet"]) == 1
    assert "column cost_usd" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["soon", "-1s", "inf", "", "m"])
def test_a_budget_that_is_no_time_is_wrong_use(demo, tmp_path: Path, text: str, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main(["train", str(demo.traces), "--out", str(tmp_path / "x"), f"--budget={text}"]) == 2
    assert "is no time; expected a number with s, m or h, as in 60s" in capsys.readouterr().err


def test_train_takes_a_budget(demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert main(["train", str(demo.grades), "--out", str(tmp_path / "x"), "--budget", "0s", "--no-report"]) == 0
    said = capsys.readouterr().out
    assert "The budget of 0 s left no time to try prior, knn, linear" in said
    assert "No classifier beats" not in said  # none was tried


def _two_backends(n_queries: int, *, split: str = "") -> list[Trace]:
    return [
        Trace(query_id=f"q{n}", query=f"question {n}", backend=name, score=score, cost_usd=cost, split=split)
        for n in range(n_queries)
        for name, score, cost in (("a", float(n % 2), 0.1), ("b", 1.0, 1.0))
    ]


def test_training_anew_leaves_no_report_on_the_router_that_was(tmp_path: Path) -> None:
    traces, folder = tmp_path / "traces.jsonl", tmp_path / "artefact"
    words = ["train", str(traces), "--out", str(folder), "--classifier", "mean", "--quiet"]
    write_traces(_two_backends(30), traces)
    assert main(words) == 0
    assert (folder / "report.html").exists()
    assert main([*words, "--no-report"]) == 0
    assert not (folder / "report.html").exists()


def test_predict_keeps_the_ids_of_queries_zero_among_them(artefact: Path, tmp_path: Path) -> None:
    queries, out = tmp_path / "queries.jsonl", tmp_path / "estimates.csv"
    queries.write_text('{"query_id": 0, "query": "What is 3 + 4?"}\n{"query_id": 1, "query": "And 5 + 6?"}\n')
    assert main(["predict", str(artefact), str(queries), "--out", str(out), "--quiet"]) == 0
    assert {row["query_id"] for row in _rows(out)} == {"0", "1"}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ('{"query_id": "a", "query": " "}', "column query: ' ' is empty"),
        ('{"query_id": "a", "messages": [{"role": "user"}, 3]}', "column messages"),
        ('{"query_id": "a", "query": [{"role": "user", "content": "hi"}]}', "or the list in column messages"),
    ],
)
def test_predict_names_the_row_that_is_wrong(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], row: str, told: str
) -> None:
    queries = tmp_path / "queries.jsonl"
    queries.write_text('{"query_id": "z", "query": "fine"}\n' + row + "\n")
    assert main(["predict", str(artefact), str(queries), "--out", str(tmp_path / "p.csv"), "--quiet"]) == 1
    error = capsys.readouterr().err
    assert "queries.jsonl, line 2: " in error
    assert told in error


def test_what_is_written_makes_its_folder(demo, artefact: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report, figures = tmp_path / "new" / "report.html", tmp_path / "newer" / "figures.json"
    words = ["evaluate", str(artefact), str(demo.traces), "--quiet", "--report", str(report), "--json", str(figures)]
    assert main(words) == 0
    assert report.exists()
    assert figures.exists()


@pytest.mark.parametrize(
    "words", [["predict", "--out"], ["replay", "--out"], ["evaluate", "--report"], ["evaluate", "--json"]]
)
@pytest.mark.parametrize("named", ["file", "folder"])
def test_what_is_read_is_never_written_over(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], named: str
) -> None:
    traces = tmp_path / "traces.jsonl"
    write_traces(_two_backends(12), traces)
    before = traces.read_bytes()
    command, option = words
    read = traces if named == "file" else tmp_path
    assert main([command, str(artefact), str(read), option, str(tmp_path / "." / "traces.jsonl"), "--quiet"]) == 1
    assert "traces.jsonl: is read here, and would be written over; expected another name" in capsys.readouterr().err
    assert traces.read_bytes() == before


@pytest.mark.parametrize("lost", ["models.yaml", "artefact/manifest.json", "artefact/weights.safetensors"])
def test_neither_models_nor_weights_are_written_over(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    traces = tmp_path / "traces.jsonl"
    write_traces(_two_backends(12), traces)
    shutil.copytree(artefact, tmp_path / "artefact")
    models = tmp_path / "models.yaml"
    models.write_text("backends: {small: {type: fake}, mid: {type: fake}}")
    before = (tmp_path / lost).read_bytes()
    words = ["evaluate", str(tmp_path / "artefact"), str(traces), "--models", str(models), "--quiet"]
    assert main([*words, "--report", str(tmp_path / lost)]) == 1
    assert "is read here, and would be written over; expected another name" in capsys.readouterr().err
    assert (tmp_path / lost).read_bytes() == before


@pytest.mark.parametrize("command", ["predict", "replay"])
def test_a_table_of_unknown_kind_is_told_before_the_work(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    traces = tmp_path / "traces.jsonl"
    write_traces(_two_backends(12), traces)
    assert main([command, str(artefact), str(traces), "--out", str(tmp_path / "calls.txt")]) == 1
    error = capsys.readouterr().err
    assert "calls.txt: unknown kind of file; expected a name ending in .csv" in error
    assert "reading" not in error


def test_predict_passes_over_rows_that_are_about_others(artefact: Path, tmp_path: Path) -> None:
    queries, out = tmp_path / "queries.jsonl", tmp_path / "estimates.csv"
    rows = [
        {"query_id": "a", "query": "What is 3 + 4?", "backend": "small", "response": "7"},
        {"query_id": "a", "backend": "small", "score": 1.0},
        {"query_id": "a", "backend": "mid", "judged": "small", "verdict": 0.9},
    ]
    queries.write_text("\n".join(map(json.dumps, rows)))
    assert main(["predict", str(artefact), str(queries), "--out", str(out), "--quiet"]) == 0
    assert {row["query_id"] for row in _rows(out)} == {"a"}


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_predict_passes_over_rows_about_others_in_tables_too(artefact: Path, tmp_path: Path, ending: str) -> None:
    read, out = tmp_path / "read", tmp_path / "estimates.csv"
    asked = {"query_id": "a", "query": "What is 3 + 4?", "backend": "small"}
    verdict = {"query_id": "a", "backend": "mid", "judged": "small", "verdict": 0.9}
    compared = {"query_id": "a", "backend": "small", "winner": "a", "other_query_id": "a", "other_backend": "mid"}
    columns = tuple(dict.fromkeys([*asked, *verdict, *compared]))
    write_table([asked, verdict, compared], columns, read / f"traces{ending}")
    grades = [{"query_id": "a", "backend": name, "score": 1.0} for name in ("small", "mid")]
    write_table(grades, tuple(grades[0]), read / f"feedback{ending}")
    assert main(["predict", str(artefact), str(read), "--out", str(out), "--quiet"]) == 0
    assert {row["query_id"] for row in _rows(out)} == {"a"}
