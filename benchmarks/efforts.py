"""Efforts of one model: what it is worth that their estimates share what is known.

    penstock demo --out demo-out
    python benchmarks/efforts.py demo-out/traces.jsonl [--data ../shared/data]

From every draw of training queries, estimates of the efforts of each model are learned with all labels, and judged on
the training queries left: mean squared error as the classifier has it, and once drawn towards a curve that never falls.
Then with few labels of one effort, which is the one judged. On bullshit_bench, where a model was asked with thinking
and without, these are taken for its efforts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from tables import print_table

from penstock.classifiers import Featurizer, assign_folds
from penstock.classifiers.efforts import models_of
from penstock.classifiers.prior_head import PriorHead
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.candidates import Timer, fit_candidates
from penstock.training.fit import N_FOLDS
from penstock.training.fit_efforts import fit_efforts
from penstock.training.progress import Silent
from penstock.training.split import families_of

SETS = ("bullshit_bench",)
CLASSIFIERS = ("prior", "irt", "stack")
FEW = 15
N_DRAWS = 5
THINKING = {  # of bullshit_bench
    "claude-3.7-sonnet@reasoning=default": "claude-3.7-sonnet@none",
    "claude-3.7-sonnet:thinking@reasoning=default": "claude-3.7-sonnet@high",
}
_COLUMNS = ("traces", "classifier", "labels", f"of which few ({FEW})", "error", "drawn", "weight")
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set of traces."""
    rows = [replace(row, backend=THINKING.get(row.backend, row.backend)) for row in read_traces([path]).rows]
    dataset = build_dataset(rows)
    learned = dataset.take(split_queries(dataset, seed=seed).learned)
    n = min(learned.n_queries * 2 // 3, 300)
    efforts = [column for columns in models_of(dataset.backends).values() if len(columns) > 1 for column in columns]
    for few in (None, *efforts) if learned.n_queries > 100 else (None,):
        for classifier in CLASSIFIERS:
            orders = [np.random.default_rng([seed, draw]).permutation(learned.n_queries) for draw in range(N_DRAWS)]
            errors = [judged(learned.take(o[:n]), learned.take(o[n:]), efforts, few, classifier, seed) for o in orders]
            own, drawn, weight = np.mean(errors, axis=0)
            of = "-" if few is None else dataset.backends[few]
            yield f"| {name} | {classifier} | {n} | {of} | {own:.4f} | {drawn:.4f} | {weight:.2f} |"


def judged(
    train: Dataset, test: Dataset, efforts: list[int], few: int | None, classifier: str, seed: int
) -> tuple[float, float, float]:
    """Returns the error of estimates before and after they are drawn, and how far the first model's are."""
    quality = train.quality.copy()
    if few is not None:
        quality[FEW:, few] = np.nan
    train = replace(train, quality=quality)
    folds = assign_folds(families_of(train), n_folds=N_FOLDS, seed=seed)
    featurizer, features = Featurizer().fit_transform(train.texts)
    prior = PriorHead(cost_usd=train.cost_usd, backends=train.backends)
    timer = Timer(None, perf_counter)
    candidates, _ = fit_candidates([classifier], features, quality, folds, timer, Silent(), prior=prior)
    chosen = candidates[classifier]
    shaped = fit_efforts(train, chosen)
    asked = featurizer.transform(test.texts)
    own = chosen.calibration.apply(chosen.head.predictor_.predict(asked))
    drawn = shaped.calibration.apply(shaped.predictor.predict(asked))
    judge = [few] if few is not None else efforts
    errors = [float(np.nanmean((each - test.quality)[:, judge] ** 2)) for each in (own, drawn)]
    return errors[0], errors[1], shaped.curves[0].weight


if __name__ == "__main__":
    raise SystemExit(main())
