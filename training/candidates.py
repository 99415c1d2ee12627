"""The classifiers that training has to choose from: fitted in turn, judged out of fold, challenged with evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..classifiers import Features, Head, create_head, fit_with_out_of_fold
from ..classifiers.blend import PARTS, BlendHead
from ..classifiers.calibration import Calibration, fit_calibration
from ..classifiers.paired import paired_gap
from ..classifiers.prior_head import PriorHead
from ..classifiers.sparse import IntArray
from ..classifiers.telling import counting
from .bootstrap import paired_bootstrap
from .dataset import Dataset
from .evaluation import FloatArray, Trial
from .progress import Progress
from .split import numbered_families
from .trials import area_statistic, lag_of_best, paired_errors, squared_errors, trial_curve

AUTO = ("mean", "prior", "knn", "linear", "irt", "stack", "blend")  # what `auto` fits, the quick ones first
_CHALLENGERS = tuple(reversed(AUTO))  # in turn, against the one that stands
_METRIC = "AIQ out of fold"
_EVIDENCE = 2.0  # paired standard errors by which a candidate must win
FEW = 50  # queries below which a comparison on them tells less than public traces do


class Timer:
    """Tells whether the time for fitting classifiers is used up."""

    def __init__(self, budget_s: float | None, clock: Callable[[], float]) -> None:
        self.budget_s = budget_s
        self.clock = clock
        self._started = clock()

    def is_up(self) -> bool:
        """Returns whether the budget is spent."""
        return self.budget_s is not None and self.clock() - self._started >= self.budget_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A fitted classifier and what it says of queries that it did not see."""

    name: str
    head: Head
    scores: FloatArray  # (n_queries, n_backends) out of fold, before calibration
    calibration: Calibration
    quality: FloatArray  # (n_queries, n_backends) calibrated, out of fold
    fit_s: float


def fit_candidates(
    names: Sequence[str],
    features: Features,
    quality: FloatArray,
    folds: IntArray,
    timer: Timer,
    progress: Progress,
    *,
    prior: PriorHead,
) -> tuple[dict[str, Candidate], list[str]]:
    """Returns the fitted candidates, and the names of those that the budget left out.

    The blend is one of those of its parts that were fitted before it, if any was; with the budget spent it grows no
    trees, and then takes no time. The head of the name `prior` is the one given.
    """
    candidates: dict[str, Candidate] = {}
    left_out = []
    for name in names:
        parts = {part: (candidates[part].head, candidates[part].scores) for part in PARTS if part in candidates}
        is_free = name == "blend" and bool(parts)
        if candidates and timer.is_up() and not is_free:
            left_out.append(name)
            continue
        progress.stage(f"fitting classifier {name}")
        if is_free:
            has_time = not timer.is_up()
            head: Head = BlendHead(fitted=parts, grows=has_time)
            left_out += [] if has_time else ["the trees of blend"]
        elif name == "prior":
            head = prior
        else:
            head = create_head(name)
        candidates[name] = _fit_candidate(name, head, features, quality, folds, timer)
    return candidates, left_out


def _fit_candidate(
    name: str, head: Head, features: Features, quality: FloatArray, folds: IntArray, timer: Timer
) -> Candidate:
    started = timer.clock()
    fitted, scores = fit_with_out_of_fold(head, features, quality, folds)
    calibration, probabilities = fit_calibration(scores, quality, folds)
    return Candidate(
        name=name,
        head=fitted,
        scores=scores,
        calibration=calibration,
        quality=probabilities,
        fit_s=timer.clock() - started,
    )


def choose(
    candidates: Mapping[str, Candidate], dataset: Dataset, cost: FloatArray, *, seed: int, asked_for: str | None
) -> tuple[list[Trial], Candidate]:
    """Returns all trials and the chosen candidate.

    The mean-score router stands, or the prior where it predicts better, until a candidate's AIQ beats it by more than
    two paired standard errors, and so on in turn: where the queries teach nothing, nothing is claimed to be learned,
    and the blend, which holds the others already, is not dropped for one of them by luck. The one that stands yields
    also to a candidate whose AIQ is no lower and whose squared error is less by as much. A candidate that, asked for
    quality alone, is worse than the best single backend by as much, is no challenger. Few queries are not compared on
    at all: the prior is taken. One that was asked for by name is taken as it is.
    """
    curves = {
        name: trial_curve(name, c.quality, cost, dataset.quality, dataset.cost_usd)
        for name, c in counting(candidates.items(), "routing by classifier")
    }
    areas = {name: area_statistic(curve, dataset.quality, dataset.cost_usd) for name, curve in curves.items()}
    errors = {name: squared_errors(c.quality, dataset.quality) for name, c in candidates.items()}
    families = numbered_families(dataset)
    is_few = dataset.n_queries < FEW and "prior" in candidates
    standing = "prior" if is_few else _standing(errors, families)
    chosen = asked_for or standing
    for name in () if asked_for or is_few else [name for name in _CHALLENGERS if name in candidates]:
        lead = paired_errors(areas[name], areas[chosen], families, seed)
        predicts_better = lead >= 0 and paired_gap(errors[chosen], errors[name], families) > _EVIDENCE
        is_better = lead > _EVIDENCE or (chosen == standing and predicts_better)
        lag = lag_of_best(curves[name], dataset.quality, dataset.cost_usd, families)
        if is_better and lag < _EVIDENCE:
            chosen = name
    trials = []
    for name, candidate in candidates.items():
        figure = paired_bootstrap(areas[name], dataset.n_queries, families=families, n_resamples=200, seed=seed)
        trials.append(
            Trial(
                name=name,
                metric=_METRIC,
                value=figure.value,
                low=figure.low,
                high=figure.high,
                fit_s=candidate.fit_s,
                is_chosen=name == chosen,
            )
        )
    return trials, candidates[chosen]


def _standing(errors: Mapping[str, FloatArray], families: IntArray) -> str:
    """Returns which candidate the others have to beat."""
    return "prior" if "prior" in errors and paired_gap(errors["mean"], errors["prior"], families) > 0 else "mean"
