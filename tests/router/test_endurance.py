"""The soak and the fuzzing of `benchmarks/sidecar`, short."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "benchmarks").is_dir(), reason="a source distribution has no benchmarks")
@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("soak --requests 300 --share 0.1 --clients 16", "ok   requests 300 = traces 300"),
        ("fuzz --examples 300", "300 requests, 0 failures of our own"),
    ],
)
def test_a_short_run_finds_nothing_wrong(command: str, says: str) -> None:
    name, *options = command.split()
    ended = subprocess.run(
        [sys.executable, "-m", f"benchmarks.sidecar.{name}", *options],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / ".src")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert says in ended.stdout
