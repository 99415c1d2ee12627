"""What the model's own token probabilities say, where the backend gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...backends import Completion, Query
from ..final_answer import answer_span

_TAIL = 8
_WINDOW = 8
_WINDOWS = 32  # in a long text, of which a few tokens tell nothing; the paper takes 1,024 to 2,048 of some 30,000
_WIDEST = 2048
_LEAST = -20.0


class LogprobSignal:
    """Mean, minimum, lowest tenth, last tokens and lowest window of the answer's log-probabilities.

    Mean and minimum also of those tokens alone that state the final answer.

    An answer is as good as its weakest link, so the lowest window says more than the mean: Fu et al. 2025, "Deep Think
    with Confidence", arXiv:2508.15260.
    """

    names = (
        "mean",
        "minimum",
        "lowest_tenth",
        "tail_mean",
        "share_unsure",
        "lowest_window",
        "final_mean",
        "final_minimum",
    )
    needs = "logprobs"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN without log-probabilities, or without a final answer."""
        if not completion.logprobs:
            return (math.nan,) * len(self.names)
        values = bounded(completion.logprobs)
        final = values[is_final(completion, len(values))]
        return (
            float(values.mean()),
            float(values.min()),
            float(np.quantile(values, 0.1)),
            float(values[-_TAIL:].mean()),
            share_unsure(values),
            lowest_window(values),
            float(final.mean()) if len(final) else math.nan,
            float(final.min()) if len(final) else math.nan,
        )


def bounded(logprobs: Sequence[float]) -> NDArray[np.float64]:
    """Returns them as an array, none so low that it alone would outweigh all others."""
    return np.clip(np.array(logprobs, dtype=np.float64), _LEAST, 0.0)


def share_unsure(values: NDArray[np.float64]) -> float:
    """Returns the share of tokens that the model gave less than an even chance."""
    return float(np.mean(values < math.log(0.5)))


def lowest_window(values: NDArray[np.float64]) -> float:
    """Returns the lowest mean of some values in a row; of fewer than that, their mean.

    Any long reasoning has a few unsure tokens in a row somewhere, so that the window grows with the length.
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    width = min(max(_WINDOW, len(values) // _WINDOWS), _WIDEST, len(values))
    return float((sums[width:] - sums[:-width]).min() / width)


def is_final(completion: Completion, n_tokens: int) -> NDArray[np.bool_]:
    """Returns which tokens state the final answer, (n_tokens,).

    Where the backend does not tell the tokens' texts, all are taken to be equally long.
    """
    span = answer_span(completion.text)
    if span is None:
        return np.zeros(n_tokens, dtype=np.bool_)
    lengths = np.ones(n_tokens)
    if completion.tokens is not None and len(completion.tokens) == n_tokens and any(completion.tokens):
        lengths = np.array([len(token) for token in completion.tokens], dtype=np.float64)
    ends = np.cumsum(lengths) * (len(completion.text) / lengths.sum())
    starts = np.concatenate([[0.0], ends[:-1]])
    states_it: NDArray[np.bool_] = (starts < span[1] - 1e-6) & (ends > span[0] + 1e-6)
    return states_it
