"""How likely the model itself held the whole of what it wrote."""

from __future__ import annotations

import math

import numpy as np

from ...backends import Completion, Query

_LEAST = 1e-6  # probability, and distance from 1, below which nothing more is told apart
_LOWEST = -50.0  # log-probability, likewise


class SequenceSignal:
    """Log-odds of the answer as a whole, and of reasoning and answer together.

    For short answers this is the model's own probability of being right: sampled again, it would say the same so
    often. For long free text every wording is unlikely, and the number says little.
    """

    names = ("answer", "all")
    needs = "logprobs"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN without log-probabilities."""
        if not completion.logprobs:
            return (math.nan, math.nan)
        answer = _total(completion.logprobs)
        return _log_odds(answer), _log_odds(answer + _total(completion.reasoning_logprobs or ()))


def _total(logprobs: tuple[float, ...]) -> float:
    return float(np.clip(np.array(logprobs, dtype=np.float64), _LOWEST, 0.0).sum())


def _log_odds(log_probability: float) -> float:
    probability = min(max(math.exp(max(log_probability, _LOWEST)), _LEAST), 1 - _LEAST)
    return math.log(probability / (1 - probability))
