"""What a router may promise about the quality it gives up, as it was certified on held-out queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ridge import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """With a chance of at least 1 - risk, the mean quality is at most `margin` below that of always asking `backend`.

    The cheapest backend is asked whose estimated quality is at most `slack` below the estimate of `backend`.
    """

    margin: float
    risk: float
    backend: str  # the best on average in training
    slack: float
    n_queries: int  # certified on, twins counted once
    loss: float  # mean quality lost on these, below 0: won
    saving: float  # share of the cost of always asking `backend` that was saved on these
    slacks: FloatArray  # (n_tested,) ascending, as they were tested, up to the first that failed
    p_values: FloatArray  # (n_tested,) of "the loss is above the margin"
    traces_sha256: str  # of the traces certified on
    terms: str  # of backends and prices, since a decision by other prices is another decision

    def sentence(self) -> str:
        """Returns the promise in words."""
        return (
            f"certified: at most {self.margin:g} below always asking {self.backend}, on average, at risk {self.risk:g};"
            f" on {self.n_queries} held-out queries it lost {self.loss:.4f} and saved {self.saving:.0%} of the cost"
        )
