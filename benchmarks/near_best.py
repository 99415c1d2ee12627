"""Whether `near_best` stays as near as it was asked to: trains on train and validation, judges on test, real traces.

    python benchmarks/near_best.py [SET ...] [--data ../shared/data] [--out table.md]

A row a margin: the lam that training found (none: the best backend is asked), what the training queries lost by it out
of fold, and what the test queries lost against always asking the best backend of training (95 % paired bootstrap) and
saved of its cost.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from tables import print_table

from penstock.router import Policy, Pool
from penstock.training import Replayer, build_dataset, fit, read_traces, split_queries
from penstock.training.bootstrap import paired_bootstrap
from penstock.training.weighted import weighted_mean

SETS = ("math_l5", "gsm_9", "routellm_gsm8k")
MARGINS = (0.0025, 0.005, 0.02)
HEADER = "| set | margin | lam | lost in training | lost on test | saved on test |\n" + "|---" * 6 + "|"


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    trained = fit(dataset, split, seed=seed).trained
    found = trained.trade_offs
    assert found is not None  # it was trained just now
    test = dataset.take(split.test)
    best = test.backends.index(found.best)
    replayer = Replayer(Pool({}, trained), test)
    rows = []
    for margin in MARGINS:
        lam = found.lam_within(margin)
        outcome = replayer.outcome(Policy(name="near", objective="near_best", margin=margin))
        lost = test.quality[:, best] - outcome.score
        figure = paired_bootstrap(partial(weighted_mean, lost), test.n_queries, seed=0)
        saved = 1 - np.nanmean(outcome.cost_usd) / np.nanmean(test.cost_usd[:, best])
        chosen = "none | -" if lam is None else f"{lam:.0f} | {found.lag[found.lams == lam][0]:.4f}"
        on_test = f"{figure.value:.4f} [{figure.low:.4f}, {figure.high:.4f}] | {saved:.0%}"
        rows.append(f"| {name} | {margin:g} | {chosen} | {on_test} |")
    return rows


if __name__ == "__main__":
    raise SystemExit(main())
