"""What is believed of the answers so far: which of them are right, at every difficulty that the query may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from ..backends.quick import quick
from ..classifiers.final_answer import FinalAnswer
from ..classifiers.latent import (
    at_nodes,
    difficulty_nodes,
    dispersion_at_nodes,
    few_at_nodes,
    likelihood_ratio,
    shared_evidence,
)
from .outlook import FloatArray, Outlook, Tried

if TYPE_CHECKING:
    from ..classifiers.meaning import Meaning

NOBODY = -1
_FEW = 6  # backends, up to which arrays are slower than one number after the other
KEPT = 64  # of the latest beliefs: a query is thought about several times, and a sweep of lam asks the same again


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a belief rests on. Two that are equal lead to the same, whatever is asked for, so it is worked out once."""

    quality: tuple[float, ...]
    loading: tuple[float, ...]
    power: tuple[float, ...]
    collision: tuple[float, ...]
    overlap: float
    comparable: float
    meaning: Meaning | None  # None: answers in words stand alone
    tried: tuple[Tried, ...]
    _hash: int = field(init=False, repr=False, compare=False)  # asked for several times, and slow to work out

    def __post_init__(self) -> None:
        known = (self.loading, self.power, self.collision, self.overlap, self.comparable, self.meaning)
        object.__setattr__(self, "_hash", hash((self.quality, self.tried, known)))

    def __hash__(self) -> int:
        return self._hash

    def chances(self) -> FloatArray:
        """Returns P(right) of every backend at every difficulty, before any call, (n, n_nodes)."""
        return _chances(self.quality, self.loading)


def evidence_of(outlook: Outlook, tried: tuple[Tried, ...]) -> Evidence:
    """Returns what these calls and the outlook say of the answers, without what they cost.

    A draft that was checked says nothing more: what it told is part of the confidence in the answer to it.
    """
    known = outlook.escalation
    quality, loading, power = outlook.quality.tolist(), known.loading.tolist(), known.power.tolist()
    if outlook.checks is not None:
        n_checks = len(outlook.checks.backends)
        quality += outlook.checks.quality.tolist()
        loading += [float(known.loading.mean())] * n_checks
        power += [1.0] * n_checks  # confidence knows what the draft looked like, if nothing else
    return Evidence(
        quality=tuple(quality),
        loading=tuple(loading),
        power=tuple(power),
        collision=tuple(known.collision.tolist()),
        overlap=known.overlap,
        comparable=known.comparable,
        meaning=known.meaning,
        tried=tuple(call for call in tried if not call.is_checked) if outlook.checks else tried,
    )


@lru_cache(maxsize=KEPT)
def _chances(quality: tuple[float, ...], loading: tuple[float, ...]) -> FloatArray:
    is_few = len(quality) <= _FEW
    chances = few_at_nodes(quality, loading) if is_few else at_nodes(np.array(quality), np.array(loading))
    chances.setflags(write=False)  # it is shared
    return chances


@dataclass(frozen=True, slots=True, kw_only=True)
class Belief:
    """Answers that are the same are right or wrong together, and at most one group of them is right; a loner, an answer
    that cannot be compared, is right or wrong for itself. Those in words are loners here, see `readings`.

    A row of `weights` is a case: P(it and everything that was seen) at every difficulty. `cases` names the group that
    is right in it and a loner that is, where NOBODY stands for no group and for any loners. The cases that name no
    loner are everything that may be.
    """

    unit_of: tuple[int, ...]  # of every answer: its group, or behind all groups its place among the loners
    sizes: tuple[int, ...]  # of every group
    cases: tuple[tuple[int, int], ...]  # (group, loner)
    weights: FloatArray  # (n_cases, n_nodes), of all that name no loner 1 together
    likelihood: float  # of everything that was seen, but for a factor that is the same whichever answers are the same

    confidence: tuple[float, ...] = field(init=False)  # P(right) of every answer

    def __post_init__(self) -> None:
        chances = [0.0] * (max(self.unit_of, default=-1) + 1)
        for (group, loner), weight in zip(self.cases, self.weights.sum(axis=1).tolist(), strict=True):
            if loner != NOBODY:
                chances[len(self.sizes) + loner] += weight
            elif group != NOBODY:
                chances[group] += weight
        object.__setattr__(self, "confidence", tuple([chances[unit] for unit in self.unit_of]))

    @property
    def best(self) -> float:
        """P(right) of the likeliest answer, 0 before any."""
        return max(self.confidence, default=0.0)


