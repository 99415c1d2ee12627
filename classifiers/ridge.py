"""Ridge regression over a whole path of penalties at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .features import Features, QueryFeatures
from .sparse import Float32Array, IntArray, TermOperator

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearMap:
    """Predicts k outputs as `dense @ dense_weights + terms @ term_weights + intercept`."""

    dense_weights: Float32Array  # (n_dense, k)
    term_weights: Float32Array  # (n_terms, k), or (0, k) where terms are not read
    intercept: Float32Array  # (k,)

    def predict(self, features: Features) -> FloatArray:
        """Returns the outputs, (n_queries, k)."""
        out = features.dense @ self.dense_weights + self.intercept
        if len(self.term_weights):
            out += features.terms.dot(self.term_weights)
        return out.astype(np.float64)

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the outputs for one query, (k,)."""
        out = query.products.get(id(self))
        if out is None:
            out = query.dense.dot(self.dense_weights) + self.intercept
            if len(query.columns) and len(self.term_weights):
                out += query.weights.dot(self.term_weights[query.columns])  # `take` would copy what is a view
        return out.astype(np.float64)

    def on_dense(self) -> tuple[Float32Array, Float32Array]:
        """Returns the weights and the offset of the part that reads the dense features."""
        return self.dense_weights, self.intercept

    def take(self, outputs: IntArray) -> LinearMap:
        """Returns the map to the chosen outputs."""
        return LinearMap(
            dense_weights=np.ascontiguousarray(self.dense_weights[:, outputs]),
            term_weights=np.ascontiguousarray(self.term_weights[:, outputs]),
            intercept=self.intercept[outputs],
        )

    def average(self, outputs: IntArray, shifts: FloatArray) -> LinearMap:
        """Returns the map to one output: the average of the chosen ones, each shifted, (n_chosen,); of none, 0."""
        n_chosen = max(len(outputs), 1)
        chosen = self.take(outputs)
        return LinearMap(
            dense_weights=chosen.dense_weights.sum(axis=1, keepdims=True) / np.float32(n_chosen),
            term_weights=chosen.term_weights.sum(axis=1, keepdims=True) / np.float32(n_chosen),
            intercept=((chosen.intercept + shifts).sum(keepdims=True) / n_chosen).astype(np.float32),
        )


def concatenate_maps(maps: Sequence[LinearMap]) -> LinearMap:
    """Returns the map to the outputs of all maps, one after the other."""
    return LinearMap(
        dense_weights=np.concatenate([each.dense_weights for each in maps], axis=1),
        term_weights=np.concatenate([each.term_weights for each in maps], axis=1),
        intercept=np.concatenate([each.intercept for each in maps]),
    )


def dense_ridge_path(features: Features, targets: FloatArray, penalties: Sequence[float]) -> list[LinearMap]:
    """Returns one map a penalty from the dense features alone, by one eigendecomposition."""
    dense = features.dense.astype(np.float64)
    mean, target_mean = dense.mean(0), targets.mean(0)
    centred = dense - mean
    eigenvalues, axes = np.linalg.eigh(centred.T @ centred)
    projected = axes.T @ (centred.T @ (targets - target_mean))
    maps = []
    for penalty in penalties:
        weights = axes @ (projected / (np.maximum(eigenvalues, 0) + penalty)[:, None])
        maps.append(
            LinearMap(
                dense_weights=weights.astype(np.float32),
                term_weights=np.empty((0, targets.shape[1]), dtype=np.float32),
                intercept=(target_mean - mean @ weights).astype(np.float32),
            )
        )
    return maps


