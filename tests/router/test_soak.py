"""The soak of `benchmarks/sidecar/soak.py`, short: requests, answers, traces, budgets and tokens balance."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="a source distribution has no benchmarks")
def test_under_faults_nothing_is_lost_and_the_ledger_balances() -> None:
    options = ["--requests", "300", "--share", "0.1", "--clients", "16"]
    command = [sys.executable, "-m", "benchmarks.sidecar.soak", *options]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / ".src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "LOST" not in ended.stdout
    assert "ok   requests 300 = traces 300" in ended.stdout