@lru_cache(maxsize=KEPT)
def belief_of(evidence: Evidence) -> Belief:
    """Returns the belief after the calls that were made.

    An answer is evidence by what confidence made of its estimate, and by which answers it agrees with.
    """
    if not evidence.tried:
        return belief_before()
    chances = evidence.chances()
    right = [chances[call.place] * ratio for call, ratio in zip(evidence.tried, _told(evidence), strict=True)]
    wrong = [1 - chances[call.place] for call in evidence.tried]
    groups: dict[FinalAnswer, list[int]] = {}
    loners = []
    for number, call in enumerate(evidence.tried):
        if isinstance(call.answer, FinalAnswer):
            groups.setdefault(call.answer, []).append(number)
        else:
            loners.append(number)
    members = list(groups.values())
    _, anything = difficulty_nodes()  # that may be of the loners
    for number in loners:
        anything = anything * (right[number] + wrong[number])
    cases, rows = [], []
    for group in (*range(len(members)), NOBODY):
        others = tuple(len(numbers) for place, numbers in enumerate(members) if place != group)
        row = anything * _ways(others, evidence.collision) if others else anything
        for place, numbers in enumerate(members):
            for number in numbers:
                row = row * (right if place == group else wrong)[number]
        cases.append((group, NOBODY))
        rows.append(row)
        for loner, number in enumerate(loners):
            cases.append((group, loner))
            rows.append(row * right[number] / (right[number] + wrong[number]))
    unit_of = {number: unit for unit, numbers in enumerate([*members, *([n] for n in loners)]) for number in numbers}
    weights = np.array(rows)
    likelihood = float(weights[:: 1 + len(loners)].sum())  # of the cases that name no loner
    return Belief(
        unit_of=tuple(unit_of[number] for number in range(len(evidence.tried))),
        sizes=tuple(len(numbers) for numbers in members),
        cases=tuple(cases),
        weights=weights / likelihood,
        likelihood=likelihood,
    )


@cache
def belief_before() -> Belief:
    """Returns what is believed before any call."""
    _, node_weights = difficulty_nodes()
    return Belief(unit_of=(), sizes=(), cases=((NOBODY, NOBODY),), weights=node_weights[None], likelihood=1.0)


@lru_cache(maxsize=KEPT)
def _ways(sizes: tuple[int, ...], collision: tuple[float, ...]) -> FloatArray:
    """Returns P(wrong answers fall into groups of these sizes) at every difficulty."""
    dispersion = dispersion_at_nodes(np.array(collision))
    chance: FloatArray = np.ones_like(dispersion)
    n_before = 0
    for size in sizes:
        for n_same in range(size):
            chance = chance * ((n_same or dispersion) / (dispersion + n_before))
            n_before += 1
    return chance


def _told(evidence: Evidence) -> list[float]:
    """Returns how much likelier each answer would look as it does if it were right."""
    # Where looking tells nothing, nothing is learned.
    looked = [evidence.power[call.place] > 0 for call in evidence.tried]
    share = shared_evidence(sum(looked), evidence.overlap)
    return [
        call.odds * (likelihood_ratio(evidence.quality[call.place], call.confidence) ** share if can_look else 1.0)
        for call, can_look in zip(evidence.tried, looked, strict=True)
    ]
