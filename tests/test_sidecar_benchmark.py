"""The benchmark of the sidecar runs: `python -m benchmarks.sidecar`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")]


def test_quick_run_measures_the_sidecar_passing_through_and_routing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.sidecar", "--quick", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stderr
    rows = {line[:18].strip(): line[18:].split() for line in done.stdout.splitlines()}
    for name in ("penstock", "penstock, routed"):
        per_s, cpu_us, *_ = map(float, rows[name])
        assert per_s > 0
        assert cpu_us > 0
