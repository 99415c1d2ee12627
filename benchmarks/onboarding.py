"""A backend joins a trained router: how well it is routed by a few labels, chosen or random, and by all.

    python benchmarks/onboarding.py [SET ...] [--data ../shared/data] [--labels 10 25 50 100] [--draws 5]

Each backend of the set in turn is left out, a router is trained on the others, and the backend joins by so many
labelled queries of train and validation: those that onboarding picks, or random ones, over several draws. AIQ of the
whole pool on the test queries, by query-only routing, stands beside that of a router trained on all labels of all
backends with the same head. Differences are means over the backends that were left out, with 95 % bootstrap intervals
over queries and draws paired.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from penstock.classifiers import Trained
from penstock.training import Dataset, build_dataset, fit, read_traces, split_queries
from penstock.training.bootstrap import paired_bootstrap
from penstock.training.newcomer import Newcomer, choose_queries
from penstock.training.onboarding import known_logits, onboard
from penstock.training.trials import Area, area_statistic, trial_curve

SETS = ("mixed_9_open_models",)
N_RESAMPLES = 400
HEADER = "| set | labels | chosen - full data | random - full data | chosen - random | worst backend, chosen - full |"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--labels", type=int, nargs="+", default=[10, 25, 50, 100])
    parser.add_argument("--draws", type=int, default=5, help="of random queries")
    parser.add_argument("--classifier", default="stack")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="which queries are judged")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data}: no such folder; give the folder of the traces with --data", file=sys.stderr)
        return 1
    print(f"{HEADER}\n{'|---' * 6}|", flush=True)
    for name in options.sets:
        for line in rows_of(name, options):
            print(line, flush=True)
    return 0


def rows_of(name: str, options: argparse.Namespace) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([options.data / f"{name}.parquet"]))
    split = split_queries(dataset, seed=0)
    rows, judged = (split.learned, split.test) if options.split == "test" else (split.train, split.val)
    known, test = dataset.take(rows), dataset.take(judged)
    whole = area_of(train(known, options.classifier), test)
    chosen: dict[int, list[Area]] = {n: [] for n in options.labels}
    random: dict[int, list[list[Area]]] = {n: [] for n in options.labels}
    rng = np.random.default_rng(0)
    for backend in known.backends:
        base = train(without(known, backend), options.classifier)
        logits = known_logits(base.model.estimate_all(known.texts))
        order = choose_queries(Newcomer.expect(logits), logits, max(options.labels))
        draws = [rng.permutation(known.n_queries) for _ in range(options.draws)]
        for n in options.labels:
            chosen[n].append(joined_area(base, known, backend, np.array(order[:n]), test))
            random[n].append([joined_area(base, known, backend, draw[:n], test) for draw in draws])
    lines = []
    for n in options.labels:
        picked = [_difference(area, whole) for area in chosen[n]]
        drawn = [_difference(_mean(areas), whole) for areas in random[n]]
        both = [_difference(one, other) for one, other in zip(picked, drawn, strict=True)]
        figures = [interval(parts, test) for parts in (picked, drawn, both)]
        once = np.ones((1, test.n_queries))
        worst = min(float(part(once)[0]) for part in picked)
        lines.append(f"| {name} | {n} | {' | '.join(figures)} | {worst:+.4f} |")
    return lines


def train(dataset: Dataset, classifier: str) -> Trained:
    """Returns the router learned from all queries of the dataset."""
    return fit(dataset, split_queries(dataset, seed=0), classifier=classifier, seed=0).trained


def without(dataset: Dataset, backend: str) -> Dataset:
    """Returns the dataset without one backend."""
    left = [place for place, name in enumerate(dataset.backends) if name != backend]
    columns = {
        field.name: getattr(dataset, field.name)[:, left]
        for field in fields(dataset)
        if isinstance(getattr(dataset, field.name), np.ndarray)
    }
    return replace(dataset, backends=tuple(dataset.backends[place] for place in left), **columns)


def joined_area(base: Trained, known: Dataset, backend: str, rows: np.ndarray, test: Dataset) -> Area:
    """Returns the AIQ of the router that the backend joined by the labels of these rows."""
    return area_of(onboard(base, known.take(rows), backend, known.texts), test)


def area_of(trained: Trained, test: Dataset) -> Area:
    """Returns the AIQ of routing the test queries by the estimates, as a function of the weights of queries."""
    estimates = trained.model.estimate_all(test.texts)
    order = [trained.model.backends.index(name) for name in test.backends]
    quality = np.stack([each.quality for each in estimates])[:, order]
    cost = np.stack([each.cost_usd for each in estimates])[:, order]
    curve = trial_curve("joined", quality, cost, test.quality, test.cost_usd)
    return area_statistic(curve, test.quality, test.cost_usd)


def _difference(one: Area, other: Area) -> Area:
    return lambda weights: one(weights) - other(weights)


def _mean(areas: list[Area]) -> Area:
    return lambda weights: np.asarray(np.mean([area(weights) for area in areas], axis=0))


def interval(parts: list[Area], test: Dataset) -> str:
    """Returns the mean over the backends with its interval."""
    figure = paired_bootstrap(_mean(parts), test.n_queries, n_resamples=N_RESAMPLES, seed=0)
    return f"{figure.value:+.4f} [{figure.low:+.4f}, {figure.high:+.4f}]"


if __name__ == "__main__":
    sys.exit(main())
