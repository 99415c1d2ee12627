"""Public confidence: what the look of an answer tells before there are graded answers of one's own.

`python -m penstock.training.prior` fits it to published answers of other models, `data/prior/README.md` is its card.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np

from ..backends import Completion, Query
from .calibration import no_calibration
from .confidence import ConfidenceModel
from .errors import ArtefactError
from .final_answer import final_answer
from .ridge import FloatArray
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
    per_unit: FloatArray = field(init=False, repr=False, compare=False)  # (n_signals,) of the log-odds

    def __post_init__(self) -> None:
        names = signal_names()
        places = [names.index(name) for name in PUBLIC_SIGNALS]
        mean, scale, per_unit = np.zeros((3, len(names)))
        mean[places], scale[places], per_unit[places] = self.mean, self.scale, self.weights * self.scale
        model = ConfidenceModel(
            backends=(),
            signals=names,
            phrasing=None,
            mean=mean,
            scale=scale,
            absence=np.zeros(len(names)),
            shared=weights_of(per_unit, scale),
            own=np.empty((0, 2 * len(names) + 2)),
            trees=None,
            calibration=no_calibration(1),
        )
        object.__setattr__(self, "model", model)
        object.__setattr__(self, "per_unit", per_unit)

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
    from safetensors.numpy import save

    path.write_bytes(save({name: np.ascontiguousarray(getattr(confidence, name)) for name in _ARRAYS}))


@cache
def load_public_confidence() -> PublicConfidence:
    """Returns the public confidence that ships with the package.

    Raises:
        ArtefactError: it does not fit the code around it.
    """
    from safetensors.numpy import load

    arrays = load((resources.files(__package__) / "data" / "prior" / "confidence.safetensors").read_bytes())
    if arrays["weights"].shape != (len(PUBLIC_SIGNALS),):
        raise ArtefactError(
            f"the public confidence was learned from {len(arrays['weights'])} signals, and there are"
            f" {len(PUBLIC_SIGNALS)} now; make it anew with `python -m penstock.training.prior`"
        )
    return PublicConfidence(**arrays)


def weights_of(per_unit: FloatArray, scale: FloatArray) -> FloatArray:
    """Returns the weights of features, (n_features,), that add so much for each unit of a signal, (n_signals,), to the
    log-odds of the estimate, where signals have this scale, (n_signals,).
    """
    n_signals = len(scale)
    weights = np.zeros(2 * n_signals + 2)
    weights[0] = 1.0
    np.divide(per_unit, scale, out=weights[1 : n_signals + 1], where=scale > 0)
    return weights
