"""How long `import penstock.router` takes in a fresh interpreter, beside `import numpy`, and what it loads.

    python benchmarks/import_time.py [--rounds 15]

The interpreter's own start-up is measured in the same rounds and subtracted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

STATEMENTS = ("pass", "import numpy", "import penstock.router")
HEAVY = ("torch", "transformers", "sklearn", "scipy")


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    timings: dict[str, list[float]] = {statement: [] for statement in STATEMENTS}
    for number in range(options.rounds + 1):
        for statement in STATEMENTS:
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, env=environment)
            if number:  # the first round compiles
                timings[statement].append(time.perf_counter() - started)
    bare = statistics.median(timings["pass"])
    for statement in STATEMENTS[1:]:
        middle = 1000 * (statistics.median(timings[statement]) - bare)
        least = 1000 * (min(timings[statement]) - min(timings["pass"]))
        print(f"{statement:<24} median {middle:6.1f} ms, least {least:6.1f} ms")
    probe = f"import sys, penstock.router; print([m for m in {HEAVY!r} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True).stdout.strip()
    print(f"loaded of {', '.join(HEAVY)}: {loaded}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
