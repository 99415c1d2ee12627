"""What asking is worth: every way in which the next few answers may turn out, worked out backwards.

A state is a set of backends asked, which of their answers are the same, and whether each of them looks good or bad. In
every state one either stops with the answer that is likeliest to be right, or asks on. So the value of an answer that
may agree with others, and of second thoughts about it, is known before it is bought: the cascade routing rule
(Dekoninck et al. 2025, arXiv:2410.10347), with answers that tell of each other. All states of one number of answers are
one array; what does not depend on the query is worked out once and kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..classifiers.latent import at_nodes, dispersion_at_nodes
from .belief import Belief, believe
from .outcomes import Outcomes, Sets, outcomes_of, sets_of
from .outlook import FloatArray, Outlook, Tried

DEPTH, LATER_DEPTH = 3, 2  # calls looked ahead, before the first and after it
WIDTH = 9  # backends looked at, the most promising ones
_RARE = 0.02  # a share of queries that is not worth looking ahead for


def gains(outlook: Outlook, tried: tuple[Tried, ...], *, lam: float, price: float) -> FloatArray:
    """Returns what asking each backend next and going on as is best adds to stopping now, (n,); -inf: may not be asked.

    In quality, less `lam` times cost, and less `price` for every call but the first. Before that, stopping is worth 0.
    """
    net = np.full(len(outlook.backends), -np.inf)
    places = _candidates(outlook, tried, lam)
    depth = min(outlook.max_calls - len(tried), len(places), LATER_DEPTH if tried else DEPTH)
    if depth < 1:
        return net
    belief = believe(outlook, tried)
    # Whether answers can be compared shows in the first one; so far it is known how often they can.
    comparable = outlook.escalation.comparable if not tried else float(bool(belief.sizes))
    share = 0.0 if comparable < _RARE else 1.0 if comparable > 1 - _RARE else comparable
    game = _set_up(outlook, tried, belief, places, depth, lam=lam, price=price)
    net[places] = 0.0
    if share > 0:
        net[places] += share * game.play(is_compared=True)
    if share < 1:
        net[places] += (1 - share) * game.play(is_compared=False)
    return net


def _candidates(outlook: Outlook, tried: tuple[Tried, ...], lam: float) -> list[int]:
    """Returns the places that may be asked; of more than WIDTH those of the greatest utility and the cheapest."""
    asked = {call.place for call in tried}
    budget = outlook.budget_usd - sum(call.cost_usd for call in tried)
    if not tried:
        budget = np.inf  # whether a first call fits it was settled by the wishes
    places = [p for p in range(len(outlook.backends)) if p not in asked and outlook.cost_usd[p] <= budget]
    if len(places) <= WIDTH:
        return places
    utility = outlook.quality - lam * outlook.cost_usd
    promising = sorted(places, key=lambda p: -utility[p])[: WIDTH // 2]
    cheap = sorted((p for p in places if p not in promising), key=lambda p: (outlook.cost_usd[p], -outlook.quality[p]))
    return sorted((*promising, *cheap[: WIDTH - len(promising)]))


def _set_up(
    outlook: Outlook,
    tried: tuple[Tried, ...],
    belief: Belief,
    places: list[int],
    depth: int,
    *,
    lam: float,
    price: float,
) -> _Game:
    """Returns the game with what the outlook says of the candidates."""
    quality, cost = outlook.quality[places], outlook.cost_usd[places]
    right = at_nodes(quality, outlook.escalation.loading[places])
    # An answer looks good or bad. These two chances are those of a confidence whose mean is the estimate and whose
    # variance is the power's share of that of the correctness, with two values, one as likely as the estimate.
    told = np.sqrt(outlook.escalation.power[places])
    looks_good = np.stack([quality * (1 - told), quality + told * (1 - quality)])  # if wrong, if right
    return _Game(
        belief=belief,
        depth=depth,
        right=np.stack([1 - right, right]),
        looks=np.stack([1 - looks_good, looks_good], axis=-1),
        cost_usd=cost,
        charge=lam * cost + price,
        first_charge=lam * cost + (price if tried else 0.0),
        budget_usd=outlook.budget_usd - sum(call.cost_usd for call in tried),
        dispersion=dispersion_at_nodes(outlook.escalation.collision),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Game:
    """What one query's states are worked out from; a column a candidate."""

    belief: Belief
    depth: int
    right: FloatArray  # (2, n, n_nodes) P(wrong), P(right) at every difficulty
    looks: FloatArray  # (2, n, 2) P(looks bad or good | wrong or right)
    cost_usd: FloatArray  # (n,)
    charge: FloatArray  # (n,) what a call takes off, in quality
    first_charge: FloatArray  # (n,) the same of the very next one
    budget_usd: float
    dispersion: FloatArray  # (n_nodes,)

    def play(self, *, is_compared: bool) -> FloatArray:
        """Returns what asking each candidate adds to stopping now, (n,)."""
        n = len(self.charge)
        after: FloatArray | None = None
        for size in range(self.depth, 0, -1):
            outcomes = outcomes_of(self.belief.sizes, self.belief.cases, size, is_compared)
            sets = sets_of(n, size)
            value, chance = self._stop(outcomes, sets)
            if after is not None:
                value = np.maximum(value, self._ask(after, chance, outcomes, sets))
            after = value.reshape(len(sets.members), -1) @ outcomes.shrink
        assert after is not None
        stop = float(self.belief.confidence().max(initial=0.0))
        gain: FloatArray = after[:, 0] - self.first_charge - stop
        return gain

    def _stop(self, outcomes: Outcomes, sets: Sets) -> tuple[FloatArray, FloatArray]:
        """Returns P(the best answer is right, and this state) and P(this state), (n_sets, n_looks, n_partitions)."""
        members, size = sets.members, outcomes.size
        patterns = outcomes.patterns  # (2**size, size) who is right, or how each one looks
        rights = self.right[patterns[:, 0], members[:, None, 0]]
        looks = self.looks[patterns[None, :, 0], members[:, None, None, 0], patterns[:, None, 0]]
        for i in range(1, size):
            rights = rights * self.right[patterns[:, i], members[:, None, i]]
            looks = looks * self.looks[patterns[None, :, i], members[:, None, None, i], patterns[:, None, i]]
        rows = self.belief.weights[outcomes.case] * outcomes.ways(self.dispersion)
        joint = (rights[:, outcomes.pattern] * rows).sum(axis=-1)  # (n_sets, n_terms)
        joint_looks = joint[:, None] * looks[:, :, outcomes.pattern]  # (n_sets, n_looks, n_terms)
        chance = joint_looks @ outcomes.in_state
        best = np.maximum.reduceat(joint_looks @ outcomes.in_claim, outcomes.first_claim, axis=-1)
        return best, chance

    def _ask(self, after: FloatArray, chance: FloatArray, outcomes: Outcomes, sets: Sets) -> FloatArray:
        """Returns the value of the best next call in every state, with the shape of `chance`.

        `after` (n_larger_sets, size + 1, n_states) is the value of the larger sets, summed over what the one more says.
        """
        flat = chance.reshape(len(sets.members), 1, -1)
        values = after.reshape(len(after), outcomes.size + 1, -1)[sets.larger, sets.position]
        values = values - self.charge[sets.others][..., None] * flat
        if self.budget_usd < np.inf:
            spent = self.cost_usd[sets.members].sum(axis=1)[:, None] + self.cost_usd[sets.others]
            values[spent > self.budget_usd] = -np.inf
        best: FloatArray = values.max(axis=1).reshape(chance.shape)
        return best
