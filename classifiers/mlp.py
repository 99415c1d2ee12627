"""The neural head: one hidden layer over the dense features, all backends at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from .features import Features, QueryFeatures
from .gradient import as_array, descend, import_torch
from .heads import check_quality
from .logistic import sigmoid
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Mlp:
    """sigmoid(relu(x @ hidden + hidden_bias) @ out + out_bias), in numpy."""

    hidden: Float32Array  # (n_dense, n_hidden)
    hidden_bias: Float32Array
    out: Float32Array  # (n_hidden, n_backends)
    out_bias: Float32Array

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends)."""
        return self._apply(features.dense)

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,)."""
        return self._apply(query.dense)

    def _apply(self, dense: Float32Array) -> FloatArray:
        hidden = np.maximum(dense @ self.hidden + self.hidden_bias, 0)
        return sigmoid((hidden @ self.out + self.out_bias).astype(np.float64))


class MlpHead:
    """A perceptron with one hidden layer, fitted by torch, with dropout and early stopping. Needs the extra `local`."""

    predictor_: Mlp

    def __init__(
        self, *, n_hidden: int = 64, dropout: float = 0.3, rate: float = 3e-3, decay: float = 0.05, seed: int = 0
    ) -> None:
        self.n_hidden = n_hidden
        self.dropout = dropout
        self.rate = rate
        self.decay = decay
        self.seed = seed
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns by gradient descent on the cross-entropy of the observed cells."""
        check_quality(features, quality)
        torch = import_torch("mlp")
        rows = np.flatnonzero(np.isfinite(quality).any(1))
        seen = torch.tensor(np.isfinite(quality[rows]), dtype=torch.float32)
        target = torch.tensor(np.nan_to_num(quality[rows]), dtype=torch.float32)
        inputs = torch.tensor(features.dense[rows])
        rate = np.clip(np.nanmean(quality, axis=0), 0.01, 0.99)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            hidden = torch.nn.Linear(inputs.shape[1], self.n_hidden)
            out = torch.nn.Linear(self.n_hidden, quality.shape[1])
            torch.nn.init.zeros_(out.weight)
            with torch.no_grad():
                out.bias.copy_(torch.tensor(np.log(rate / (1 - rate))))
            module = torch.nn.Sequential(hidden, torch.nn.ReLU(), torch.nn.Dropout(self.dropout), out)

            def loss_of(batch: IntArray) -> Tensor:
                losses = torch.nn.functional.binary_cross_entropy_with_logits(
                    module(inputs[batch]), target[batch], reduction="none"
                )
                loss: Tensor = (losses * seen[batch]).sum() / seen[batch].sum()
                return loss

            descend(
                module,
                loss_of,
                len(rows),
                seed=self.seed,
                rate=self.rate,
                decay=self.decay,
                n_epochs=40,
            )
        self.predictor_ = Mlp(
            hidden=as_array(hidden.weight).T.astype(np.float32),
            hidden_bias=as_array(hidden.bias).astype(np.float32),
            out=as_array(out.weight).T.astype(np.float32),
            out_bias=as_array(out.bias).astype(np.float32),
        )
        return self
