"""Whether certificates keep their promise: over many resplits, how often the loss is above the margin after all.

    python benchmarks/certificate.py [SET ...] [--resplits 200] [--labels 500 2000] [--margin 0.02] [--risk 0.05]

A head is fitted once a set; its out-of-fold estimates stand for those of a router that saw none of the queries. Each
resplit certifies on so many random queries and is judged on all the others. Where nothing can be certified, the best
backend is always asked, which breaks no promise.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

from penstock.classifiers import Featurizer, FitError, assign_folds, fit_cost
from penstock.classifiers.prior_head import PriorHead
from penstock.router import Pool
from penstock.training import Dataset, build_dataset, fit, read_traces, split_queries
from penstock.training.candidates import Timer, fit_candidates
from penstock.training.certify import certify, choices_within, choose_slacks
from penstock.training.fit import N_FOLDS
from penstock.training.progress import Silent
from penstock.training.risk import reject_in_turn

SETS = ("routellm_mmlu", "mixed_9_open_models")
HEADER = (
    "| set | labels | certified | promise broken | allowed | loss | saving | 500 labels, s |\n"
    "|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    """Returns the exit code: 1 where the promise is broken too often."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--resplits", type=int, default=200)
    parser.add_argument("--labels", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--margin", type=float, default=0.02)
    parser.add_argument("--risk", type=float, default=0.05)
    parser.add_argument("--classifier", default="linear")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data}: no such folder; give the folder of the traces with --data", file=sys.stderr)
        return 1
    allowed = options.risk + 2 * np.sqrt(options.risk * (1 - options.risk) / options.resplits)
    print(HEADER, flush=True)
    is_kept = True
    for name in options.sets:
        dataset = build_dataset(read_traces([options.data / f"{name}.parquet"]))
        dataset = dataset.take(np.isfinite(dataset.quality).all(axis=1))
        taken_s = time_of(dataset, options)
        losses, savings = replayed(dataset, options.classifier)
        for n_labels in options.labels:
            broken, certified, lost, saved = resplit(losses, savings, n_labels, options)
            is_kept &= broken <= allowed
            print(
                f"| {name} | {n_labels} | {certified:.0%} | {broken:.3f} | {allowed:.3f} | {lost:.4f} | {saved:.1%} "
                f"| {taken_s:.2f} |",
                flush=True,
            )
    return 0 if is_kept else 1


def replayed(dataset: Dataset, classifier: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns loss and cost saved at every slack for every query, (n_slacks, n_queries) each, the latter as shares of
    the mean cost of the best backend.
    """
    folds = assign_folds(dataset.query_ids, n_folds=N_FOLDS, seed=0)
    _, features = Featurizer().fit_transform(dataset.texts)
    quantities = np.stack([dataset.cost_usd, dataset.output_tokens, dataset.latency_s], axis=1)
    _, expected = fit_cost(features, quantities, folds)
    candidates, _ = fit_candidates(
        (classifier,),
        features,
        dataset.quality,
        folds,
        Timer(None, time.perf_counter),
        Silent(),
        prior=PriorHead(cost_usd=dataset.cost_usd, backends=dataset.backends),
    )
    quality = candidates[classifier].quality
    best = int(quality.mean(axis=0).argmax())
    chosen = choices_within(choose_slacks(quality, best), dataset.backends, best, quality, expected[:, 0])
    rows = np.arange(dataset.n_queries)
    losses = dataset.quality[:, best] - dataset.quality[rows, chosen]
    saved = dataset.cost_usd[:, best] - dataset.cost_usd[rows, chosen]
    return losses, saved / dataset.cost_usd[:, best].mean()


def resplit(
    losses: np.ndarray, savings: np.ndarray, n_labels: int, options: argparse.Namespace
) -> tuple[float, float, float, float]:
    """Returns how often the promise was broken, how often one was made, and the mean loss and saving when judged."""
    rng = np.random.default_rng(0)
    broken, certified, lost, saved = 0, 0, [], []
    for _ in range(options.resplits):
        order = rng.permutation(losses.shape[1])
        labels, others = order[:n_labels], order[n_labels:]
        n_passed, _ = reject_in_turn(losses[:, labels], margin=options.margin, risk=options.risk)
        lost.append(losses[n_passed - 1, others].mean() if n_passed else 0.0)
        saved.append(savings[n_passed - 1, others].mean() if n_passed else 0.0)
        certified += n_passed > 0
        broken += lost[-1] > options.margin
    return broken / options.resplits, certified / options.resplits, float(np.mean(lost)), float(np.mean(saved))


def time_of(dataset: Dataset, options: argparse.Namespace) -> float:
    """Returns the seconds that certifying from 500 held-out labels takes, estimates included."""
    split = split_queries(dataset, seed=0)
    trained = fit(
        dataset.take(split.learned[:1500]),
        split_queries(dataset.take(split.learned[:1500]), seed=0),
        classifier=options.classifier,
    ).trained
    started = time.perf_counter()
    try:
        certify(
            Pool({}, trained),
            dataset.take(split.test[:500]),
            trained.model.neighbours,
            margin=options.margin,
            risk=options.risk,
            traces_sha256="",
        )
    except FitError as error:
        print(f"refused: {error}", file=sys.stderr)
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
