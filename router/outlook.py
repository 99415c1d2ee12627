"""Everything a decision is made from, as one value: feasible backends and what is expected of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..backends.quick import maker, quick
from ..classifiers.escalation import Escalation
from ..classifiers.final_answer import FinalAnswer
from ..classifiers.meaning import InWords

if TYPE_CHECKING:
    from ..classifiers.handover import HandOver
    from ..classifiers.verdict import Jury

FloatArray = NDArray[np.float64]


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checks:
    """The backends that may be given another one's answer to check, and what is expected of each."""

    backends: tuple[str, ...]
    quality: FloatArray  # (n_checks,) P(correct) before any call
    cost_usd: FloatArray  # (n_checks,) expected, of one call, the draft included
    may_check: NDArray[np.bool_]  # (n_checks, n) whose answers
    handover: HandOver
    rows: tuple[int, ...]  # of these backends in `handover`
    difficulty: float  # of the query

    def chance(self, confidence: FloatArray) -> FloatArray:
        """Returns P(correct) of every one after a draft of each of these confidences, (n_checks, n_drafts)."""
        return self.handover.quality(self.difficulty, confidence)[list(self.rows)]

    def take(self, chosen: list[int], places: list[int]) -> Checks:
        """Returns what is known of those chosen, and of the answers of the backends at these places."""
        return replace(
            self,
            backends=tuple(self.backends[row] for row in chosen),
            quality=self.quality[chosen],
            cost_usd=self.cost_usd[chosen],
            may_check=self.may_check[np.ix_(chosen, places)],
            rows=tuple(self.rows[row] for row in chosen),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """The backend that may be asked whether an answer is right, and what its verdict is expected to tell."""

    backend: str
    yes_if_right: float  # P(it says yes) of a right answer
    yes_if_wrong: float
    cost_usd: float  # expected, of one verdict
    jury: Jury

    def __str__(self) -> str:
        return (
            f"{self.backend} may be asked whether an answer is right, for ${self.cost_usd:.6f}: it says yes of"
            f" {self.yes_if_right:.0%} of the right ones and {self.yes_if_wrong:.0%} of the wrong ones"
        )

    def outcomes(self, chance: float) -> tuple[tuple[float, float], ...]:
        """Returns yes and no on an answer that is right with this chance: how likely each is, and by what it multiplies
        the odds.
        """
        yes, never = self.yes_if_right, self.yes_if_wrong
        said = chance * yes + (1 - chance) * never
        return (said, yes / never), (1 - said, (1 - yes) / (1 - never))


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outlook:
    """The backends that may be asked and what is expected of each; a column a backend.

    Those that check the answers of others stand apart, so that none is asked first. Their places come behind.
    """

    backends: tuple[str, ...]
    quality: FloatArray  # (n,) P(correct) before any call
    cost_usd: FloatArray  # (n,) expected, of one call
    escalation: Escalation  # of these backends: how their errors go together, how much looking at an answer tells
    max_calls: int
    budget_usd: float  # for all calls together; inf: none
    checks: Checks | None = None  # None: nobody may be asked to check
    judge: Judge | None = None  # None: nobody may be asked for a verdict

    @property
    def names(self) -> tuple[str, ...]:
        """The backend of every place."""
        return self.backends + self.checks.backends if self.checks else self.backends


make_outlook = maker(Outlook)


def told_odds(chance: float, odds: float) -> float:
    """Returns a chance once its odds are multiplied by what was told."""
    return chance * odds / (1 - chance + chance * odds)


def with_greatest(cost_usd: FloatArray) -> FloatArray:
    """Returns costs, those that are not known as the greatest that is, so that none is ever the reason to choose."""
    if not any(map(math.isnan, cost_usd.tolist())):  # a few numbers; arrays would take longer to ask
        return cost_usd
    is_unknown = np.isnan(cost_usd)
    known = cost_usd[~is_unknown]
    return np.where(is_unknown, known.max() if len(known) else 0.0, cost_usd)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A call that was made: its place in the outlook, the confidence in its answer, what it came to, what it cost."""

    place: int
    confidence: float  # from this answer alone
    cost_usd: float
    answer: FinalAnswer | InWords | None = None  # None: it cannot be compared with others
    is_given_up: bool = False  # its answer was broken off, and tells by the confidence alone
    is_checked: bool = False  # another backend had it as a draft, and its answer stands for both
    is_judged: bool = False
    odds: float = 1.0  # by what a judge's verdict multiplies those of the answer's being right

    @property
    def alone(self) -> float:
        """The confidence in its answer with a judge's verdict, and without any other answer."""
        if self.odds == 1.0:
            return self.confidence
        return told_odds(self.confidence, self.odds)


make_tried = maker(Tried)
