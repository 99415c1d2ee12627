"""The cold start on small pools: 2 to 6 backends drawn from each public set, as a models.yaml would have them.

    python benchmarks/cold_pools.py [SET ...] [--data ../shared/data] [--out table.md]

The settings of the prior are chosen by this table, and by its last column, the whole pool. So it takes the queries of
train and validation alone, and for each set the prior that was fitted without it, as in `benchmarks/cold_start.py`.
Pools whose best backend costs less than three times the cheapest, or whose oracle is hardly above the hull, are left
out: there is nothing to route. A pool counts for no more than 0.1 of AIQ either way.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cold_start import estimates_of, prior_without
from tables import print_table

from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.metrics import hull_aiq, oracle_aiq, single_backends
from penstock.training.prior.__main__ import SETS
from penstock.training.trials import area_statistic, trial_curve

HEADER = "| set | pools | above the hull, mean | pools above it | whole pool |\n|---|---|---|---|---|"
N_POOLS, N_QUERIES, N_DRAWS = 30, 400, 400
_MOST = 0.1


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the row of one set."""
    dataset = build_dataset(read_traces([path]))
    prior = prior_without(name, path.parent, dataset)
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(split_queries(dataset, seed=seed).learned)[:N_QUERIES])
    part = dataset.take(rows)
    estimates = estimates_of(prior, name, part)
    whole = np.arange(part.n_backends)
    leads = np.clip([lead_of(part, places, *estimates) for places in drawn_pools(part, rng)], -_MOST, _MOST)
    shown = f"{len(leads)} | {leads.mean():.4f} | {np.mean(leads > 0):.2f}" if len(leads) else "0 | - | -"
    yield f"| {name} | {shown} | {lead_of(part, whole, *estimates):.4f} |"


def drawn_pools(dataset: Dataset, rng: np.random.Generator) -> list[np.ndarray]:
    """Returns the columns of pools, each another one, among which there is something to route."""
    pools: dict[tuple[int, ...], np.ndarray] = {}
    for _ in range(N_DRAWS):
        size = min(int(rng.integers(2, 7)), dataset.n_backends)
        places = np.sort(rng.permutation(dataset.n_backends)[:size])
        if len(pools) < N_POOLS and is_worth_routing(dataset, places):
            pools[tuple(places.tolist())] = places
    return list(pools.values())


def is_worth_routing(dataset: Dataset, places: np.ndarray) -> bool:
    """Returns whether the best backend costs three times the cheapest, and hindsight beats their hull."""
    quality, cost = dataset.quality[:, places], dataset.cost_usd[:, places]
    single = single_backends(quality, cost)
    is_wide = single.mean_cost_usd[single.best] >= 3 * single.mean_cost_usd[single.cheapest]
    return bool(is_wide) and oracle_aiq(quality, cost) - hull_aiq(quality, cost) >= 0.01


def lead_of(dataset: Dataset, places: np.ndarray, estimated: np.ndarray, expected_usd: np.ndarray) -> float:
    """Returns how far the AIQ of routing among these backends lies above their hull."""
    quality, cost = dataset.quality[:, places], dataset.cost_usd[:, places]
    curve = trial_curve("cold start", estimated[:, places], expected_usd[:, places], quality, cost)
    area = area_statistic(curve, quality, cost)(np.ones((1, len(quality))))
    return float(area[0]) - hull_aiq(quality, cost)


if __name__ == "__main__":
    raise SystemExit(main())
