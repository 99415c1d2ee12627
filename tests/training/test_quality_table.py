"""The table of every head on every set goes on where it was interrupted; the peers in it do what their papers say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from penstock.training.generate import generate_traces
from penstock.training.tables import write_table

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "quality"


@pytest.fixture(scope="module", name="peers")
def peers_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("peers", FOLDER / "peers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["peers"] = module  # where dataclasses look for their own module
    spec.loader.exec_module(module)
    return module


def test_ratings_give_the_shares_of_games_won(peers: ModuleType) -> None:
    true = np.array([1.0, 0.2, -1.2])
    chance = 1 / (1 + np.exp(true[None, :] - true[:, None]))
    np.fill_diagonal(chance, 0.0)
    assert peers.bradley_terry(100 * chance) == pytest.approx(true, abs=1e-3)


def test_who_wins_every_game_gets_a_finite_rating(peers: ModuleType) -> None:
    high, low = peers.bradley_terry(np.array([[0.0, 50.0], [0.0, 0.0]]))
    assert 1 < high < 20
    assert low == pytest.approx(-high)


def test_cells_that_are_measured_are_not_measured_again(tmp_path: Path) -> None:
    columns = ("query_id", "query", "backend", "score", "cost_usd")
    traces = [{name: getattr(row, name) for name in columns} for row in generate_traces(n_queries=60, seed=1)]
    write_table(traces, columns, tmp_path / "made.parquet")
    rows = tmp_path / "rows.jsonl"
    command = [sys.executable, str(FOLDER / "table.py"), "--data", str(tmp_path), "--rows", str(rows), "--heads"]

    def run(*words: str) -> tuple[str, str]:
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=100, check=True)
        return done.stdout, done.stderr

    table, said = run("mean,elo,nearest", "--seeds", "1")
    assert [line.split(" | ")[2] for line in table.splitlines()[2:]] == ["mean", "elo", "nearest"]
    assert said.count("seed 0") == 3
    cut = rows.read_bytes().splitlines()
    rows.write_bytes(b"\n".join(cut[:2]) + b"\n" + cut[2][:40])  # as an interruption may leave it
    again, said = run("mean,elo,nearest", "--seeds", "1")
    assert said.splitlines()[0].startswith("made static nearest seed 0")
    assert [row.split(" | ")[:9] for row in again.splitlines()] == [row.split(" | ")[:9] for row in table.splitlines()]
    _, said = run("mean", "--seeds", "3", "--budget", "0")
    assert said == "time is up: 2 cells are left\n"
