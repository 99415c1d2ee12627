"""A certificate for `within_of_best`: how far a router may go from the best backend, proved on held-out queries.

Each slack is a hypothesis, "the mean loss is above the margin", tested from safe to cheap as `risk` has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backends import ConfigError
from ..classifiers import FitError
from ..classifiers.certificate import Certificate
from ..classifiers.neighbours import Neighbours, beginning
from ..router import Policy, Pool
from ..router.promise import PROMISED, terms_of
from .dataset import Dataset
from .evaluation import FloatArray, IntArray
from .replay import estimate_matrices
from .risk import p_value, reject_in_turn
from .split import find_families
from .trials import first_choices

N_SLACKS = 40
_MOST_TIMES = 4096  # by which more data is searched for that would do


def certify(
    pool: Pool, dataset: Dataset, neighbours: Neighbours, *, margin: float, risk: float, traces_sha256: str
) -> Certificate:
    """Returns the certificate of the cheapest slack that the queries support; none of them may have been learned from.

    `neighbours` are of the pool's model: its training queries tell which slacks are worth testing, before any
    held-out query is looked at. Queries that were not asked of every backend of the pool are left out.

    Raises:
        FitError: the queries cannot support any slack, or some were learned from.
        ConfigError: a backend of the pool was not learned.
    """
    if pool.untrained:
        raise ConfigError(f"{', '.join(pool.untrained)}: not in the artefact, so nothing can be promised; train again")
    learned = set(neighbours.texts())
    # Beginnings of long texts may be the same by a common template, so only texts that were kept whole tell.
    n_known = sum(text in learned and beginning(text) == text.encode() for text in dataset.texts)
    if n_known:
        raise FitError(f"{n_known} of the {dataset.n_queries} queries were learned from; expected held-out ones only")
    backends = pool.askable  # what is promised of goes by the first answer
    dataset = _asked_of_all(dataset, backends)
    if not dataset.n_queries:
        raise FitError("no query was asked of every backend; a certificate needs some")
    columns = [dataset.backends.index(name) for name in backends]
    score, cost = dataset.quality[:, columns], dataset.cost_usd[:, columns]
    estimates = pool.estimate_queries(dataset.queries)
    quality, expected_cost = estimate_matrices(estimates, backends)
    averages = estimates[0].mean_quality
    assert averages is not None  # the pool is trained
    best = int(averages[[pool.backends.index(name) for name in backends]].argmax())

    slacks = choose_slacks(estimate_matrices(pool.estimate_all(neighbours.texts()), backends)[0], best)
    chosen = choices_within(slacks, backends, best, quality, expected_cost)
    rows = np.arange(dataset.n_queries)
    families = find_families(dataset.texts, dataset.groups)
    losses = _by_family(score[:, best] - score[rows, chosen], list(families.values()))
    n_passed, p_values = reject_in_turn(losses, margin=margin, risk=risk)
    if not n_passed:
        raise FitError(_refusal(losses, margin=margin, risk=risk))
    last = n_passed - 1
    return Certificate(
        margin=margin,
        risk=risk,
        backend=backends[best],
        slack=float(slacks[last]),
        n_queries=losses.shape[1],
        loss=float(losses[last].mean()),
        saving=_saving(cost[rows, chosen[last]], cost[:, best]),
        slacks=slacks[: len(p_values)],
        p_values=p_values,
        traces_sha256=traces_sha256,
        terms=terms_of(pool.specs, backends),
    )


def choose_slacks(quality: FloatArray, best: int) -> FloatArray:
    """Returns the slacks to test, ascending, in steps of equal shares: of the queries that go elsewhere, for the safe
    end, and of all pairs of query and backend.

    `quality` is (n_queries, n_backends), estimates of queries that nothing is tested on.
    """
    others = np.delete(quality, best, axis=1)
    if not others.shape[1]:
        return np.zeros(1)
    needed = quality[:, [best]] - others
    shares = (np.arange(N_SLACKS) + 1) / N_SLACKS
    return np.unique([np.quantile(needed.min(axis=1), shares), np.quantile(needed, shares)])


def choices_within(
    slacks: FloatArray, backends: Sequence[str], best: int, quality: FloatArray, cost: FloatArray
) -> IntArray:
    """Returns the column of the backend asked at each slack for each query, (n_slacks, n_queries), as served."""
    policies = [
        Policy(name=PROMISED, objective=PROMISED, certificate=_proposed(backends[best], float(slack)))
        for slack in slacks
    ]
    return first_choices(policies, backends, quality, cost, np.ones(quality.shape, dtype=np.bool_))


def _refusal(losses: FloatArray, *, margin: float, risk: float) -> str:
    """Returns why nothing can be certified, and how many queries like these would do."""
    n = losses.shape[1]
    refused = f"with {n} held-out queries no trade-off can be certified within {margin:g} at risk {risk:g}"
    safest = losses[0]
    if safest.mean() >= margin:
        return f"{refused}; the safest one lost {safest.mean():.3f} on them, so more of the same would not help"
    low, high = n, n
    while p_value(np.resize(safest, high), margin=margin, risk=risk) > risk:
        low, high = high, high * 2
        if high > n * _MOST_TIMES:
            return f"{refused}; more than {high} would be needed"
    while high - low > max(1, low // 50):
        middle = (low + high) // 2
        is_enough = p_value(np.resize(safest, middle), margin=margin, risk=risk) <= risk
        low, high = (low, middle) if is_enough else (middle, high)
    return f"{refused}; about {high} would do"


def _asked_of_all(dataset: Dataset, backends: Sequence[str]) -> Dataset:
    missing = [name for name in backends if name not in dataset.backends]
    if missing:
        raise FitError(f"no trace of {', '.join(missing)}; a certificate compares all backends of the router")
    columns = [dataset.backends.index(name) for name in backends]
    return dataset.take(np.isfinite(dataset.quality[:, columns]).all(axis=1))


def _by_family(values: FloatArray, families: Sequence[Sequence[int]]) -> FloatArray:
    """Returns the mean over each family of twins, (..., n_families): twins are no independent evidence."""
    return np.stack([values[..., members].mean(axis=-1) for members in families], axis=-1)


def _saving(cost: FloatArray, best_cost: FloatArray) -> float:
    known = np.isfinite(cost) & np.isfinite(best_cost)
    total = float(best_cost[known].sum())
    return 1 - float(cost[known].sum()) / total if total > 0 else 0.0


def _proposed(backend: str, slack: float) -> Certificate:
    """Returns a certificate that has not been earned yet, to decide by."""
    nothing = np.empty(0)
    return Certificate(
        margin=1.0,
        risk=1.0,
        backend=backend,
        slack=slack,
        n_queries=0,
        loss=0.0,
        saving=0.0,
        slacks=nothing,
        p_values=nothing,
        traces_sha256="",
        terms="",
    )
