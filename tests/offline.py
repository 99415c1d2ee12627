"""The offline commands as the tests of several folders run them, the demo among them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
N_QUESTIONS, N_TEST = 160, 60
QUESTIONS = ["--n", str(N_QUESTIONS), "--n-test", str(N_TEST)]
# On a busy machine the threads of numpy's linear algebra wait for each other many times longer than they work.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Toured:
    """A demo of so many questions, finished. Who changes its folder copies it."""

    folder: Path
    printed: str


def run_in_process(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Returns how `penstock` ended in a process of its own, which finds modules of this folder too."""
    path = os.pathsep.join([str(ROOT / ".src"), str(Path.cwd())])
    return subprocess.run(
        [sys.executable, "-m", "penstock", *words],
        env=os.environ | ONE_THREAD | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=100,
        check=False,
    )
