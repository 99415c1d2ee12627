"""The cold start on real traces: what the shipped recipe tells of a set that it was not made from.

    python benchmarks/cold_start.py [SET ...] [--data ../shared/data] [--out table.md]

For every set the prior is fitted anew without it, without sets of the same questions, and without single questions that
occur in it. Then the queries marked test are routed by the text, the tier and the price alone: no label of the set is
looked at. AIQ stands beside the hull of the single backends, which is drawn with hindsight, each with the 95 %
bootstrap interval of the difference. `costs known` has the mean cost of each backend instead of price times a guess of
the tokens, as a few calls that nobody graded would tell.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from routing_quality import shown
from tables import print_table

from penstock.classifiers import PriorModel
from penstock.classifiers.public_prior import PublicPrior
from penstock.training import Dataset, build_dataset, read_traces, split_queries
from penstock.training.bootstrap import Interval, paired_bootstrap
from penstock.training.curves import RANDOM_MIX, baseline_curves
from penstock.training.evaluation import Curve
from penstock.training.prior.__main__ import SETS as PUBLIC
from penstock.training.prior.__main__ import learned_part, public_set
from penstock.training.prior.fitting import fit_prior
from penstock.training.prior.models import spec_of
from penstock.training.split import normalised
from penstock.training.trials import area_statistic, trial_curve

SETS = ("math_l5", "mixed_9_open_models", "farel_bench", "gsm_9", "routellm_mmlu")
SAME_QUESTIONS = {"gsm_9": "routellm_gsm8k", "routellm_gsm8k": "gsm_9"}
HEADER = "| set | AIQ | hull | above the hull | above it, costs known |\n|---|---|---|---|---|"


def main() -> int:
    """Returns the exit code."""
    return print_table(__doc__ or "", HEADER, SETS, lambda name, path, seed: [row_of(name, path, seed=seed)])


def row_of(name: str, path: Path, *, seed: int) -> str:
    """Returns one row of the table."""
    dataset = build_dataset(read_traces([path]))
    prior = prior_without(name, path.parent, dataset)
    test = dataset.take(split_queries(dataset, seed=seed).test)
    quality, guessed = estimates_of(prior, name, test)
    known = np.broadcast_to(test.cost_usd.mean(axis=0), guessed.shape)
    area, hull, lead = above_hull(test, quality, guessed, seed)
    return f"| {name} | {area:.4f} | {hull:.4f} | {shown(lead)} | {shown(above_hull(test, quality, known, seed)[2])} |"


def prior_without(name: str, data: Path, dataset: Dataset) -> PublicPrior:
    """Returns the prior fitted to everything that has nothing to do with the set of that name."""
    left_out = {name, SAME_QUESTIONS.get(name, name)}
    texts = frozenset(map(normalised, dataset.texts))
    others = [other for other in PUBLIC if other not in left_out]
    return fit_prior(
        [
            public_set(learned_part(build_dataset(read_traces([data / f"{o}.parquet"])), without=texts), o)
            for o in others
        ]
    )


def estimates_of(prior: PublicPrior, name: str, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns quality and cost as the cold start expects them, (n_queries, n_backends) each."""
    specs = tuple(spec_of(backend, name) for backend in dataset.backends)
    estimates = PriorModel(specs=specs, prior=prior).estimate_all(dataset.texts)
    return np.stack([each.quality for each in estimates]), np.stack([each.cost_usd for each in estimates])


def mix_of(quality: np.ndarray, cost_usd: np.ndarray) -> Curve:
    """Returns the curve of mixing single backends at random, with hindsight: the hull."""
    curves = baseline_curves(quality, cost_usd, quality, cost_usd)
    return next(each for each in curves if each.name == RANDOM_MIX)


def above_hull(dataset: Dataset, quality: np.ndarray, cost_usd: np.ndarray, seed: int) -> tuple[float, float, Interval]:
    """Returns the AIQ of routing by these estimates, that of the hull, and by how much the one is above the other."""
    curve = trial_curve("cold start", quality, cost_usd, dataset.quality, dataset.cost_usd)
    area, hull = (
        area_statistic(each, dataset.quality, dataset.cost_usd)
        for each in (curve, mix_of(dataset.quality, dataset.cost_usd))
    )
    once = np.ones((1, dataset.n_queries))
    lead = paired_bootstrap(lambda weights: area(weights) - hull(weights), dataset.n_queries, seed=seed)
    return float(area(once)[0]), float(hull(once)[0]), lead


if __name__ == "__main__":
    raise SystemExit(main())
