"""Low-rank heads: what all backends have in common is learned from all of them together.

`irt` is multidimensional item response theory whose item parameters are read off the text, `matrix` the factorisation
of the table of queries by backends. Both are one bilinear logistic model, fitted alike, and collapse to one linear map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from .features import Features
from .heads import check_folds, check_quality
from .logistic import LogisticMap, sigmoid
from .ridge import FloatArray, LinearMap
from .sparse import IntArray
from .telling import counting, tell

_N_ROUNDS = 30
_LOADING_PENALTY = 1.0


class FactorHead:
    """Maximises the penalised likelihood of soft scores under logit P = base of the backend + loadings . factors(text).

    The factors are linear in the dense features. Missing cells do not count. The penalty on both sides of the product
    works as one on its nuclear norm (Srebro, Rennie and Jaakkola 2004, "Maximum-margin matrix factorization"), so
    that factors that the data do not ask for vanish. The penalty of `penalties` with the least error out of fold is
    taken.
    """

    predictor_: LogisticMap

    def __init__(self, *, n_factors: int, has_difficulty: bool, penalties: tuple[float, ...]) -> None:
        self.n_factors = n_factors
        self.has_difficulty = has_difficulty
        self.penalties = penalties
        self.out_of_fold_: FloatArray | None = None

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns the factors, the loadings and the penalty."""
        check_quality(features, quality)
        check_folds(features, folds)
        path = np.empty((len(self.penalties), *quality.shape))
        for fold in counting(np.unique(folds), "fold"):
            inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
            held_out = features.take(outside)
            for place, fitted in enumerate(self._fit_path(features.take(inside), quality[inside], self.penalties)):
                path[place, outside] = fitted.predict(held_out)
        errors = np.nanmean((path - quality) ** 2, axis=(1, 2))
        best = int(np.argmin(errors))
        self.out_of_fold_ = path[best]
        self.penalty_ = self.penalties[best]
        tell("all folds together")
        self.predictor_ = self._fit_path(features, quality, [self.penalty_])[0]
        return self

    def _fit_path(
        self, features: Features, quality: FloatArray, penalties: tuple[float, ...] | list[float]
    ) -> list[LogisticMap]:
        design = _Design.of(features)
        return [self._fit_one(design, quality, penalty) for penalty in penalties]

    def _fit_one(self, design: _Design, quality: FloatArray, penalty: float) -> LogisticMap:
        """Returns the fit by majorising the loss with squares (Boehning and Lindsay 1988), each solved in closed form.

        With its curvature bounded by 1/4, the logistic loss is at most a sum of squares around a working response,
        which for a cell that was not observed is what is predicted of it: then every update is a ridge regression.
        """
        seen = np.isfinite(quality)
        n_backends = quality.shape[1]
        rate = np.clip(np.nanmean(np.where(seen.any(0), quality, 0.5), axis=0), 0.01, 0.99)
        base = np.log(rate / (1 - rate))
        n_fixed = int(self.has_difficulty)
        loadings = np.zeros((n_backends, n_fixed + min(self.n_factors, n_backends)))
        loadings[:, :n_fixed] = 1.0
        rng = np.random.default_rng(0)
        loadings[:, n_fixed:] = rng.standard_normal(loadings[:, n_fixed:].shape) / np.sqrt(n_backends)
        weights = np.zeros((design.n_columns, loadings.shape[1]))
        factors = np.zeros((design.n_rows, loadings.shape[1]))
        for _ in range(_N_ROUNDS):
            logits = base + factors @ loadings.T
            work = logits + np.where(seen, 4 * (np.where(seen, quality, 0) - sigmoid(logits)), 0.0)
            base = (work - factors @ loadings.T).mean(0)
            weights = design.solve((work - base) @ loadings, loadings.T @ loadings, 4 * penalty)
            factors = design.centred @ weights
            free = factors[:, n_fixed:]
            rest = work - base - factors[:, :n_fixed] @ loadings[:, :n_fixed].T
            gram = free.T @ free
            gram[np.diag_indices_from(gram)] += 4 * _LOADING_PENALTY
            loadings[:, n_fixed:] = np.linalg.solve(gram, free.T @ rest).T
        slopes = weights @ loadings.T
        return LogisticMap(
            linear=LinearMap(
                dense_weights=slopes.astype(np.float32),
                term_weights=np.empty((0, n_backends), dtype=np.float32),
                intercept=(base - design.mean @ slopes).astype(np.float32),
            )
        )


class IrtHead(FactorHead):
    """Item response theory: logit P = ability of the backend - difficulty of the text + what else divides the pool.

    Reference: IRT-Router, arXiv:2506.01048, eq. 3: sigmoid(discrimination . ability - difficulty), the first
    discrimination being 1.
    """

    def __init__(self, *, n_factors: int = 2, penalties: tuple[float, ...] = (10.0, 30.0, 100.0)) -> None:
        super().__init__(n_factors=n_factors, has_difficulty=True, penalties=penalties)


class MatrixHead(FactorHead):
    """Matrix factorisation: every backend has a vector, every text is mapped to one, their product is the logit.

    Reference: Ong et al. 2024 (RouteLLM), arXiv:2406.18665, section 4.2.
    """

    def __init__(self, *, n_factors: int = 8, penalties: tuple[float, ...] = (10.0, 30.0, 100.0)) -> None:
        super().__init__(n_factors=n_factors, has_difficulty=False, penalties=penalties)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Design:
    """The dense features, centred, with the eigenvectors of their Gram matrix, which all updates share."""

    mean: FloatArray  # (n_columns,)
    centred: FloatArray  # (n_rows, n_columns)
    eigenvalues: FloatArray
    axes: FloatArray

    @classmethod
    def of(cls, features: Features) -> _Design:
        dense = features.dense.astype(np.float64)
        mean = dense.mean(0)
        centred = dense - mean
        eigenvalues, axes = np.linalg.eigh(centred.T @ centred)
        return cls(mean=mean, centred=centred, eigenvalues=np.maximum(eigenvalues, 0), axes=axes)

    @property
    def n_rows(self) -> int:
        return len(self.centred)

    @property
    def n_columns(self) -> int:
        return len(self.mean)

    def solve(self, projected: FloatArray, gram: FloatArray, penalty: float) -> FloatArray:
        """Returns the W that minimises |work - X W loadings'|^2 + penalty |W|^2.

        `projected` is work @ loadings, `gram` loadings' @ loadings.
        """
        strengths, rotation = np.linalg.eigh(gram)
        right = self.axes.T @ (self.centred.T @ projected) @ rotation
        solution = right / (np.outer(self.eigenvalues, np.maximum(strengths, 0)) + penalty)
        weights: FloatArray = self.axes @ solution @ rotation.T
        return weights
