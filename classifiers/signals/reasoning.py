"""How sure the model was while it thought, where the backend gives the reasoning's token probabilities."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from .logprobs import bounded, lowest_window, share_unsure


class ReasoningSignal:
    """Mean, minimum, lowest window and share of unsure tokens of the reasoning, and its length.

    A chain of thought is as good as its weakest link, so the lowest window says more than the mean: Fu et al. 2025,
    "Deep Think with Confidence", arXiv:2508.15260.
    """

    names = ("mean", "minimum", "lowest_window", "share_unsure", "log_length")
    needs = "logprobs"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN without the reasoning's log-probabilities."""
        if not completion.reasoning_logprobs:
            return (math.nan,) * len(self.names)
        values = bounded(completion.reasoning_logprobs)
        return (
            float(values.mean()),
            float(values.min()),
            lowest_window(values),
            share_unsure(values),
            math.log(len(values)),
        )
