"""What asking is worth: every way in which the next few answers may turn out, worked out backwards.

A state is a set of backends asked, which of their answers are the same, and whether each of them looks good or bad. In
every state one either stops with the answer that is likeliest to be right, or asks on. So the value of an answer that
may agree with others, and of second thoughts about it, is known before it is bought: the cascade routing rule
(Dekoninck et al. 2025, arXiv:2410.10347), with answers that tell of each other. All states of one number of answers are
one array; what does not depend on the query is worked out once and kept, and so is, for the latest queries, what does
not depend on the trade-off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..backends.quick import quick
from ..classifiers.latent import dispersion_at_nodes
from .belief import KEPT, Belief, Evidence, belief_before, belief_of, evidence_of
from .outcomes import Outcomes, Sets, outcomes_of, sets_of
from .outlook import FloatArray, Outlook, Tried
from .readings import readings_of

MIN_GAIN = 0.0005  # what an escalation must promise, so that a lam of 0 does not ask everybody for nothing
DEPTH, LATER_DEPTH = 3, 2  # calls looked ahead, before the first and after it
WIDTH = 9  # backends looked at, the most promising ones


def gains(outlook: Outlook, tried: tuple[Tried, ...], *, lam: float, price: float) -> FloatArray:
    """Returns what asking each backend next and going on as is best adds to stopping now, (n,); -inf: may not be asked.

    In quality, less `lam` times cost, and less `price` for every call but the first. Before that, stopping is worth 0.
    Where nobody can add anything to an answer it is the most that each could: nothing is better than certainty.
    """
    n = len(outlook.backends)
    places = _candidates(outlook, tried, lam)
    depth = min(outlook.max_calls - len(tried), len(places), LATER_DEPTH if tried else DEPTH)
    if depth < 1:
        return np.full(n, -np.inf)
    cost = outlook.cost_usd if len(places) == n else outlook.cost_usd[places]
    readings = readings_of(evidence_of(outlook, tried))
    gain = -lam * cost - (price if tried else 0.0)
    open_share = 1 - sum([reading.share * belief_of(reading.evidence).best for reading in readings])
    if tried and open_share + gain.max() <= 0:  # the first call is made whatever it costs, by whoever is worth most
        gain = gain + open_share
    else:
        stakes = _Stakes(
            cost_usd=cost,
            charge=lam * cost + price,
            budget_usd=outlook.budget_usd - sum(call.cost_usd for call in tried),
        )
        for reading in readings:
            plan = _plan(reading.evidence, tuple(places), depth, reading.is_compared)
            gain = gain + reading.share * plan.value(stakes)
    if len(places) == n:
        return gain
    net = np.full(n, -np.inf)
    net[places] = gain
    return net


def _candidates(outlook: Outlook, tried: tuple[Tried, ...], lam: float) -> list[int]:
    """Returns the places that may be asked; of more than WIDTH those of the greatest utility and the cheapest."""
    asked = {call.place for call in tried}
    budget = outlook.budget_usd - sum(call.cost_usd for call in tried)
    if not tried:
        budget = np.inf  # whether a first call fits it was settled by the wishes
    places = [p for p, cost in enumerate(outlook.cost_usd.tolist()) if p not in asked and cost <= budget]
    if len(places) <= WIDTH:
        return places
    utility = outlook.quality - lam * outlook.cost_usd
    promising = sorted(places, key=lambda p: -utility[p])[: WIDTH // 2]
    cheap = sorted((p for p in places if p not in promising), key=lambda p: (outlook.cost_usd[p], -outlook.quality[p]))
    return sorted((*promising, *cheap[: WIDTH - len(promising)]))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class _Stakes:
    """What calls cost; a column a candidate."""

    cost_usd: FloatArray  # (n,)
    charge: FloatArray  # (n,) what a later call takes off, in quality
    budget_usd: float


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """All states of one number of new answers, as far as they do not depend on what calls cost."""

    outcomes: Outcomes
    sets: Sets
    stop: FloatArray  # (n_sets, n_looks * n_partitions) P(the best answer is right, and this state)
    chance: FloatArray  # of the same shape: P(this state)

    def one_less(self, value: FloatArray) -> FloatArray:
        """Returns the value summed over what one answer says, (n_sets * size, n_states of the smaller sets)."""
        summed: FloatArray = value.dot(self.outcomes.shrink)
        return summed.reshape(len(value) * self.outcomes.size, -1)

    def ask(self, after: FloatArray, stakes: _Stakes) -> FloatArray:
        """Returns the value of the best next call in every state, with the shape of `chance`.

        `after` is what `one_less` of the larger sets gave.
        """
        values = after.take(self.sets.grown, axis=0)
        values -= stakes.charge.take(self.sets.others)[..., None] * self.chance[:, None]
        if stakes.budget_usd < np.inf:
            spent = stakes.cost_usd[self.sets.members].sum(axis=1)[:, None] + stakes.cost_usd[self.sets.others]
            values[spent > stakes.budget_usd] = -np.inf
        best: FloatArray = np.maximum.reduce(values, axis=1)
        return best


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What may come of asking the candidates, whatever that costs."""

    stages: tuple[_Stage, ...]  # of 1, 2, ... new answers, without the last
    last: FloatArray  # what `one_less` of the last stage gives, where one can only stop
    stop_now: float  # P(the best answer so far is right)

    def value(self, stakes: _Stakes) -> FloatArray:
        """Returns what asking each candidate adds to stopping now, but for its own price, (n,)."""
        after = self.last
        for stage in reversed(self.stages):
            after = stage.one_less(np.maximum(stage.stop, stage.ask(after, stakes)))
        value: FloatArray = after[:, 0] - self.stop_now
        return value


