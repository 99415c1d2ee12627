"""What saving costs: the quality that training queries lost at each trade-off, and the boldest one within a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ridge import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOffs:
    """The cascade over the training queries, out of fold, at ascending trade-offs."""

    lams: FloatArray  # (n_lams,) quality given up for a dollar saved
    lag: FloatArray  # (n_lams,) mean quality below that of always asking the best backend; below 0: above it
    lag_error: FloatArray  # (n_lams,) one standard error of it
    cost: FloatArray  # (n_lams,) mean cost, as a share of that of always asking the best backend

    def lam_within(self, margin: float) -> float:
        """Returns the greatest lam up to which every lag is within the margin with one standard error to spare; the
        least lam where that is not.
        """
        is_above = self.lag + self.lag_error > margin
        n_within = int(is_above.argmax()) if is_above.any() else len(self.lams)
        return float(self.lams[max(n_within - 1, 0)])
