"""Every head, encoder and baseline on every set: trains on train and validation, reports on test.

    python benchmarks/quality/table.py [--sets gsm_9,math_l5] [--heads mean,stack,...] [--encoders static,hf:DIR]
        [--seeds 5] [--budget SECONDS] [--rows quality.jsonl] [--data ../shared/data] [--out F]

One cell (set, encoder, head, seed) after the other is measured and appended to `--rows`; run again, it goes on from
there. All cells of the first seed come first. With `--budget`, no cell is begun once that time has passed. Then the
table of all rows is printed.

A seed draws the folds by which a head chooses its penalties and is calibrated; the test queries stay the same. `closed`
is (AIQ - hull) / (oracle - hull) of plain routing: its mean over seeds, the 95 % bootstrap interval over test queries
at the first seed, and the standard deviation over seeds. Times are medians over seeds: a fit with its out-of-fold
scores, and one query from its features to calibrated estimates.

What stands for which published router, all on one encoder and the same split: `knn` for RouterBench's kNN
(arXiv:2403.12031), `nearest` for the plain kNN of arXiv:2505.12601, `cluster` for Avengers-Pro (2508.12631), `matrix`
for RouteLLM's matrix factorisation and `elo` for its similarity-weighted ranking (2406.18665), `irt` for IRT-Router
(2506.01048), `contrastive` for RouterDC (2409.19886), `mean` for a router that does not look at the query.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import orjson
from peers import PEERS
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it ships no types

from penstock.classifiers import HEADS, Features, Featurizer, assign_folds, fit_cost, fit_with_out_of_fold
from penstock.classifiers.calibration import fit_calibration
from penstock.classifiers.heads import Head
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.bootstrap import N_RESAMPLES, curve_figures
from penstock.training.evaluation import FloatArray
from penstock.training.metrics import apgr
from penstock.training.probability_metrics import brier, ece
from penstock.training.trials import trial_curve

N_FOLDS = 5
N_TIMED = 200
ALL_HEADS = (*(name for name in HEADS if name != "finetune"), *PEERS)  # that one needs an encoder named
_COLUMNS = (
    "set",
    "encoder",
    "head",
    "seeds",
    "closed",
    "saving at best",
    "APGR",
    "Brier",
    "ECE",
    "fit, s",
    "predict, us",
)
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Queries with what is read of them."""

    dataset: Dataset
    features: Features


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What is measured at once."""

    set: str
    encoder: str
    head: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The figures of a cell on the test queries; None where one is not defined."""

    closed: float | None
    closed_low: float | None  # bounds of the interval, at seed 0
    closed_high: float | None
    saving_at_best: float | None
    apgr: float | None  # of two backends
    brier: float
    ece: float
    fit_s: float
    predict_us: float


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sets", help="names of Parquet files without the ending (default: all)")
    parser.add_argument("--heads", default=",".join(ALL_HEADS), help=f"of {', '.join(ALL_HEADS)} (default: all)")
    parser.add_argument("--encoders", default="static", help="static, hf:FOLDER, ... (default: static)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument(
        "--budget", type=float, default=float("inf"), metavar="SECONDS", help="begin no cell after that"
    )
    parser.add_argument("--rows", type=Path, default=Path("quality.jsonl"), metavar="F.jsonl")
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[3] / "shared" / "data")
    parser.add_argument("--out", type=Path, help="also write the table there")
    options = parser.parse_args()
    if not options.data.is_dir():
        print(f"{options.data}: no such folder; give the folder of the traces with --data", file=sys.stderr)
        return 1
    sets = options.sets.split(",") if options.sets else sorted(path.stem for path in options.data.glob("*.parquet"))
    wanted = [
        Cell(set=name, encoder=encoder, head=head, seed=seed)
        for seed in range(options.seeds)
        for name in sets
        for encoder in options.encoders.split(",")
        for head in options.heads.split(",")
    ]
    ended_at = time.monotonic() + options.budget
    with threadpool_limits(limits=1, user_api="blas"):
        done = read_rows(options.rows)
        for cell in wanted:
            if cell in done:
                continue
            if time.monotonic() >= ended_at:
                print(f"time is up: {sum(cell not in done for cell in wanted)} cells are left", file=sys.stderr)
                break
            done[cell] = measure(cell, options.data)
            append_row(options.rows, cell, done[cell])
            print(f"{cell.set} {cell.encoder} {cell.head} seed {cell.seed}: {done[cell].fit_s:.1f} s", file=sys.stderr)
    lines = [HEADER, *table_rows({cell: done[cell] for cell in wanted if cell in done})]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


def read_rows(path: Path) -> dict[Cell, Run]:
    """Returns what was measured before; a last line that was cut short is passed over."""
    found = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else ():
        if line.endswith(b"}}"):
            row = orjson.loads(line)
            found[Cell(**row["cell"])] = Run(**row["run"])
    return found


def append_row(path: Path, cell: Cell, run: Run) -> None:
    """Writes one line."""
    with path.open("ab") as file:
        file.write(b"\n" * (file.tell() > 0) + orjson.dumps({"cell": asdict(cell), "run": asdict(run)}))


