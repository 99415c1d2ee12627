"""What saving costs: the quality that training queries lost at each trade-off, and the boldest one within a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .ridge import FloatArray

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOffs:
    """The cascade over the training queries, out of fold, at ascending trade-offs."""

    best: str  # the best backend on average
    lams: FloatArray  # (n_lams,) quality given up for a dollar saved
    lag: FloatArray  # (n_lams,) mean quality below that of always asking the best backend; below 0: above it
    lag_error: FloatArray  # (n_lams,) one standard error of it
    cost: FloatArray  # (n_lams,) mean cost, as a share of that of always asking the best backend

    def lam_within(self, margin: float) -> float | None:
        """Returns the greatest lam up to which every lag is within the margin with one standard error to spare; where
        that is none, the least that saves anything and up to which every lag is within the margin.

        None: nothing of the kind costs less than always asking the best backend.
        """
        n_sure = _n_before(self.lag + self.lag_error > margin)
        if n_sure and self.cost[n_sure - 1] < 1:
            return float(self.lams[n_sure - 1])
        n_likely = _n_before(self.lag > margin)
        saving = self.lams[:n_likely][self.cost[:n_likely] < 1]
        return float(saving[0]) if len(saving) else None


def _n_before(is_so: BoolArray) -> int:
    """Returns how many come before the first that is so."""
    return int(is_so.argmax()) if is_so.any() else len(is_so)
