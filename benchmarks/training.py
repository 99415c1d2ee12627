"""How long `penstock train` takes and how much memory, at 10 %, 30 % and 100 % of the rows.

    python benchmarks/training.py [--traces ../shared/data/mixed_9_open_models.parquet] [--rounds 1]

Each run is a process of its own; time and peak memory are the operating system's accounting of it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from penstock.training import read_traces, write_traces

SHARES = (0.1, 0.3, 1.0)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    shared = Path(__file__).parents[2] / "shared" / "data" / "mixed_9_open_models.parquet"
    parser.add_argument("--traces", type=Path, default=shared)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if not options.traces.exists():
        print(f"{options.traces}: no such file; name one with --traces", file=sys.stderr)
        return 1
    rows = read_traces([options.traces]).rows
    ids = list(dict.fromkeys(row.query_id for row in rows))
    print("share     rows   wall, s   cpu, s   peak, MB   us of wall a row")
    with tempfile.TemporaryDirectory() as scratch:
        for share in SHARES:
            kept = set(ids[: round(share * len(ids))])
            part = [row for row in rows if row.query_id in kept]
            path = Path(scratch) / f"{share}.jsonl"
            write_traces(part, path)
            runs = [run(path, Path(scratch) / f"artefact-{share}-{n}") for n in range(options.rounds)]
            wall, cpu, peak = (statistics.median(column) for column in zip(*runs, strict=True))
            print(
                f"{share:5.0%} {len(part):8} {wall:9.1f} {cpu:8.1f} {peak:10.0f} {wall / len(part) * 1e6:18.0f}",
                flush=True,
            )
    return 0


def run(traces: Path, out: Path) -> tuple[float, float, float]:
    """Returns wall seconds, CPU seconds and peak megabytes of one training run."""
    command = [sys.executable, "-m", "penstock.router.cli", "train", str(traces), "--out", str(out), "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"training failed with exit code {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
