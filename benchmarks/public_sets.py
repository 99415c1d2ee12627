"""What is normal among the public sets: the figures that `classifiers/prior_head.py` starts from.

    python benchmarks/public_sets.py [SET ...] [--data ../shared/data] [--out table.md]

For every set, on train and validation: by how much its texts differ in the public difficulty, which is fitted without
it; how many logits a standard deviation of that takes from P(correct); by how many logits a backend is abler that costs
e times as much; and how far backends spread around that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cold_start import prior_without
from tables import print_table

from penstock.classifiers.logistic import fit_logistic
from penstock.training import build_dataset, read_traces, split_queries
from penstock.training.prior.__main__ import SETS

HEADER = "| set | spread of difficulty | slope | ability per cost | spread of ability |\n|---|---|---|---|---|"
_SURE = 0.01  # a mean score is kept this far from 0 and 1


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the row of one set."""
    dataset = build_dataset(read_traces([path]))
    learned = dataset.take(split_queries(dataset, seed=seed).learned)
    prior = prior_without(name, path.parent, dataset)
    difficulty = np.array([prior.difficulty_of(text) for text in learned.texts])
    standard = (difficulty - difficulty.mean()) / difficulty.std()
    rows, columns = np.nonzero(np.isfinite(learned.quality))
    design = np.column_stack([np.eye(learned.n_backends)[columns], -standard[rows]])
    slope = fit_logistic(design, learned.quality[rows, columns], np.full(design.shape[1], 1e-3))[-1]
    rate = np.clip(np.nanmean(learned.quality, axis=0), _SURE, 1 - _SURE)
    ability = np.log(rate / (1 - rate))
    log_cost = np.log(np.nanmean(learned.cost_usd, axis=0))
    ability, log_cost = ability - ability.mean(), log_cost - log_cost.mean()
    per_cost = ability @ log_cost / (log_cost @ log_cost)
    rest = ability - per_cost * log_cost
    spread = f"{np.sqrt(rest @ rest / (len(rest) - 2)):.2f}" if len(rest) > 2 else "-"
    yield f"| {name} | {difficulty.std():.2f} | {slope:.2f} | {per_cost:.2f} | {spread} |"


if __name__ == "__main__":
    raise SystemExit(main())
