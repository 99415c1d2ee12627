"""What a confidence model says of one answer at a time, as requests that are under way ask it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from math import isfinite
from operator import or_
from typing import TYPE_CHECKING

import numpy as np

from ..backends import Completion, Query
from .addresses import Addresses, addresses_of
from .signals import Signal, create_signals, values_of

if TYPE_CHECKING:
    from .confidence import ConfidenceModel
    from .ridge import FloatArray

CLIP = 4.0  # standard deviations that a signal counts for at most
LEAST_ESTIMATE = 1e-3  # an estimate counts as at least this far from 0 and 1
LEAST_SCORE = 0.01  # and what the trees say as this far
_PHRASING = "phrasing"


# Of one number of a signal: mean, scale and weight, what it counts that it is there, and what its ladder says: bounds,
# and by which bits the answers where it is there differ from that where it is absent.
_Number = tuple[float, float, float, float, Sequence[float], Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """The logistic part of one backend."""

    constant: float  # of an answer to which no signal applies
    estimate: float  # the weight of the estimate's log-odds
    numbers: Sequence[_Number]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """A logistic model and its trees over those signals that tell anything; the others are not even read.

    `ConfidenceModel.judge` does the same for many answers at once. Of one, arithmetic on plain numbers is quicker.
    """

    signals: tuple[Signal, ...]
    lines: Mapping[str, _Line]  # by backend
    shared: _Line  # of any other
    trees: Addresses | None
    address: int  # in the trees, of an answer to which no signal applies

    def chance(self, query: Query, completion: Completion, *, backend: str, estimate: float, run_code: bool) -> float:
        """Returns P(correct), not yet calibrated."""
        line, trees = self.lines.get(backend, self.shared), self.trees
        expected = _log_odds(0.5 if math.isnan(estimate) else estimate, LEAST_ESTIMATE)
        logit = line.constant + line.estimate * expected
        address = self.address
        values = values_of(self.signals, query, completion, run_code=run_code)
        for value, (mean, scale, weight, if_known, bounds, changes) in zip(values, line.numbers, strict=True):
            if isfinite(value):
                size = (value - mean) * scale
                if not -CLIP < size < CLIP:
                    size = CLIP if size > 0 else -CLIP
                logit += weight * size + if_known
                address ^= changes[bisect_left(bounds, size)]
        if trees is not None:
            address |= trees.ladders[0].answer(expected)
            logit = (logit + _log_odds(trees.score(address), LEAST_SCORE)) / 2
        return 0.5 * (1 + math.tanh(0.5 * logit))


def glance_of(model: ConfidenceModel) -> Glance:
    """Returns the model for one answer at a time."""
    signals = dict(create_signals())
    kind_of = [name.partition(".")[0] for name in model.signals]
    if model.phrasing is not None:
        signals[_PHRASING] = model.phrasing
        kind_of.append(_PHRASING)
    n_numbers = len(kind_of)
    tells = (model.shared != 0) | (model.own != 0).any(axis=0)
    if model.trees is not None:
        tells[model.trees.columns] = True
    tells = tells[1 : n_numbers + 1] | tells[n_numbers + 1 : -1]
    kept_kinds = {kind for kind, is_telling in zip(kind_of, tells.tolist(), strict=True) if is_telling}
    kept = [place for place, kind in enumerate(kind_of) if kind in kept_kinds]
    trees = addresses_of(model.trees, 2 * n_numbers + 1) if model.trees is not None else None
    scales = np.stack([model.mean, model.scale, model.absence], axis=1).tolist()
    climbs = [_climb(trees, 1 + place, 1 + n_numbers + place, scales[place][2]) for place in kept]

    def line(weights: FloatArray) -> _Line:
        known, absent = weights[1 : n_numbers + 1].tolist(), weights[n_numbers + 1 : -1].tolist()
        return _Line(
            # That a signal is absent is a feature whose mean over the training answers is 0.
            constant=float(weights[-1]) + sum(absent[place] * (1 - scales[place][2]) for place in kept),
            estimate=float(weights[0]),
            numbers=[
                (*scales[place][:2], known[place], -absent[place], bounds, [answer ^ if_absent for answer in answers])
                for place, (bounds, answers, if_absent) in zip(kept, climbs, strict=True)
            ],
        )

    return Glance(
        signals=tuple(signals[kind] for kind in dict.fromkeys(kind_of) if kind in kept_kinds),
        lines={name: line(model.shared + own) for name, own in zip(model.backends, model.own, strict=True)},
        shared=line(model.shared),
        trees=trees,
        address=reduce(or_, (if_absent for *_, if_absent in climbs), trees.start if trees is not None else 0),
    )


def _climb(
    trees: Addresses | None, column: int, absence: int, share_absent: float
) -> tuple[Sequence[float], Sequence[int], int]:
    """Returns the bounds of a number, what it answers to the trees between them, and what it does where it is absent.

    `column` is that of the number, and `absence` that of its absence.
    """
    if trees is None:
        return (), (0,), 0
    ladder, also = trees.ladders[column], trees.ladders[absence]
    if_known = also.answer(-share_absent)
    answers = [answer | if_known for answer in ladder.answers]
    return ladder.bounds, answers, ladder.answer(0.0) | also.answer(1 - share_absent)


def _log_odds(chance: float, least: float) -> float:
    """Returns the log-odds of a chance that counts as at least this far from 0 and 1."""
    bounded = min(max(chance, least), 1 - least)
    return math.log(bounded / (1 - bounded))