@cache
def _dataset(path: Path) -> tuple[Dataset, Dataset]:
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=0)
    return dataset.take(split.learned), dataset.take(split.test)


@cache
def _parts(path: Path, encoder: str) -> tuple[Part, Part, Featurizer]:
    learned, test = _dataset(path)
    featurizer, features = Featurizer(encoder=encoder).fit_transform(learned.texts)
    new = featurizer.transform(test.texts)
    return Part(dataset=learned, features=features), Part(dataset=test, features=new), featurizer


@cache
def _cost(path: Path, encoder: str, seed: int) -> FloatArray:
    seen, new, _ = _parts(path, encoder)
    learned = seen.dataset
    quantities = np.stack([learned.cost_usd, learned.output_tokens, learned.latency_s], axis=1)
    cost, _ = fit_cost(seen.features, quantities, assign_folds(learned.query_ids, n_folds=N_FOLDS, seed=seed))
    expected: FloatArray = cost.predict(new.features)[:, 0]
    return expected


def measure(cell: Cell, data: Path) -> Run:
    """Returns the figures of one head, learned with one seed from the train and validation queries of a set."""
    path = data / f"{cell.set}.parquet"
    seen, new, featurizer = _parts(path, cell.encoder)
    learned, test = seen.dataset, new.dataset
    folds = assign_folds(learned.query_ids, n_folds=N_FOLDS, seed=cell.seed)
    started = time.perf_counter()
    head: Head | str = PEERS[cell.head]() if cell.head in PEERS else cell.head
    fitted, scores = fit_with_out_of_fold(head, seen.features, learned.quality, folds)
    calibration, _ = fit_calibration(scores, learned.quality, folds)
    fit_s = time.perf_counter() - started
    quality = calibration.apply(fitted.predictor_.predict(new.features))
    curve = trial_curve(cell.head, quality, _cost(path, cell.encoder, cell.seed), test.quality, test.cost_usd)
    taken = []
    for text in test.texts[:N_TIMED]:
        query = featurizer.transform_one(text)
        started = time.perf_counter()
        calibration.apply(fitted.predictor_.predict_one(query))
        taken.append(time.perf_counter() - started)
    is_first = cell.seed == 0
    n_resamples = N_RESAMPLES if is_first else 1
    figures = curve_figures([curve], test.quality, test.cost_usd, n_resamples=n_resamples)[0]
    return Run(
        closed=_known(figures.gap_closed.value),
        closed_low=_known(figures.gap_closed.low) if is_first else None,
        closed_high=_known(figures.gap_closed.high) if is_first else None,
        saving_at_best=_known(figures.saving_at_best.value),
        apgr=_known(_apgr(quality, test.quality)),
        brier=brier(quality, test.quality),
        ece=ece(quality, test.quality),
        fit_s=fit_s,
        predict_us=statistics.median(taken) * 1e6,
    )


def table_rows(done: dict[Cell, Run]) -> Iterator[str]:
    """Yields one row of the table for each head on each encoder and set."""
    for name, encoder, head in dict.fromkeys((cell.set, cell.encoder, cell.head) for cell in sorted_cells(done)):
        runs = [run for cell, run in done.items() if (cell.set, cell.encoder, cell.head) == (name, encoder, head)]
        closed = [run.closed for run in runs if run.closed is not None]
        bounds = next((run for run in runs if run.closed_low is not None), None)
        cells = (
            name,
            encoder,
            head,
            str(len(runs)),
            _mean(run.closed for run in runs)
            + (f" [{bounds.closed_low:.3f}, {bounds.closed_high:.3f}]" if bounds else "")
            + (f" +- {statistics.stdev(closed):.3f}" if len(closed) > 1 else ""),
            _mean(run.saving_at_best for run in runs),
            _mean(run.apgr for run in runs),
            _mean(run.brier for run in runs),
            _mean(run.ece for run in runs),
            f"{statistics.median(run.fit_s for run in runs):.1f}",
            f"{statistics.median(run.predict_us for run in runs):.0f}",
        )
        yield "| " + " | ".join(cells) + " |"


def sorted_cells(done: Iterable[Cell]) -> list[Cell]:
    """Returns the cells set by set, the heads in the order of the table of heads."""
    order = {name: place for place, name in enumerate(ALL_HEADS)}
    return sorted(done, key=lambda cell: (cell.set, cell.encoder, order.get(cell.head, len(order)), cell.seed))


def _apgr(estimated: FloatArray, quality: FloatArray) -> float:
    if quality.shape[1] != 2:
        return float("nan")
    weak = int(np.nanmean(quality, axis=0).argmin())
    return apgr(estimated[:, 1 - weak] - estimated[:, weak], quality[:, weak], quality[:, 1 - weak])


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _mean(values: Iterable[float | None]) -> str:
    """Returns the mean; nothing where one is not defined."""
    listed = list(values)
    known = [value for value in listed if value is not None]
    return f"{statistics.mean(known):.3f}" if len(known) == len(listed) else "-"


if __name__ == "__main__":
    sys.exit(main())
