"""What public answers are worth to a confidence that is learned from few graded ones.

    python benchmarks/few_answers.py [SET ...] [--data ../shared/data] [--out table.md]

Draws so many answers of train and validation, four times, and learns confidence from them, with and without the public
confidence to start from, which is fitted without the set and without sets of the same questions. AUROC and Brier score
on the queries marked test; the estimates are those of the cold start, whose own AUROC and Brier score stand at 0.
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

HEADER = "| set | answers | AUROC without | with | Brier without | with |\n" + "|---" * 6 + "|"
SIZES, N_DRAWS = (100, 300, 1000), 4


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, ANSWERED, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    prior = prior_without(name, path.parent, dataset)
    start = confidence_without(name, path.parent).per_unit
    learned, test = (dataset.take(rows) for rows in (split.learned, split.test))
    answers, judged = Graded(learned), Graded(test)
    expected, estimated = (estimates_of(prior, name, part)[0] for part in (learned, test))
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(answers.labels)) for _ in range(N_DRAWS)]
    everything = np.ones(len(judged.labels), dtype=np.bool_)
    guess = estimated[judged.rows, judged.owner]
    figures = [f"{auroc(guess, judged.labels):.3f}", f"{brier(guess, judged.labels):.3f}"]
    yield f"| {name} | 0 | {figures[0]} | - | {figures[1]} | - |"
    for size in SIZES:
        found = np.empty((N_DRAWS, 2, 2))
        for draw, order in enumerate(drawn):
            chosen = order[:size]
            for way, given in enumerate((None, start)):
                model, _ = fit_confidence(
                    values=answers.values[chosen],
                    estimates=expected[answers.rows, answers.owner][chosen],
                    labels=answers.labels[chosen],
                    backend_of=answers.owner[chosen],
                    folds=answers.rows[chosen] % 5,
                    backends=learned.backends,
                    start=given,
                )
                told = judged.told(model, estimated, everything)
                found[draw, :, way] = auroc(told, judged.labels), brier(told, judged.labels)
        area, score = found.mean(axis=0)
        yield f"| {name} | {size} | {area[0]:.3f} | {area[1]:.3f} | {score[0]:.3f} | {score[1]:.3f} |"


if __name__ == "__main__":
    raise SystemExit(main())
