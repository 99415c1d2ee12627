"""A backend that joined a trained router later: its quality is read off what is expected of the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .calibration import Calibration
from .features import Features, QueryFeatures
from .heads import Predictor
from .logistic import sigmoid
from .ridge import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The calibrated estimates of the others, and behind them those of one backend more.

    logit P(the newcomer is correct) = weights . logits of the others' estimates + intercept. All are probabilities
    already, so that nothing is left to calibrate.
    """

    others: Predictor
    calibration: Calibration  # of the others
    weights: FloatArray  # (n_others,)
    intercept: float
    n_labels: int  # graded queries that the newcomer was placed by

    def predict(self, features: Features) -> FloatArray:
        """Returns probabilities, (n_queries, n_others + 1)."""
        return self._with_newcomer(self.calibration.apply(self.others.predict(features)))

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the probabilities of one query, (n_others + 1,)."""
        return self._with_newcomer(self.calibration.apply(self.others.predict_one(query)))

    def _with_newcomer(self, others: FloatArray) -> FloatArray:
        newcomer = sigmoid(np.log(others / (1 - others)) @ self.weights + self.intercept)
        return np.concatenate([others, newcomer[..., None]], axis=-1)
