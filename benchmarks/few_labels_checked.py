"""Few labels and answers judged: what public confidence adds to a router that learned nothing of answers.

    python benchmarks/few_labels_checked.py [SET ...] [--data ../shared/data] [--out table.md]

Whose traces hold no `response`, or fewer graded answers than it takes to learn from, has estimates of quality and cost
from `penstock train`, and no confidence. For every set, in pools of 2 to 6 backends drawn as in
`benchmarks/cold_cascade.py`, `auto` learns from that many queries of train and validation without their answers, drawn
anew for each pool, and 200 other queries of train and validation are routed: with answers judged by the public
confidence, and with one call each. Public difficulty and public confidence are fitted without the set and without sets
of the same questions. Queries marked test are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from cold_cascade import N_QUERIES, areas_in, confidence_without, judged
from cold_pools import drawn_pools
from cold_start import prior_without
from few_labels import lesson_of
from tables import print_table

from penstock.classifiers import fit_escalation
from penstock.classifiers.escalation import unplanned
from penstock.classifiers.public_confidence import PublicConfidence
from penstock.classifiers.public_prior import PublicPrior
from penstock.router import Pool
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.candidates import choose
from penstock.training.prior.__main__ import ANSWERED
from penstock.training.prior.models import spec_of

LABELS = (10, 20, 100)
N_POOLS = 8
HEADER = (
    "| set | labels | pools | above no check, mean | least | pools not below it | above the hull |\n" + "|---" * 7 + "|"
)
_BELOW = 1e-9
_OF_CELLS = (
    "quality",
    "n_draws",
    "cost_usd",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "latency_s",
    "answers",
)


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, ANSWERED, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    prior, confidence = prior_without(name, path.parent, dataset), confidence_without(name, path.parent)
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(split_queries(dataset, seed=seed).learned)
    asked, rest = dataset.take(np.sort(drawn[:N_QUERIES])), drawn[N_QUERIES:]
    pools = drawn_pools(asked, rng)[:N_POOLS]
    if len(pools) == 1:
        pools *= N_POOLS  # the labels differ
    for n in LABELS:
        values = np.array(
            [
                leads_of(name, dataset.take(np.sort(rng.permutation(rest)[:n])), asked, places, prior, confidence, seed)
                for places in pools
            ]
        )
        yield (
            f"| {name} | {n} | {len(values)} | {values[:, 0].mean():.4f} | {values[:, 0].min():.4f}"
            f" | {np.mean(values[:, 0] > -_BELOW):.2f} | {values[:, 1].mean():.4f} |"
        )


def leads_of(
    name: str,
    labelled: Dataset,
    asked: Dataset,
    places: np.ndarray,
    prior: PublicPrior,
    confidence: PublicConfidence,
    seed: int,
) -> list[float]:
    """Returns how far the AIQ on `asked`, with answers judged, is above that without a look, and above the hull, where
    those backends were learned from those labels.
    """
    few, part = among(labelled, places), among(asked, places)
    lesson = lesson_of(few, prior, seed)
    _, chosen = choose(lesson.candidates, few, lesson.expected[:, 0], seed=seed, asked_for=None)
    features = lesson.featurizer.transform(part.texts)
    quality = chosen.calibration.apply(chosen.head.predictor_.predict(features))
    pool = Pool({backend: spec_of(backend, name) for backend in part.backends}, None)
    # As of an artefact without confidence.
    pool.escalation = unplanned(fit_escalation(few.quality, chosen.quality, np.full(few.quality.shape, np.nan)))
    thought = judged(confidence, part, quality, lesson.cost.predict(features)[:, 0])
    once = np.ones((1, part.n_queries))
    cascade, no_check, hull = (float(area(once)[0]) for area in areas_in(pool, part, np.arange(len(places)), thought))
    return [cascade - no_check, cascade - hull]


def among(dataset: Dataset, places: np.ndarray) -> Dataset:
    """Returns the dataset of these backends alone."""
    backends = tuple(dataset.backends[place] for place in places)
    return replace(dataset, backends=backends, **{name: getattr(dataset, name)[:, places] for name in _OF_CELLS})


if __name__ == "__main__":
    raise SystemExit(main())
