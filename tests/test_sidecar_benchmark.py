"""The benchmark of the sidecar runs: `python -m benchmarks.sidecar`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")


@pytest.mark.slow
def test_quick_run_measures_the_sidecar_passing_through_and_routing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.sidecar", "--quick", "--work", str(tmp_path)]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stderr
    rows = {line[:18].strip(): line[18:].split() for line in done.stdout.splitlines()}
    for name in ("penstock", "penstock, routed"):
        per_s, cpu_us, *_ = map(float, rows[name])
        assert per_s > 0
        assert cpu_us > 0


_PROGRAM = """
import os, pathlib, sys, time
from contextlib import ExitStack
from benchmarks.sidecar.process import Server, unwind_at_sigterm

unwind_at_sigterm()
with ExitStack() as stack:
    command = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"]
    stack.callback(Server(command, port=0, log=pathlib.Path(sys.argv[1])).stop)
    time.sleep(60)
"""


def test_a_benchmark_that_is_terminated_leaves_no_server_behind(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    benchmark = subprocess.Popen([sys.executable, "-c", _PROGRAM, str(log)], cwd=Path(__file__).parents[1])
    end = time.monotonic() + 60
    while not (log.exists() and log.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    server = Path("/proc") / log.read_text().strip()
    assert server.exists()

    benchmark.terminate()
    benchmark.wait(timeout=60)
    assert not server.exists()
