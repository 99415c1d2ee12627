"""What routing saves on the embedded models: the demo, seed by seed, judged on questions that it did not learn from.

    python benchmarks/embedded_routing.py [--seeds 3] [--n 1200] [--n-test 400] [--mix easy] [--unaided] [--out FOLDER]

A row a seed, each with new questions, new answers and a new router: accuracy and cost of the default policy beside
always asking `lrm@high`, and how far the cascade's curve lies above the hull of single backends (AIQ, 95 % paired
bootstrap). With `--unaided` no question is worked out: what is left is what routing and looking at the answers save on
questions of which no rule knows the answer.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from penstock.classifiers import workable
from penstock.router.cli import main as penstock

_HEADER = (
    "| seed | always small | always lrm@high | routed | of its accuracy | of its cost | AIQ above the hull |"
    " closed | demo, s |\n|---|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--n", default="1200", help="questions to learn from (default: 1200)")
    parser.add_argument("--n-test", default="400", help="unseen questions (default: 400)")
    parser.add_argument("--mix", default="easy", help="of levels, as `penstock demo --mix` takes it (default: easy)")
    parser.add_argument("--unaided", action="store_true", help="without the solvers of penstock.classifiers.workable")
    parser.add_argument("--out", type=Path, help="keep the demos there")
    options = parser.parse_args()
    if options.unaided:
        workable.SOLVERS = ()
    print(_HEADER, flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(options.first, options.first + options.seeds):
            folder = (options.out or Path(scratch)) / f"seed-{seed}"
            started = time.perf_counter()
            words = ["demo", "--out", str(folder), "--seed", str(seed), "--n", options.n, "--n-test", options.n_test]
            if run([*words, "--mix", options.mix]):
                return 1
            demo_s = time.perf_counter() - started
            print(row_of(seed, figures(folder), demo_s), flush=True)
    return 0


def run(words: list[str]) -> int:
    """Returns the exit code of a command, whose output is not shown."""
    with redirect_stdout(StringIO()):
        return penstock([*words, "--quiet"])


def figures(folder: Path) -> dict[str, Any]:
    """Returns what `penstock evaluate` says of a finished demo."""
    words = [
        "evaluate",
        str(folder / "artefact"),
        str(folder / "traces.jsonl"),
        "--models",
        str(folder / "models.yaml"),
    ]
    if run([*words, "--split", "test", "--json", str(folder / "figures.json")]):
        sys.exit(1)
    loaded: dict[str, Any] = json.loads((folder / "figures.json").read_text(encoding="utf-8"))
    return loaded


def row_of(seed: int, found: dict[str, Any], demo_s: float) -> str:
    """Returns one row of the table."""
    cheapest, best, routed = found["always_cheapest"], found["always_best"], found["policies"]["auto"]
    score, cost = routed["score"]["value"], routed["cost_usd"]["value"]
    gain, closed = (found["curves"]["cascade"][name] for name in ("gain_over_hull", "gap_closed"))
    cells = [
        str(seed),
        f"{cheapest['score']:.3f}",
        f"{best['score']:.3f}",
        f"{score:.3f}",
        f"{score / best['score']:.3f}",
        f"{cost / best['cost_usd']:.3f}",
        *(f"{each['value']:.3f} [{each['low']:.3f}, {each['high']:.3f}]" for each in (gain, closed)),
        f"{demo_s:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    raise SystemExit(main())
