"""Every head on every set: trains on train and validation, reports on test.

    python benchmarks/quality/table.py [SET ...] [--heads mean,stack,...] [--seeds 5] [--data ../shared/data] [--out F]

A seed draws the folds by which a head chooses its penalties and is calibrated; the test queries stay the same. `closed`
is (AIQ - hull) / (oracle - hull) of plain routing: its mean over seeds, the 95 % bootstrap interval over test queries
at the first seed, and the standard deviation over seeds. Times are medians over seeds: a fit with its out-of-fold
scores, and one query from its features to calibrated estimates.

What stands for which published router, all on the static encoder and the same split: `knn` for RouterBench's kNN
(arXiv:2403.12031), `cluster` for Avengers-Pro (2508.12631), `matrix` for RouteLLM's (2406.18665), `irt` for IRT-Router
(2506.01048), `contrastive` for RouterDC (2409.19886).
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from penstock.classifiers import HEADS, Features, Featurizer, assign_folds, fit_cost, fit_with_out_of_fold
from penstock.classifiers.calibration import fit_calibration
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.bootstrap import CurveFigures, curve_figures
from penstock.training.evaluation import FloatArray
from penstock.training.metrics import apgr, brier, ece
from penstock.training.trials import trial_curve

N_FOLDS = 5
N_TIMED = 200
_COLUMNS = ("set", "head", "closed", "saving at best", "APGR", "Brier", "ECE", "fit, s", "predict, us")
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Queries with what is read of them."""

    dataset: Dataset
    features: Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One head with one seed on the test queries of one set."""

    figures: CurveFigures
    apgr: float  # NaN unless there are two backends
    brier: float
    ece: float
    fit_s: float
    predict_us: float


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sets", nargs="*", help="names of Parquet files without the ending (default: all)")
    parser.add_argument(
        "--heads",
        default=",".join(head for head in HEADS if head != "finetune"),
        help=f"of {', '.join(HEADS)}, the last of them as finetune:<folder> (default: all but that one)",
    )
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--out", type=Path, help="also write the table there")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data}: no such folder; give the folder of the traces with --data", file=sys.stderr)
        return 1
    lines = [HEADER]
    print(HEADER, flush=True)
    with threadpool_limits(limits=1, user_api="blas"):
        for name in options.sets or sorted(path.stem for path in options.data.glob("*.parquet")):
            dataset = build_dataset(read_traces([options.data / f"{name}.parquet"]))
            split = split_queries(dataset, seed=0)
            learned, test = dataset.take(split.learned), dataset.take(split.test)
            featurizer, features = Featurizer().fit_transform(learned.texts)
            seen = Part(dataset=learned, features=features)
            new = Part(dataset=test, features=featurizer.transform_and_count(test.texts)[0])
            for head in options.heads.split(","):
                runs = [measure(head, seen, new, featurizer, seed=seed) for seed in range(options.seeds)]
                lines.append(row_of(name, head, runs))
                print(lines[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def measure(head: str, seen: Part, new: Part, featurizer: Featurizer, *, seed: int) -> Run:
    """Returns the figures of one head, learned from `seen`, on `new`."""
    learned, test = seen.dataset, new.dataset
    folds = assign_folds(learned.query_ids, n_folds=N_FOLDS, seed=seed)
    quantities = np.stack([learned.cost_usd, learned.output_tokens, learned.latency_s], axis=1)
    cost, _ = fit_cost(seen.features, quantities, folds)
    started = time.perf_counter()
    fitted, scores = fit_with_out_of_fold(head, seen.features, learned.quality, folds)
    calibration, _ = fit_calibration(scores, learned.quality, folds)
    fit_s = time.perf_counter() - started
    quality = calibration.apply(fitted.predictor_.predict(new.features))
    curve = trial_curve(head, quality, cost.predict(new.features)[:, 0], test.quality, test.cost_usd)
    taken = []
    for text in test.texts[:N_TIMED]:
        query = featurizer.transform_one(text)
        started = time.perf_counter()
        calibration.apply(fitted.predictor_.predict_one(query))
        taken.append(time.perf_counter() - started)
    return Run(
        figures=curve_figures([curve], test.quality, test.cost_usd)[0],
        apgr=_apgr(quality, test.quality),
        brier=brier(quality, test.quality),
        ece=ece(quality, test.quality),
        fit_s=fit_s,
        predict_us=statistics.median(taken) * 1e6,
    )


def row_of(name: str, head: str, runs: list[Run]) -> str:
    """Returns one row of the table."""
    closed = runs[0].figures.gap_closed
    values = [run.figures.gap_closed.value for run in runs]
    spread = f" +- {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    cells = (
        name,
        head,
        f"{statistics.mean(values):.3f} [{closed.low:.3f}, {closed.high:.3f}]{spread}",
        _mean([run.figures.saving_at_best.value for run in runs]),
        _mean([run.apgr for run in runs]),
        _mean([run.brier for run in runs]),
        _mean([run.ece for run in runs]),
        f"{statistics.median(run.fit_s for run in runs):.1f}",
        f"{statistics.median(run.predict_us for run in runs):.0f}",
    )
    return "| " + " | ".join(cells) + " |"


def _apgr(estimated: FloatArray, quality: FloatArray) -> float:
    if quality.shape[1] != 2:
        return float("nan")
    weak = int(np.nanmean(quality, axis=0).argmin())
    return apgr(estimated[:, 1 - weak] - estimated[:, weak], quality[:, weak], quality[:, 1 - weak])


def _mean(values: list[float]) -> str:
    return "-" if np.isnan(values).any() else f"{statistics.mean(values):.3f}"


if __name__ == "__main__":
    sys.exit(main())
