from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.router.cli import main

from .pieces import write_models

FAKE = """
    backends:
      small: {type: fake, answer: "It is 391.", tier: small, price: {input: 1, output: 2}}
    """


def ask(folder: Path, text: str, *words: str) -> int:
    """Returns the exit code of `penstock ask` with this configuration."""
    return main(["ask", *words, "--models", str(write_models(folder, text))])


@pytest.mark.parametrize("words", [(), ("--no-stream",)], ids=["streamed", "whole"])
def test_the_answer_goes_to_standard_output_and_its_story_to_standard_error(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(tmp_path, FAKE, "What is 17 * 23?", *words) == 0
    told = capsys.readouterr()
    assert told.out == "It is 391.\n"
    assert told.err.startswith("[path small, confidence 0.")
    assert ", cost $0.0000" in told.err
    assert told.err.count("\n") == 1


def test_json_tells_the_answer_and_its_story(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(tmp_path, FAKE, "What is 17 * 23?", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["text"] == "It is 391."
    assert (told["backend"], told["path"], told["policy"]) == ("small", "small", "auto")
    assert told["cost_usd"] == pytest.approx(
        (told["steps"][0]["input_tokens"] * 1 + told["steps"][0]["output_tokens"] * 2) / 1e6
    )


def test_recorded_answers_are_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"query_id": "1", "query": "What is 17 * 23?", "backend": "small", "response": "381", "cost_usd": 0.001},
        {"query_id": "1", "query": "What is 17 * 23?", "backend": "big", "response": "391", "cost_usd": 0.25},
    ]
    (tmp_path / "traces.jsonl").write_text("\n".join(map(json.dumps, rows)))
    models = "backends: {mine: {type: replay, traces: traces.jsonl, record: big}}"
    assert ask(tmp_path, models, "What is 17 * 23?") == 0
    told = capsys.readouterr()
    assert told.out == "391\n"
    assert "cost $0.250000" in told.err


def test_a_failing_backend_is_fallen_back_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = """
        policies: {auto: {lam: 0}}
        backends:
          away: {type: openai, model: m, tier: lrm, base_url: "http://127.0.0.1:9/v1", price: {input: 1, output: 1}}
          small: {type: fake, answer: here, tier: small}
        """
    assert ask(tmp_path, models, "hello") == 0
    told = capsys.readouterr()
    assert told.out == "here\n"
    assert "[path away!>small, " in told.err


def test_a_host_that_cannot_be_reached_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = (
        'backends: {away: {type: openai, model: m, base_url: "http://127.0.0.1:9/v1", price: {input: 1, output: 1}}}'
    )
    assert ask(tmp_path, models, "hello") == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("penstock: error: every backend failed: away: ")
    assert "127.0.0.1" in told.err
    assert told.err.count("\n") == 1


def test_a_missing_environment_variable_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    models = "backends: {mine: {type: openai, model: m, api_key_env: NO_SUCH_KEY, price: {input: 1, output: 1}}}"
    assert ask(tmp_path, models, "hello") == 1
    assert capsys.readouterr().err == (
        "penstock: error: backends.mine.api_key_env: environment variable NO_SUCH_KEY is not set\n"
    )


def test_a_limit_on_the_answer_reaches_the_decision(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    models = """
        backends:
          tight: {type: fake, answer: tight, tier: lrm, limits: {context_tokens: 500}}
          wide: {type: fake, answer: wide, tier: small}
        """
    assert ask(tmp_path, models, "hello", "--max-tokens", "100") == 0
    assert capsys.readouterr().out == "tight\n"
    assert ask(tmp_path, models, "hello", "--max-tokens", "1000") == 0
    assert capsys.readouterr().out == "wide\n"


def test_traces_are_left_where_models_yaml_says(tmp_path: Path) -> None:
    assert ask(tmp_path, "traces: {folder: log}\n" + FAKE.replace("\n    ", "\n"), "What is 17 * 23?") == 0
    (line,) = (tmp_path / "log" / "traces.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert (record["backend"], record["final"]) == ("small", True)
    assert not {"messages", "response"} & record.keys()


def test_each_sample_can_be_asked_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FAKE.replace("type: fake,", "type: fake, samples: 2,")
    assert ask(tmp_path, text, "What is 17 * 23?", "--policy", "small#2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["path"] == "small#2"
