"""How far words push the router: decisions flipped, costs inflated, scores lost, without and with `robust`.

    python benchmarks/red_team.py [SET ...] [--data DIR] [--seed N] [--out FILE]

On the test part of each set, with the lam at which the router, unattacked, spends half of the way from the cheapest to
the dearest backend, so that an attacker has room on both sides. The first row of each block is the price of the
defence: the same policy when nobody attacks.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from tables import print_table

from penstock.router import Policy, Pool
from penstock.training import Dataset, build_dataset, fit, read_traces, split_queries
from penstock.training.gadgets import N_ROUNDS
from penstock.training.progress import Silent
from penstock.training.red_team import RedTeam
from penstock.training.replay import Replayer

SETS = ("routellm_gsm8k", "mixed_9_open_models")
HEADER = "| set | attack | robust | decisions flipped | cost | score |\n|---|---|---|---|---|---|"
N_QUERIES = 400
N_SAMPLED = 200  # training queries by which lam is chosen


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, lambda name, path, seed: rows_of(name, path, seed=seed))


def rows_of(name: str, path: Path, *, seed: int) -> list[str]:
    """Returns the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    split = split_queries(dataset, seed=seed)
    pool = Pool({}, fit(dataset, split, seed=seed).trained)
    rng = np.random.default_rng(seed)
    learned = dataset.take(split.learned)
    policy = Policy(name="auto", lam=middle_lam(pool, learned.take(rng.permutation(learned.n_queries)[:N_SAMPLED])))
    attacked = dataset.take(np.sort(rng.permutation(split.test)[:N_QUERIES]))
    rows = []
    for robust in (False, True):
        team = RedTeam(pool, attacked, replace(policy, robust=robust), seed=seed)
        told = "yes" if robust else "no"
        rows.append(f"| {name} | none | {told} | - | ${team.cost_usd:.6f} | {team.score:.4f} |")
        for damage in team.all_damages(learned.queries, n_rounds=N_ROUNDS, progress=Silent()):
            cost, score = damage.cost, damage.score
            rows.append(
                f"| {name} | {damage.attack} | {told} | {damage.flips.value:.1%}"
                f" | x{cost.value:.3f} [{cost.low:.3f}, {cost.high:.3f}]"
                f" | {score.value:+.4f} [{score.low:+.4f}, {score.high:+.4f}] |"
            )
    return rows


def middle_lam(pool: Pool, dataset: Dataset) -> float:
    """Returns the lam at which the mean cost lies half of the way between the cheapest and the dearest backend."""
    means = np.nanmean(dataset.cost_usd, axis=0)
    wanted = float(means.min() + means.max()) / 2
    replayer = Replayer(pool, dataset)
    low, high = 1e-3, 1e7
    for _ in range(30):
        lam = float(np.sqrt(low * high))
        spent = float(np.nanmean(replayer.outcome(Policy(name="auto", lam=lam)).cost_usd))
        low, high = (lam, high) if spent > wanted else (low, lam)
    return float(np.sqrt(low * high))


if __name__ == "__main__":
    sys.exit(main())
