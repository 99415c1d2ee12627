"""The demo over recorded traces, which needs no model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from penstock.router import Router
from penstock.router.cli import main
from penstock.training import write_traces
from penstock.training.generate import generate_traces


def test_over_recorded_traces_it_tells_no_tokens_and_times_that_nobody_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = generate_traces(n_queries=40, seed=0)
    unknown = {"input_tokens": None, "output_tokens": None, "reasoning_tokens": None, "latency_s": None}
    write_traces([replace(row, **unknown) for row in rows], tmp_path / "t.jsonl")
    out = tmp_path / "demo-out"
    assert main(["demo", "--traces", str(tmp_path / "t.jsonl"), "--out", str(out), "--quiet"]) == 0
    paths = [line for line in capsys.readouterr().out.splitlines() if line.startswith("    path ")]
    assert len(paths) == 6
    assert not [line for line in paths if "tokens" in line or line.endswith(" s")]
    with Router.from_config(out / "models.yaml") as router:
        assert router.ask(rows[0].query).text
