"""What the model's own token probabilities say, where the backend gives them."""

from __future__ import annotations

import math

import numpy as np

from ...backends import Completion, Query

_TAIL = 8


class LogprobSignal:
    """Mean, minimum, lowest tenth and last tokens of the answer's log-probabilities."""

    names = ("mean", "minimum", "lowest_tenth", "tail_mean", "share_unsure")
    needs = "logprobs"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN without log-probabilities."""
        if not completion.logprobs:
            return (math.nan,) * len(self.names)
        values = np.clip(np.array(completion.logprobs, dtype=np.float64), -20.0, 0.0)
        return (
            float(values.mean()),
            float(values.min()),
            float(np.quantile(values, 0.1)),
            float(values[-_TAIL:].mean()),
            float(np.mean(values < math.log(0.5))),
        )
