"""How open the choice of each token was, where the backend tells what else was likely."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...backends import Completion, Query
from .logprobs import is_final, lowest_window

_MOST = 20.0  # nats, for entropies and margins alike; beyond it nothing more is told apart


class AlternativesSignal:
    """Mean, highest and highest window of the entropy, mean and lowest margin; both over the final answer's tokens too.

    Log-probabilities tell of the token that was chosen, these of the choice: a sampled token may be unlikely where the
    model was sure of another, and likely where only two were in question. Entropy over the tokens as a sign of errors:
    Kadavath et al. 2022, arXiv:2207.05221, section 3; the window: Fu et al. 2025, arXiv:2508.15260.
    """

    names = (
        "entropy",
        "highest_entropy",
        "entropy_window",
        "final_entropy",
        "margin",
        "lowest_margin",
        "final_margin",
        "final_lowest_margin",
    )
    needs = "logprobs"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where they are not told, or without a final answer."""
        entropies, final_entropies = _told(completion.entropies, completion)
        margins, final_margins = _told(completion.margins, completion)
        return (
            _mean(entropies),
            float(entropies.max()) if len(entropies) else math.nan,
            -lowest_window(-entropies) if len(entropies) else math.nan,
            _mean(final_entropies),
            _mean(margins),
            _least(margins),
            _mean(final_margins),
            _least(final_margins),
        )


def _told(values: Sequence[float] | None, completion: Completion) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the numbers of all the answer's tokens, and of those that state the final answer."""
    bounded = np.clip(np.array(values or (), dtype=np.float64), 0.0, _MOST)
    return bounded, bounded[is_final(completion, len(bounded))] if len(bounded) else bounded


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _least(values: NDArray[np.float64]) -> float:
    return float(values.min()) if len(values) else math.nan