def term_ridge_path(
    features: Features,
    targets: FloatArray,
    penalties: Sequence[float],
    *,
    with_dense: bool,
    max_iterations: int = 30,
    tolerance: float = 1e-2,
) -> list[LinearMap]:
    """Returns one map a penalty from the terms, with the dense features beside them or without.

    The dual problem (K + penalty I) u = y is solved for all penalties in one Krylov space by multi-shift conjugate
    gradients, so that its cost is a few products with the sparse matrix: linear in the number of terms seen.
    Reference: Jegerlehner 1996, arXiv:hep-lat/9612014.
    """
    operator = TermOperator(features.terms)
    dense = features.dense if with_dense else features.dense[:, :0]
    n = features.n_queries
    term_mean = operator.dot_transposed(np.full((n, 1), 1 / n, dtype=np.float32))[:, 0]
    dense = dense - dense.mean(0) if with_dense else dense
    target_mean = targets.mean(0)

    def weights_of(dual: Float32Array) -> tuple[Float32Array, Float32Array]:
        return dense.T @ dual, operator.dot_transposed(dual) - np.outer(term_mean, dual.sum(0)).astype(np.float32)

    def kernel(dual: Float32Array) -> Float32Array:
        dense_weights, term_weights = weights_of(dual)
        product: Float32Array = operator.dot(term_weights) - term_mean @ term_weights + dense @ dense_weights
        return product

    duals = _solve_shifted(kernel, (targets - target_mean).astype(np.float32), penalties, max_iterations, tolerance)
    maps = []
    for dual in duals:
        dense_weights, term_weights = weights_of(dual)
        intercept = target_mean - term_mean @ term_weights
        if with_dense:
            intercept = intercept - features.dense.mean(0) @ dense_weights
        else:
            dense_weights = np.zeros((features.dense.shape[1], targets.shape[1]), dtype=np.float32)
        maps.append(
            LinearMap(dense_weights=dense_weights, term_weights=term_weights, intercept=intercept.astype(np.float32))
        )
    return maps


def _solve_shifted(
    kernel: Callable[[Float32Array], Float32Array],
    right: Float32Array,
    penalties: Sequence[float],
    max_iterations: int,
    tolerance: float,
) -> list[Float32Array]:
    """Returns the solutions of (K + penalty I) u = right, a column each, for every penalty.

    The smallest penalty drives the iteration; the residuals of the others are multiples of its own (factor `zeta`).
    """
    base = min(penalties)
    shifts = np.array([penalty - base for penalty in penalties], dtype=np.float64)[:, None]  # (n_penalties, 1)
    n_columns = right.shape[1]
    solutions = np.zeros((len(penalties), *right.shape), dtype=np.float32)
    directions = np.repeat(right[None], len(penalties), axis=0)
    residual, direction = right.copy(), right.copy()
    zeta_before, zeta = np.ones((len(penalties), n_columns)), np.ones((len(penalties), n_columns))
    step_before, growth = np.ones(n_columns), np.zeros(n_columns)
    power = np.einsum("nk,nk->k", residual, residual, dtype=np.float64)
    goal = tolerance**2 * power
    tiny = np.finfo(np.float64).tiny
    for _ in range(max_iterations):
        is_active = power > goal
        if not is_active.any():
            break
        product = kernel(direction) + np.float32(base) * direction
        curvature = np.einsum("nk,nk->k", direction, product, dtype=np.float64)
        step = np.where(is_active & (curvature > 0), -power / np.maximum(curvature, tiny), 0.0)
        below = step * growth * (zeta_before - zeta) + zeta_before * step_before * (1 - shifts * step)
        ratio = np.where(np.abs(below) > tiny, zeta_before * step_before / np.where(below == 0, 1, below), 0.0)
        zeta_next = zeta * ratio
        steps = step * ratio
        solutions -= steps[:, None, :].astype(np.float32) * directions
        residual += step.astype(np.float32) * product
        power_next = np.einsum("nk,nk->k", residual, residual, dtype=np.float64)
        growth = np.where(is_active, power_next / np.maximum(power, tiny), 0.0)
        growths = growth * ratio**2
        direction = residual + growth.astype(np.float32) * direction
        zeta32, growths32 = zeta_next[:, None, :].astype(np.float32), growths[:, None, :].astype(np.float32)
        directions = zeta32 * residual + growths32 * directions
        zeta_before, zeta, power = zeta, zeta_next, power_next
        step_before = np.where(step == 0, 1.0, step)
    return list(solutions)
