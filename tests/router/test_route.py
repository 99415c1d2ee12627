from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from penstock.router.cli import main

from .pieces import write_models

MODELS = """
    policies:
      auto: {lam: 20}
      frugal: {objective: cheapest_above, quality: 0.85}
    backends:
      small: {type: fake, tier: small, price: {input: 0.1, output: 0.4}}
      mid: {type: fake, tier: mid, price: {input: 1, output: 3}}
      lrm: {type: fake, tier: lrm, efforts: [low, high], price: {input: 1, output: 4}}
    """


@pytest.fixture
def models(tmp_path: Path) -> str:
    """Returns the path of a configuration."""
    return str(write_models(tmp_path, MODELS))


def routed(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    """Returns what `penstock route --json` prints."""
    assert main(["route", *words, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)
    return told


def test_the_decision_is_explained_and_nobody_is_asked(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "Prove that sqrt(2) is irrational.", "--models", models]) == 0
    lines = capsys.readouterr().out.splitlines()
    chosen = lines[0].partition(":")[0]
    assert f"{chosen}: utility: estimated quality " in lines[0]
    assert [line.split()[0] for line in lines[2:6]] == ["small", "mid", "lrm@low", "lrm@high"]
    assert [line.split()[0] for line in lines[2:6] if line.endswith("<")] == [chosen]
    assert [line.partition(":")[0] for line in lines].count("cold start") == 1


def test_json_tells_the_same(models: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = routed(capsys, "hello", "--models", models)
    assert told["policy"] == "auto"
    assert told["source"] == "cold start"
    assert isinstance(told["estimates"], list)
    assert [row["backend"] for row in told["estimates"]] == ["small", "mid", "lrm@low", "lrm@high"]


@pytest.mark.parametrize(
    ("words", "backend"),
    [
        (("--policy", "frugal"), "mid"),
        (("--policy", "lrm@high"), "lrm@high"),
        (("--lam", "1e9"), "small"),
        (("--lam", "0"), "lrm@high"),
        (("--lam", "0", "--effort", "low"), "lrm@low"),
        (("--lam", "0", "--allow", "small,mid"), "mid"),
        (("--lam", "0", "--deny", "lrm@high, lrm@low"), "mid"),
        (("--lam", "0", "--max-latency-s", "6"), "mid"),
        (("--lam", "0", "--max-cost-usd", "0.001"), "small"),
        (("--lam", "1e9", "--min-quality", "0.9"), "lrm@low"),
    ],
)
def test_policies_and_wishes_change_the_decision(
    models: str, words: tuple[str, ...], backend: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert routed(capsys, "hello", "--models", models, *words)["backend"] == backend


def test_a_dash_reads_the_question_from_standard_input(
    models: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cost(question: str) -> float:
        monkeypatch.setattr(sys, "stdin", io.StringIO(question))
        told = routed(capsys, "-", "--models", models)
        assert isinstance(told["estimates"], list)
        return float(told["estimates"][0]["cost_usd"])

    assert cost("a long question\n" * 1000) > cost("a short question\n")


@pytest.mark.parametrize("question", ["", "  \n "])
def test_an_empty_question_is_refused(models: str, question: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", question, "--models", models]) == 1
    assert capsys.readouterr().err == "penstock: error: query: empty; expected a question\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--policy", "atuo"),
            "unknown model or policy 'atuo'; expected one of auto, frugal, small, mid, lrm@low, lrm@high",
        ),
        (("--allow", "lrm"), "allow/deny: unknown backend 'lrm'; expected some of small, mid, lrm@low, lrm@high"),
        (
            ("--min-quality", "0.99", "--allow", "small"),
            "no backend is left: small: estimated quality 0.",
        ),
    ],
)
def test_what_cannot_be_fulfilled_is_told_in_one_line(
    models: str, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["route", "hello", "--models", models, *words]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"penstock: error: {said}")
    assert told.err.count("\n") == 1


def test_without_a_file_the_default_name_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["route", "hello"]) == 1
    assert capsys.readouterr().err.startswith("penstock: error: models.yaml: cannot be read: ")
