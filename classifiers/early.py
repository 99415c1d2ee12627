"""Confidence in an answer that has only begun, and from when on that is enough to pass it on or to give it up."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from ..backends import Completion, Query
from .confidence import ConfidenceModel
from .ridge import FloatArray

CHECKPOINTS = (32, 64, 128, 256, 512, 1024, 2048, 4096)  # signs of the answer, about a quarter as many tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyConfidence:
    """P(the whole answer is correct), from its first signs, at a few lengths; a confidence model each.

    Thresholds with controlled risk, as in Conformal Thinking (Wang et al. 2026, arXiv:2602.03814), from recorded
    answers. `release[i]`: an answer whose confidence so far reaches it may be passed on where the cascade would keep
    the whole one from a confidence of `needed[i]` on; the share of answers that are passed on and would have been
    replaced is at most `release_risk`. `give_up`: an answer whose confidence so far is at most this may be broken off;
    the share of answers that are broken off and would have been right is at most `give_up_risk`.
    """

    lengths: tuple[int, ...]  # of the beginnings, in signs, ascending
    models: tuple[ConfidenceModel, ...]  # one a length
    needed: FloatArray  # (n_needed,) ascending
    release: FloatArray  # (n_needed,) inf: never
    give_up: float  # 0: never
    release_risk: float
    give_up_risk: float

    def checkpoint(self, n_signs: int) -> int | None:
        """Returns the place of the longest beginning that an answer of so many signs has; None: it is too short."""
        return bisect_right(self.lengths, n_signs) - 1 if n_signs >= self.lengths[0] else None

    def confidence(
        self, query: Query, completion: Completion, *, checkpoint: int, backend: str, estimate: float
    ) -> float:
        """Returns P(correct) of an answer of which this much has come, or more; `estimate` as for a whole one."""
        begun = beginning(completion, self.lengths[checkpoint])
        return self.models[checkpoint].confidence(query, begun, backend=backend, estimate=estimate)

    def release_from(self, needed: float) -> float:
        """Returns the confidence so far from which an answer may be passed on that is kept from `needed` on."""
        place = int(np.searchsorted(self.needed, needed))
        return float(self.release[place]) if place < len(self.needed) else np.inf


def beginning(completion: Completion, n_signs: int) -> Completion:
    """Returns the first signs of an answer, with its reasoning, and as large a share of what is known of its tokens.

    >>> beginning(Completion(text="It is 391.", logprobs=(-0.1, -0.2)), 5).logprobs
    (-0.1,)
    """
    share = n_signs / max(len(completion.text), 1)

    def begun(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return values and values[: round(len(values) * share)]

    return Completion(
        text=completion.text[:n_signs],
        reasoning=completion.reasoning,
        logprobs=begun(completion.logprobs),
        reasoning_logprobs=completion.reasoning_logprobs,
        entropies=begun(completion.entropies),
        margins=begun(completion.margins),
    )
