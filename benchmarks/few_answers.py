"""What public answers are worth to a confidence that is learned from few graded ones.

    python benchmarks/few_answers.py [SET ...] [--data ../shared/data] [--out table.md]

Draws so many answers of train and validation, four times, and learns confidence from them: around nothing, around the
estimate as it is, and around the public confidence, which is fitted without the set and without sets of the same
questions and adds to the estimate. AUROC and Brier score on the queries marked test. The estimates are those of the
cold start, whose own AUROC and Brier score stand at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cold_cascade import confidence_without
from cold_start import estimates_of, prior_without
from confidence import Graded
from tables import print_table

from penstock.classifiers import fit_confidence
from penstock.training import build_dataset, read_traces, split_queries
from penstock.training.prior.__main__ import ANSWERED
from penstock.training.probability_metrics import auroc, brier

STARTS = ("around nothing", "the estimate", "public ones")
HEADER = f"| set | answers | AUROC, {' | '.join(STARTS)} | Brier, {' | '.join(STARTS)} |\n" + "|---" * 8 + "|"
SIZES, N_DRAWS = (100, 300, 1000), 4


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, ANSWERED, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    prior = prior_without(name, path.parent, dataset)
    public = confidence_without(name, path.parent).per_unit
    starts = (None, np.zeros_like(public), public)
    learned, test = (dataset.take(rows) for rows in (split.learned, split.test))
    answers, judged = Graded(learned), Graded(test)
    expected, estimated = (estimates_of(prior, name, part)[0] for part in (learned, test))
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(answers.labels)) for _ in range(N_DRAWS)]
    everything = np.ones(len(judged.labels), dtype=np.bool_)
    guess = estimated[judged.rows, judged.owner]
    yield f"| {name} | 0 | - | {auroc(guess, judged.labels):.3f} | - | - | {brier(guess, judged.labels):.3f} | - |"
    for size in SIZES:
        found = np.empty((N_DRAWS, 2, len(starts)))
        for draw, order in enumerate(drawn):
            chosen = order[:size]
            for way, start in enumerate(starts):
                model, _ = fit_confidence(
                    values=answers.values[chosen],
                    estimates=expected[answers.rows, answers.owner][chosen],
                    labels=answers.labels[chosen],
                    backend_of=answers.owner[chosen],
                    folds=answers.rows[chosen] % 5,
                    backends=learned.backends,
                    start=start,
                )
                told = judged.told(model, estimated, everything)
                found[draw, :, way] = auroc(told, judged.labels), brier(told, judged.labels)
        cells = " | ".join(f"{figure:.3f}" for figure in found.mean(axis=0).ravel())
        yield f"| {name} | {size} | {cells} |"


if __name__ == "__main__":
    raise SystemExit(main())
