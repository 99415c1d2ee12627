"""The cost head: what a query will cost at each backend, before it is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .constant import constant
from .errors import FitError
from .features import Features, QueryFeatures
from .heads import check_folds, fill_missing
from .ridge import FloatArray, LinearMap, concatenate_maps, term_ridge_path
from .sparse import IntArray
from .telling import counting, tell

QUANTITIES = ("cost_usd", "output_tokens", "latency_s")
_PENALTY = 5.0
_NINE_IN_TEN = 1.2816  # standard deviations above the mean that nine in ten normal values stay below
_MAX_LOG = constant(50.0, np.float64)  # keeps exp finite, whatever is asked


@dataclass(frozen=True, slots=True, kw_only=True)
class CostModel:
    """Expected values of quantities that are positive and skewed: cost, output tokens, latency.

    Each is predicted on the log scale; exp of that is multiplied by `smearing`, the mean of exp(residual), which turns
    the median into the mean whatever the shape of the errors (Duan 1983, "Smearing estimate", JASA 78).
    """

    log_values: LinearMap  # one output a known cell
    cells: IntArray  # (n_known,) the known cells of a (3, n_backends) table, row by row
    smearing: FloatArray  # (n_known,); 0 for what was zero on every trace
    spread: FloatArray  # (n_known,) standard deviation of the log residuals
    n_backends: int

    def predict(self, features: Features) -> FloatArray:
        """Returns expectations, (n_queries, 3, n_backends), NaN for what no trace told."""
        return self._expect(self.log_values.predict(features))

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the expectations for one query, (3, n_backends)."""
        return self._expect(self.log_values.predict_one(query))

    def tails(self) -> FloatArray:
        """Returns how many times what is expected nine in ten costs and latencies stay below, (2, n_backends), at least
        once; NaN for what no trace told. The errors on the log scale are taken to be normal."""
        known = np.exp(_NINE_IN_TEN * self.spread) / np.where(self.smearing > 0, self.smearing, np.inf)
        tails = np.full(len(QUANTITIES) * self.n_backends, np.nan)
        tails[self.cells] = np.maximum(known, 1.0)
        by_quantity = dict(zip(QUANTITIES, tails.reshape(len(QUANTITIES), self.n_backends), strict=True))
        return np.stack([by_quantity["cost_usd"], by_quantity["latency_s"]])

    def with_backend(self, expected: FloatArray, observed: FloatArray) -> CostModel:
        """Returns the model with one backend more, behind the others.

        `expected` (n_queries, 3, n_backends) is what this model says of queries that the new one was asked, `observed`
        (n_queries, 3) what it took, NaN = not observed. On the log scale it is the average of the others and a ratio
        that all queries share: what is long elsewhere is long here. A quantity that was never observed stays unknown.
        """
        kind, column = np.divmod(self.cells, self.n_backends)
        joined = [(k * (self.n_backends + 1) + c, place) for place, (k, c) in enumerate(zip(kind, column, strict=True))]
        maps, smearing, spread = [self.log_values], list(self.smearing), list(self.spread)
        for quantity in range(len(QUANTITIES)):
            values = observed[:, quantity]
            positive = values > 0
            if not np.isfinite(values).any():
                continue
            others = np.flatnonzero((kind == quantity) & (self.smearing > 0))
            residuals = np.zeros(1)
            average = self.log_values.average(others, np.log(self.smearing[others]))
            if positive.any():
                residuals = np.log(values[positive])
                if len(others):
                    residuals = residuals - np.log(expected[positive, quantity][:, column[others]]).mean(axis=1)
                average = replace(average, intercept=average.intercept + np.float32(residuals.mean()))
                residuals = np.clip(residuals - residuals.mean(), -10, 10)
            joined.append((quantity * (self.n_backends + 1) + self.n_backends, len(joined)))
            maps.append(average)
            smearing.append(float(np.exp(residuals).mean()) if positive.any() else 0.0)
            spread.append(float(residuals.std()))
        cells, order = np.array(sorted(joined), dtype=np.int64).T
        return CostModel(
            log_values=concatenate_maps(maps).take(order),
            cells=cells,
            smearing=np.array(smearing)[order],
            spread=np.array(spread)[order],
            n_backends=self.n_backends + 1,
        )

    def _expect(self, logs: FloatArray) -> FloatArray:
        out = np.exp(np.minimum(logs, _MAX_LOG))
        out *= self.smearing
        n_cells = len(QUANTITIES) * self.n_backends
        if len(self.cells) < n_cells:
            known, out = out, np.empty((*logs.shape[:-1], n_cells))
            out.fill(np.nan)
            out[..., self.cells] = known
        return out.reshape(*logs.shape[:-1], len(QUANTITIES), self.n_backends)


def fit_cost(features: Features, quantities: FloatArray, folds: IntArray) -> tuple[CostModel, FloatArray]:
    """Returns the cost model and its out-of-fold expectations, (n_queries, 3, n_backends).

    `quantities` is (n_queries, 3, n_backends) >= 0, NaN = not observed. A zero among positive values counts as the
    least of them.

    Raises:
        FitError: the shapes do not fit, or a quantity is negative or infinite.
    """
    if quantities.ndim != 3 or quantities.shape[:2] != (features.n_queries, len(QUANTITIES)):
        expected = f"({features.n_queries}, {len(QUANTITIES)}, n_backends)"
        raise FitError(f"quantities: expected shape {expected}, got {quantities.shape}")
    if (quantities < 0).any() or np.isinf(quantities).any():
        raise FitError("quantities: expected finite numbers >= 0, NaN where nothing was observed")
    n, _, n_backends = quantities.shape
    check_folds(features, folds)
    flat = quantities.reshape(n, -1)
    cells = np.flatnonzero(np.isfinite(flat).any(0))
    known = flat[:, cells]
    is_free = ~(np.nan_to_num(known) > 0).any(0)
    least = np.nanmin(np.where(known > 0, known, np.inf), axis=0)
    logs = np.log(np.where(np.isnan(known), np.nan, np.maximum(known, np.where(is_free, 1.0, least))))
    targets = np.empty_like(logs)
    for quantity in range(len(QUANTITIES)):
        block = np.flatnonzero(cells // n_backends == quantity)
        if len(block):
            targets[:, block] = fill_missing(logs[:, block])

    predicted = np.empty_like(targets)
    for fold in counting(np.unique(folds), "fold"):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        fitted = term_ridge_path(features.take(inside), targets[inside], [_PENALTY], with_dense=True)[0]
        predicted[outside] = fitted.predict(features.take(outside))
    tell("all folds together")
    residuals = np.clip(logs - predicted, -10, 10)
    model = CostModel(
        log_values=term_ridge_path(features, targets, [_PENALTY], with_dense=True)[0],
        cells=cells,
        smearing=np.where(is_free, 0.0, np.nanmean(np.exp(residuals), axis=0)),
        spread=np.nanstd(residuals, axis=0),
        n_backends=n_backends,
    )
    return model, model._expect(predicted)
