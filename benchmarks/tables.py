"""The command that the benchmarks on real traces share: a table, set by set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

_DATA = Path(__file__).parents[2] / "shared" / "data"


def print_table(
    about: str, header: str, sets: Sequence[str], rows_of: Callable[[str, Path, int], Iterable[str]]
) -> int:
    """Prints the rows that `rows_of(name, path, seed)` gives for every set, which is a name or a file of traces.

    Returns the exit code.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("sets", nargs="*", default=sets)
    parser.add_argument("--data", type=Path, default=_DATA)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="also write the table there")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data}: no such folder; give the folder of the traces with --data", file=sys.stderr)
        return 1
    lines = [header]
    print(header, flush=True)
    for name in options.sets:
        given = Path(name)
        path = given if given.suffix else options.data / f"{name}.parquet"
        for line in rows_of(given.stem, path, options.seed):
            lines.append(line)
            print(line, flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0
