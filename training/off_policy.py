"""What another policy would have cost and scored, from the log of the one that served.

A log shows only what was asked, so each recorded request stands for all those like it of which nothing was recorded: it
counts by the inverse of the chance, its propensity, with which it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .bootstrap import N_RESAMPLES, Interval, interval, resampled_weights
from .evaluation import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """What a log tells of one quantity under one policy; a row a request."""

    propensity: FloatArray  # (n,) the chance with which what the policy asks for was recorded, NaN = it was not
    value: FloatArray  # (n,) the quantity, NaN = not recorded
    model: FloatArray | None = None  # (n,) what it was expected to be, from the query alone; None: nobody knows

    @property
    def weight(self) -> FloatArray:
        """The inverse propensity, 0 where there is nothing to weigh, (n,)."""
        is_known = np.isfinite(self.propensity) & np.isfinite(self.value)
        return np.where(is_known, 1.0 / np.where(is_known, self.propensity, 1.0), 0.0)

    @property
    def evidence(self) -> float:
        """The effective sample size: of how many requests, each recorded for certain, the estimate is worth as much.

        Reference: Kish 1965, Survey Sampling, section 8.2.
        """
        weight = self.weight
        return float(weight.sum() ** 2 / (weight**2).sum()) if weight.any() else 0.0

    @property
    def support(self) -> float:
        """About which share of the requests the log can speak for: the mean weight, 1 where it is all of them."""
        return float(self.weight.mean()) if len(self.value) else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimated:
    """The mean of one quantity under one policy, by each estimator."""

    inverse: Interval  # inverse propensity weighting
    normalised: Interval  # the same, divided by the sum of the weights
    doubly_robust: Interval | None  # the model, put right by the log; None where there is no model
    evidence: float
    support: float

    @property
    def best(self) -> Interval:
        """The estimate to go by: doubly robust where there is a model, else normalised."""
        return self.doubly_robust or self.normalised


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the estimators of one quantity are made of: for the log itself, then for every resample, (n_ways,) each."""

    n: FloatArray  # requests
    weight: FloatArray
    weighted: FloatArray  # weight * value
    corrected: FloatArray | None  # model + weight * (value - model)

    @property
    def inverse(self) -> FloatArray:
        """The mean of weighted values: right on average, restless where propensities are small.

        Reference: Horvitz and Thompson 1952, JASA 47:663-685.
        """
        return self.weighted / self.n

    @property
    def normalised(self) -> FloatArray:
        """The weighted mean: a little bias, much less variance.

        Reference: Swaminathan and Joachims 2015, The Self-Normalized Estimator for Counterfactual Learning, NeurIPS.
        """
        return _ratio(self.weighted, self.weight)

    @property
    def doubly_robust(self) -> FloatArray | None:
        """The mean of the model plus the weighted mean of what it is wrong by: right on average as long as either the
        propensities or the model are.

        Reference: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning, arXiv:1103.4601, eq. 2.
        """
        return None if self.corrected is None else self.corrected / self.n

    @property
    def best(self) -> FloatArray:
        """The estimates to go by, as `Estimated.best`."""
        found = self.doubly_robust
        return self.normalised if found is None else found


def resample(logged: Mapping[str, Logged], *, n_resamples: int = N_RESAMPLES, seed: int = 0) -> dict[str, Sums]:
    """Returns the sums of several quantities over the same resamples of requests, so that comparisons are paired."""
    columns = [column for one in logged.values() for column in _columns(one)]
    n = len(columns[0])
    stacked = np.column_stack([np.ones(n), *columns])
    blocks = resampled_weights(n, n_resamples=n_resamples, seed=seed)
    sums = np.concatenate([np.ones((1, n)) @ stacked, *(counts @ stacked for counts in blocks)])
    found, at = {}, 1
    for name, one in logged.items():
        width = len(_columns(one))
        found[name] = Sums(
            n=sums[:, 0],
            weight=sums[:, at],
            weighted=sums[:, at + 1],
            corrected=sums[:, at + 2] if width > 2 else None,
        )
        at += width
    return found


def estimate(logged: Logged, sums: Sums) -> Estimated:
    """Returns the mean of a quantity under a policy, with 95 % bootstrap intervals over requests."""
    robust = sums.doubly_robust
    return Estimated(
        inverse=_interval(sums.inverse),
        normalised=_interval(sums.normalised),
        doubly_robust=None if robust is None else _interval(robust),
        evidence=logged.evidence,
        support=logged.support,
    )


def saving(cost: Sums, reference: Sums) -> Interval:
    """Returns the share of the reference's cost that a policy saves: 1 - cost / cost of the reference, paired."""
    return _interval(1.0 - _ratio(cost.best, reference.best))


def difference(score: Sums, reference: Sums) -> Interval:
    """Returns how much a policy scores above the reference, paired."""
    return _interval(score.best - reference.best)


def _columns(logged: Logged) -> list[FloatArray]:
    weight = logged.weight
    value = np.where(weight > 0, logged.value, 0.0)
    columns = [weight, weight * value]
    if logged.model is not None:
        columns.append(logged.model + weight * (value - logged.model))
    return columns


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Returns one by the other, NaN where there is nothing to divide by."""
    is_some = below > 0
    return np.where(is_some, above / np.where(is_some, below, 1.0), np.nan)


def _interval(values: FloatArray) -> Interval:
    return interval(float(values[0]), values[1:])