@lru_cache(maxsize=KEPT)
def _plan(evidence: Evidence, places: tuple[int, ...], depth: int, is_compared: bool) -> _Plan:
    """Returns the plan for asking up to `depth` of the candidates at these places."""
    chance = evidence.chances()[list(places)]
    right = np.concatenate([1 - chance, chance])  # (2 * n, n_nodes)
    # An answer looks good or bad. These two chances are those of a confidence whose mean is the estimate and whose
    # variance is the power's share of that of the correctness, with two values, one as likely as the estimate.
    looks: list[float] = []  # (2, n, 2), if wrong and if right: P(looks bad), P(looks good)
    for is_right in (0, 1):
        for place in places:
            quality, told = evidence.quality[place], math.sqrt(evidence.power[place])
            looks_good = quality + told * (is_right - quality)
            looks += 1 - looks_good, looks_good
    seen = np.array(looks)
    belief = belief_of(evidence)
    stages = [_stage(belief, evidence.collision, right, seen, size, is_compared) for size in range(1, depth + 1)]
    return _Plan(
        stages=tuple(stages[:-1]),
        last=stages[-1].one_less(stages[-1].stop),
        stop_now=belief.best,
    )


def _stage(
    belief: Belief, collision: tuple[float, ...], right: FloatArray, looks: FloatArray, size: int, is_compared: bool
) -> _Stage:
    """Returns the states of `size` new answers.

    `right` (2 * n, n_nodes) is P(wrong), then P(right) of each candidate at every difficulty, `looks` (2 * n * 2,)
    P(looks bad or good) if it is wrong or right.
    """
    outcomes = outcomes_of(belief.sizes, belief.cases, size, is_compared)
    sets = sets_of(len(right) // 2, size)
    rights = right.take(sets.right[0], axis=0)  # (n_patterns, n_sets, n_nodes)
    seen = looks.take(sets.looks[0])  # (n_sets, n_looks, n_patterns)
    for i in range(1, size):
        rights *= right.take(sets.right[i], axis=0)
        seen *= looks.take(sets.looks[i])
    if belief.unit_of:
        table = _table(belief.sizes, belief.cases, size, is_compared, collision)
        likely = np.add.reduce(table * belief.weights[:, None, :, None])
    else:
        likely = _likely_at_first(size, is_compared, collision)
    joint = rights @ likely  # (n_patterns, n_sets, n_claims + n_partitions)
    of_states = seen @ joint.swapaxes(0, 1)  # (n_sets, n_looks, n_claims + n_partitions)
    claims, chance = of_states[..., : outcomes.n_claims], of_states[..., outcomes.n_claims :]
    stop = np.maximum.reduceat(claims, outcomes.first_claim, axis=-1)
    n_sets = len(stop)
    return _Stage(outcomes=outcomes, sets=sets, stop=stop.reshape(n_sets, -1), chance=chance.reshape(n_sets, -1))


@lru_cache(maxsize=256)
def _table(
    sizes: tuple[int, ...],
    cases: tuple[tuple[int, int], ...],
    size: int,
    is_compared: bool,
    collision: tuple[float, ...],
) -> FloatArray:
    table = outcomes_of(sizes, cases, size, is_compared).table(dispersion_at_nodes(np.array(collision)))
    table.setflags(write=False)  # it is shared
    return table


@lru_cache(maxsize=16)
def _likely_at_first(size: int, is_compared: bool, collision: tuple[float, ...]) -> FloatArray:
    """Returns the table weighed by the belief before any call, which is the same for every query."""
    belief = belief_before()
    table = _table(belief.sizes, belief.cases, size, is_compared, collision)
    likely: FloatArray = table[0] * belief.weights[0][:, None]
    likely.setflags(write=False)
    return likely
