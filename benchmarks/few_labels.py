"""Few labels on real traces: what a router learns from 10, 20, 50, ... graded queries.

    python benchmarks/few_labels.py [SET ...] [--data ../shared/data] [--out table.md]

For every set and number of labels, queries are drawn from train and validation, three times over, `auto` learns from
them, and the queries marked test are routed, one call each. The public difficulty is fitted without the set, as in
`benchmarks/cold_start.py`, whose router is the row of no labels. Each figure is the mean over the draws, with the 95 %
bootstrap interval over test queries: AIQ above the hull, above the mean-score router that learned from the same
labels, and above what `auto` chooses from all classifiers but `prior`. All have the same cost estimates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from cold_start import estimates_of, mix_of, prior_without
from routing_quality import shown
from tables import print_table

from penstock.classifiers import CostModel, Featurizer, assign_folds, fit_cost
from penstock.classifiers.prior_head import PriorHead
from penstock.classifiers.public_prior import PublicPrior
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.bootstrap import Interval, paired_bootstrap
from penstock.training.candidates import AUTO, Candidate, Timer, choose, fit_candidates
from penstock.training.fit import N_FOLDS
from penstock.training.progress import Silent
from penstock.training.split import families_of
from penstock.training.trials import Area, area_statistic, trial_curve

SETS = ("math_l5", "farel_bench", "routellm_gsm8k", "mixed_9_open_models")
LABELS = (10, 20, 50, 100, 200)
N_DRAWS = 3
_COLUMNS = ("set", "labels", "chosen", "above the hull", "above mean-score", "above `auto` without `prior`")
HEADER = f"| {' | '.join(_COLUMNS)} |\n{'|---' * len(_COLUMNS)}|"


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, rows_of)


def rows_of(name: str, path: Path, seed: int) -> Iterator[str]:
    """Yields the rows of one set."""
    dataset = build_dataset(read_traces([path]))
    prior = prior_without(name, path.parent, dataset)
    split = split_queries(dataset, seed=seed)
    test = dataset.take(split.test)
    hull = area_statistic(mix_of(test.quality, test.cost_usd), test.quality, test.cost_usd)
    guess = area_of(test, *estimates_of(prior, name, test))
    yield f"| {name} | 0 | cold start | {shown(lead([guess], [hull], test, seed))} | - | - |"
    sizes = [n for n in LABELS if n < len(split.learned)]
    for n in (*sizes, len(split.learned)):
        n_draws = N_DRAWS if n in sizes else 1
        draws = [np.random.default_rng([seed, draw]).permutation(split.learned)[:n] for draw in range(n_draws)]
        learned = [learn(dataset.take(np.sort(rows)), test, prior, seed) for rows in draws]
        areas = {router: [areas[router] for _, areas in learned] for router in ("auto", "mean", "before")}
        chosen = ", ".join(f"{head} {count}" for head, count in Counter(head for head, _ in learned).most_common())
        leads = [
            shown(lead(areas["auto"], rivals, test, seed))
            for rivals in ([hull] * n_draws, areas["mean"], areas["before"])
        ]
        yield f"| {name} | {n} | {chosen} | {' | '.join(leads)} |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What few labels teach."""

    featurizer: Featurizer
    cost: CostModel
    expected: np.ndarray  # (n_queries, 3, n_backends) cost, tokens and latency, out of fold
    candidates: Mapping[str, Candidate]


def lesson_of(few: Dataset, prior: PublicPrior, seed: int) -> Lesson:
    """Returns what these labels teach, where that is what public traces tell of difficulty."""
    folds = assign_folds(families_of(few), n_folds=N_FOLDS, seed=seed)
    featurizer, features = Featurizer().fit_transform(few.texts)
    cost, expected = fit_cost(features, np.stack([few.cost_usd, few.output_tokens, few.latency_s], axis=1), folds)
    head = PriorHead(cost_usd=few.cost_usd, backends=few.backends, prior=prior)
    timer = Timer(None, perf_counter)
    candidates, _ = fit_candidates(AUTO, features, few.quality, folds, timer, Silent(), prior=head)
    return Lesson(featurizer=featurizer, cost=cost, expected=expected, candidates=candidates)


def learn(few: Dataset, test: Dataset, prior: PublicPrior, seed: int) -> tuple[str, Mapping[str, Area]]:
    """Returns which classifier is chosen, and the AIQ on test of it, of the mean scores, and of what was before."""
    lesson = lesson_of(few, prior, seed)
    others = {name: candidate for name, candidate in lesson.candidates.items() if name != "prior"}
    _, chosen = choose(lesson.candidates, few, lesson.expected[:, 0], seed=seed, asked_for=None)
    _, before = choose(others, few, lesson.expected[:, 0], seed=seed, asked_for=None)
    asked = lesson.featurizer.transform(test.texts)
    cost_usd = lesson.cost.predict(asked)[:, 0]

    def area(candidate: Candidate) -> Area:
        return area_of(test, candidate.calibration.apply(candidate.head.predictor_.predict(asked)), cost_usd)

    return chosen.name, {"auto": area(chosen), "mean": area(lesson.candidates["mean"]), "before": area(before)}


def area_of(test: Dataset, quality: np.ndarray, cost_usd: np.ndarray) -> Area:
    """Returns the AIQ of routing by these estimates."""
    curve = trial_curve("router", quality, cost_usd, test.quality, test.cost_usd)
    return area_statistic(curve, test.quality, test.cost_usd)


def lead(areas: list[Area], rivals: list[Area], test: Dataset, seed: int) -> Interval:
    """Returns by how much some areas are above others on average, pair by pair."""
    return paired_bootstrap(
        lambda weights: np.mean([a(weights) - r(weights) for a, r in zip(areas, rivals, strict=True)], axis=0),
        test.n_queries,
        n_resamples=400,
        seed=seed,
    )


if __name__ == "__main__":
    raise SystemExit(main())
