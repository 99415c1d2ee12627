"""The sidecar beside other gateways, in one run: requests a second, CPU, latency, streams, memory, start.

    python -m benchmarks.sidecar [--peers FOLDER] [--rounds 5] [--seconds 3] [--quick]
    python -m benchmarks.sidecar --growth 200000

All servers run at once, each in its own process, behind one mock provider. They are asked in turns (A B A B ...), so
that a noisy machine touches all alike; figures are medians over rounds. `--peers` is a folder with `litellm`, `portkey`
and `routellm` in it, each an environment of its own; one that is not there is left out, with how to get it. `--growth`
asks the sidecar alone that many times, and tells how its memory grows. Linux only: CPU and memory are read from /proc,
children included.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

from .contenders import PEERS, Contender, Missing, sidecars, upstream
from .growth import print_growth
from .material import trained_router, write_questions
from .measure import Asker, Figures, Round, measure, table
from .process import Server, unwind_at_sigterm

_N_QUESTIONS = 2000
_N_STARTS = 3  # of which the median counts; one of a quick run


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sidecar", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--peers", type=Path, help="folder with litellm, portkey and routellm")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of every measurement (default 3)")
    parser.add_argument("--work", type=Path, help="folder for the trained router and logs, kept for the next run")
    parser.add_argument("--growth", type=int, metavar="N", help="ask the sidecar N times, and watch its memory")
    parser.add_argument("--quick", action="store_true", help="one short round, to see whether it runs")
    options = parser.parse_args()
    unwind_at_sigterm()
    if options.quick:
        options.rounds, options.seconds = 1, 0.5
    n_starts = 1 if options.quick else _N_STARTS
    with ExitStack() as stack:
        folder = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        router = trained_router(folder, n_traces=100 if options.quick else 3000)
        questions = write_questions(folder, _N_QUESTIONS)
        direct = upstream(questions)
        ours = sidecars(folder, direct.port, router, questions)
        asker = Asker(stack.enter_context(get_context("spawn").Pool(1)))
        bare, _ = _started(direct, folder, stack, n_starts)
        if options.growth:
            for contender in ours:
                server, _ = _started(contender, folder, stack, n_starts)
                print_growth(asker, contender, server, n_requests=options.growth)
            return 0
        running = [(direct, bare, 0.0)]
        for contender in (*ours, *_peers(folder, direct.port, options.peers)):
            try:
                running.append((contender, *_started(contender, folder, stack, n_starts)))
            except RuntimeError as error:
                print(f"{contender.name}: left out: {error}", file=sys.stderr)
        _compare(asker, running, n_rounds=options.rounds, seconds=options.seconds)
    return 0


def _peers(folder: Path, port: int, places: Path | None) -> Iterator[Contender]:
    """Yields the peers that are installed, and tells of the others how to get them."""
    for name, make in PEERS.items():
        try:
            yield make(folder, port, (places or Path("peers")) / name)
        except Missing as error:
            print(f"{name}: left out: {error}", file=sys.stderr)


def _started(contender: Contender, folder: Path, stack: ExitStack, n_starts: int) -> tuple[Server, float]:
    """Returns the server, which ends with the stack, and the median time from its start to its first answer."""
    times = []
    for number in range(n_starts):
        server = contender.start(folder)
        stack.callback(server.stop)
        times.append(server.wait(contender.requests()[0]))
        if number < n_starts - 1:
            server.stop()
    return server, statistics.median(times)


def _compare(asker: Asker, running: list[tuple[Contender, Server, float]], *, n_rounds: int, seconds: float) -> None:
    rounds: dict[str, list[Round]] = {contender.name: [] for contender, *_ in running}
    for _ in range(n_rounds):
        for contender, server, _ in running:
            rounds[contender.name].append(measure(asker, contender, server, running[0][0], seconds=seconds))
    figures = {
        contender.name: Figures(rounds=rounds[contender.name], start_s=start_s, memory_mb=server.memory_mb())
        for contender, server, start_s in running
    }
    print("\n".join(table(figures, direct=running[0][0].name)))
    asking = max(found.asking for found in rounds[running[0][0].name])
    print(f"medians of {n_rounds} rounds; asking took at most {asking:.0%} of a core, with the mock asked directly")


if __name__ == "__main__":
    sys.exit(main())
