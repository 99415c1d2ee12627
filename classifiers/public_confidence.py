"""Public confidence: what the look of an answer tells before there are graded answers of one's own.

`python -m penstock.training.prior` fits it to published answers of other models, `data/prior/README.md` is its card.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from ..backends import Completion, Query
from .calibration import no_calibration
from .confidence import ConfidenceModel
from .final_answer import final_answer
from .ridge import FloatArray
from .shipped import load_table, save_table
from .signals import signal_names
from .signals.numbers import asks_with_numbers

# What was found to tell right answers from wrong ones in sets that were left out, whatever form they have: slips, and
# how the working hangs together. How long an answer is would tell more within a set, and less than nothing between
# sets: it goes with the form that is asked for, and a bare number would be trusted most. Whether a number is whole goes
# with the subject.
PUBLIC_SIGNALS = (
    "language.log_hedges",
    "language.log_restarts",
    "arithmetic.share_wrong",
    "arithmetic.any_wrong",
    "reachable.is_reachable",
    "reachable.share_used",
    "equations.share_wrong",
    "working.ends_in_answer",
    "working.holds_answer",
    "working.share_dangling",
    "working.share_broken",
    "working.share_of_query_used",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicConfidence:
    """A logistic model of some signals, whose log-odds are added to those of the estimate; the same for all backends.

    A signal that does not apply says nothing.
    """

    mean: FloatArray  # (n_public_signals,)
    scale: FloatArray  # (n_public_signals,) 1 / standard deviation
    weights: FloatArray  # (n_public_signals,) of the standardised signals, in logits
    model: ConfidenceModel = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names = signal_names()
        places = np.array([names.index(name) for name in PUBLIC_SIGNALS])
        mean, scale = np.zeros((2, len(names)))
        mean[places], scale[places] = self.mean, self.scale
        shared = np.zeros(2 * len(names) + 2)
        shared[0] = 1.0  # the estimate as it is
        shared[1 + places] = self.weights
        model = ConfidenceModel(
            backends=(),
            signals=names,
            phrasing=None,
            mean=mean,
            scale=scale,
            absence=np.zeros(len(names)),
            shared=shared,
            own=np.empty((0, len(shared))),
            trees=None,
            calibration=no_calibration(1),
        )
        object.__setattr__(self, "model", model)

    def can_judge(self, query: Query) -> bool:
        """Returns whether an answer to a query may be judged."""
        return _may_be_judged(query)

    def confidence(self, query: Query, completion: Completion, *, backend: str, estimate: float) -> float:
        """Returns P(correct) of one completion; the estimate where public answers are of another kind."""
        if not is_judged(query, completion):
            return estimate
        return self.model.confidence(query, completion, backend=backend, estimate=estimate)


def is_judged(query: Query, completion: Completion) -> bool:
    """Returns whether an answer is of the kind that public confidence knows: one that comes to a number."""
    answer = final_answer(completion) if _may_be_judged(query) else None
    return answer is not None and answer.kind == "number"


def _may_be_judged(query: Query) -> bool:
    """Returns whether a query is of that kind: it has numbers in it, and brings no tools, as those of agents do."""
    return not query.params.get("tools") and asks_with_numbers(query)


_ARRAYS = ("mean", "scale", "weights")


def save_public_confidence(confidence: PublicConfidence, path: Path) -> None:
    """Writes it as safetensors; the same confidence, the same bytes."""
    save_table({name: getattr(confidence, name) for name in _ARRAYS}, path)


@cache
def load_public_confidence() -> PublicConfidence:
    """Returns the public confidence that ships with the package.

    Raises:
        ArtefactError: it does not fit the code around it.
    """
    return PublicConfidence(
        **load_table("confidence", what="the public confidence", n_weights=len(PUBLIC_SIGNALS), each="signals")
    )
