"""The cold start with answers judged: what public confidence adds to routing by text, tier and price.

    python benchmarks/cold_cascade.py [SET ...] [--data ../shared/data] [--out table.md]

For every set prior and public confidence are fitted anew without it and without sets of the same questions, so that
confidence in answers to gsm_9 and routellm_gsm8k comes from math_l5 alone. First 200 queries of train and validation,
in a dozen pools of 2 to 6 backends drawn as in `benchmarks/cold_pools.py`: by such the signals were chosen, and that
nothing is planned on what answers may look like. Then the whole pool on the queries marked test. No label of the set is
looked at in either. AIQ of the cascade stands beside that of the same estimates without a look at the answer, and
beside the hull of the single backends, with the 95 % paired bootstrap interval for a whole pool.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from cold_pools import drawn_pools
from cold_start import SAME_QUESTIONS, estimates_of, mix_of, prior_without
from routing_quality import shown
from tables import print_table

from penstock.classifiers.public_confidence import PublicConfidence
from penstock.router import Policy, Pool
from penstock.training import Dataset, Replayer, build_dataset, read_traces, split_queries
from penstock.training.bootstrap import Interval, paired_bootstrap
from penstock.training.curves import sweep_lams
from penstock.training.held_out import HeldOut
from penstock.training.prior.__main__ import ANSWERED, learned_part
from penstock.training.prior.answers import PublicAnswers, fit_public_confidence, public_answers
from penstock.training.prior.models import spec_of
from penstock.training.progress import Silent
from penstock.training.trials import Area, area_statistic

HEADER = "| set | pools | above no check, mean | least | pools not below it | above the hull |\n" + "|---" * 6 + "|"
N_POOLS, N_QUERIES, N_POINTS = 12, 200, 24
_BELOW = 1e-9


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, ANSWERED, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    told = Told(name, path.parent, dataset)
    split = split_queries(dataset, seed=seed)
    rng = np.random.default_rng(seed)
    learned = dataset.take(np.sort(rng.permutation(split.learned)[:N_QUERIES]))
    thought = told.of(learned)
    leads = np.array([leads_of(name, learned, places, thought, seed) for places in drawn_pools(learned, rng)[:N_POOLS]])
    values = np.array([[lead.value for lead in pool] for pool in leads])
    yield (
        f"| {name} | {len(values)} | {values[:, 0].mean():.4f} | {values[:, 0].min():.4f}"
        f" | {np.mean(values[:, 0] > -_BELOW):.2f} | {values[:, 1].mean():.4f} |"
    )
    test = dataset.take(split.test)
    above, above_hull = leads_of(name, test, np.arange(test.n_backends), told.of(test), seed)
    yield f"| {name}, test | whole | {shown(above)} | - | - | {shown(above_hull)} |"


class Told:
    """What the cold start says of a set that it was not made from."""

    def __init__(self, name: str, data: Path, dataset: Dataset) -> None:
        self.name = name
        self.prior = prior_without(name, data, dataset)
        self.confidence = confidence_without(name, data)

    def of(self, dataset: Dataset) -> HeldOut:
        """Returns estimates and confidences in every answer."""
        return judged(self.confidence, dataset, *estimates_of(self.prior, self.name, dataset))


def judged(confidence: PublicConfidence, dataset: Dataset, quality: np.ndarray, cost_usd: np.ndarray) -> HeldOut:
    """Returns the estimates, and what public confidence makes of them in view of every answer."""
    confidences = np.full(quality.shape, np.nan)
    for row, query in enumerate(dataset.queries):
        for place, backend in enumerate(dataset.backends):
            completion = dataset.completion(row, place)
            if completion is not None:
                estimate = float(quality[row, place])
                confidences[row, place] = confidence.confidence(query, completion, backend=backend, estimate=estimate)
    return HeldOut(quality=quality, cost_usd=cost_usd, confidences=confidences)


def confidence_without(name: str, data: Path) -> PublicConfidence:
    """Returns the public confidence that has nothing to do with the set of that name."""
    return fit_public_confidence(
        [answers_of(other, data) for other in ANSWERED if other not in (name, SAME_QUESTIONS.get(name, name))]
    )


@cache
def answers_of(name: str, data: Path) -> PublicAnswers:
    """Returns the public answers of a set."""
    dataset = build_dataset(read_traces([data / f"{name}.parquet"]))
    prior = prior_without(name, data, dataset)
    return public_answers(learned_part(dataset), name, prior)


def leads_of(name: str, dataset: Dataset, places: np.ndarray, thought: HeldOut, seed: int) -> tuple[Interval, Interval]:
    """Returns how far the AIQ of the cascade among these backends is above that without a look, and above the hull."""
    pool = Pool({dataset.backends[place]: spec_of(dataset.backends[place], name) for place in places}, None)
    cascade, no_check, hull = areas_in(pool, dataset, places, thought)
    above = paired_bootstrap(lambda weights: cascade(weights) - no_check(weights), dataset.n_queries, seed=seed)
    above_hull = paired_bootstrap(lambda weights: cascade(weights) - hull(weights), dataset.n_queries, seed=seed)
    return above, above_hull


def areas_in(pool: Pool, dataset: Dataset, places: np.ndarray, thought: HeldOut) -> tuple[Area, Area, Area]:
    """Returns the AIQ in a pool of these backends: of the cascade, of one call each, and of the hull."""
    quality, cost_usd = dataset.quality[:, places], dataset.cost_usd[:, places]
    lams = sweep_lams(thought.quality[:, places], thought.cost_usd[:, places], N_POINTS)

    def area(policy: Policy) -> Area:
        curve = Replayer(pool, dataset, held_out=thought).curve(policy.name, policy, lams, progress=Silent())
        return area_statistic(curve, quality, cost_usd)

    hull = area_statistic(mix_of(quality, cost_usd), quality, cost_usd)
    return area(Policy(name="auto")), area(Policy(name="no check", max_calls=1)), hull


if __name__ == "__main__":
    raise SystemExit(main())
