"""The demo, end to end on the models that ship with the package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from penstock.router.cli import main
from penstock.training.commands import demo

from ..offline import N_QUESTIONS, N_TEST, QUESTIONS, Toured

pytest.importorskip("torch")
pytest.importorskip("transformers")


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_backend_was_asked_every_question(toured: Toured) -> None:
    traces = rows(toured.folder / "traces.jsonl")
    assert len(traces) == 5 * (N_QUESTIONS + N_TEST)
    assert {row["backend"] for row in traces} == {"small", "mid", "lrm@low", "lrm@medium", "lrm@high"}
    assert all(row["score"] in (0, 1) and row["logprobs"] is not None for row in traces)
    assert all(len(row["entropies"]) == len(row["margins"]) == len(row["logprobs"]) for row in traces)


def test_the_tiers_differ_as_real_ones_do(toured: Toured) -> None:
    traces = rows(toured.folder / "traces.jsonl")

    def mean(backend: str, column: str) -> float:
        values = [float(str(row[column])) for row in traces if row["backend"] == backend]
        return sum(values) / len(values)

    assert mean("small", "score") < mean("mid", "score") < mean("lrm@high", "score")
    assert mean("lrm@low", "score") < mean("lrm@medium", "score") < mean("lrm@high", "score")
    assert mean("lrm@high", "score") > 0.8
    assert mean("lrm@high", "output_tokens") > 4 * mean("small", "output_tokens")
    assert mean("lrm@high", "cost_usd") > 10 * mean("small", "cost_usd")


def test_it_names_its_report_and_how_to_go_on(toured: Toured) -> None:
    assert f"report: {toured.folder / 'report.html'}" in toured.printed
    assert "<svg" in (toured.folder / "report.html").read_text(encoding="utf-8")
    ending = toured.printed[toured.printed.index("Go on with:") :]
    assert all(f"penstock {command}" in ending for command in ("check", "serve", "train"))


def test_it_answers_unseen_questions_and_sums_up(toured: Toured) -> None:
    tested = {str(row["query"]) for row in rows(toured.folder / "questions.jsonl") if row["split"] == "test"}
    shown = toured.printed[: toured.printed.index(f"{N_TEST} unseen questions:")]
    assert sum(query[:110] in shown for query in tested) >= 6
    assert shown.count("path ") == shown.count("confidence ") == 6
    for name in ("always small", "always lrm@high", "routed (auto)"):
        assert f"  {name} " in toured.printed


def test_its_models_yaml_serves_what_it_trained(toured: Toured, capsys: pytest.CaptureFixture[str]) -> None:
    models = str(toured.folder / "models.yaml")
    assert main(["check", models]) == 0
    assert main(["ask", "What is 49 * 2?", "--models", models, "--json"]) == 0
    lines = capsys.readouterr().out
    answer = json.loads(lines[lines.index("{") :])
    assert answer["text"] == "98"


def test_run_again_it_asks_nothing_twice(toured: Toured, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = shutil.copytree(toured.folder, tmp_path / "demo-out")
    before = (out / "traces.jsonl").read_bytes()
    stopped = KeyboardInterrupt()

    def stop(*_: object, **__: object) -> None:
        raise stopped

    monkeypatch.setattr(demo, "fit", stop)
    assert main(["demo", "--out", str(out), *QUESTIONS, "--quiet"]) == 130
    assert (out / "traces.jsonl").read_bytes() == before


def test_it_refuses_a_folder_that_it_did_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "models.yaml").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--quiet"]) == 1
    assert "not written by the demo" in capsys.readouterr().err
    assert (tmp_path / "models.yaml").read_text() == "mine"


def test_without_torch_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("penstock.training.embedded.tour.find_spec", lambda name: None)
    assert main(["demo", "--out", str(tmp_path / "new"), "--quiet"]) == 1
    assert "pip install 'penstock[local]'" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
