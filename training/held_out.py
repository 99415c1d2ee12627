"""What is thought of training queries by fits that did not see them, to replay these queries as if they were new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..classifiers import Estimates
from .evaluation import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What is thought of queries and their answers; (n_queries, n_backends) each, with the columns of the dataset."""

    quality: FloatArray
    cost_usd: FloatArray
    confidences: FloatArray  # NaN: in no answer

    def take(self, rows: IntArray) -> HeldOut:
        """Returns what is thought of the chosen queries."""
        return HeldOut(quality=self.quality[rows], cost_usd=self.cost_usd[rows], confidences=self.confidences[rows])

    def told(self, row: int, estimates: Estimates, columns: Sequence[int | None]) -> Estimates:
        """Returns the estimates of a query with what is thought here in their place.

        `columns` says for each backend of the estimates where it is found here; None: nowhere, as one that checks
        drafts, and what was estimated stays.
        """
        quality, cost_usd = estimates.quality.copy(), estimates.cost_usd.copy()
        for place, column in enumerate(columns):
            if column is not None:
                quality[place], cost_usd[place] = self.quality[row, column], self.cost_usd[row, column]
        return replace(estimates, quality=quality, cost_usd=cost_usd)
