"""Queries with a known secret: some words make them hard, and every backend minds that differently."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from penstock.classifiers import Features, Featurizer, QueryModel, assign_folds, create_head, fit_cost
from penstock.classifiers.calibration import fit_calibration
from penstock.classifiers.difficulty import fit_ability
from penstock.classifiers.features import QueryFeatures
from penstock.classifiers.knn import choose_references
from penstock.classifiers.neighbours import keep_neighbours
from penstock.classifiers.ridge import FloatArray
from penstock.classifiers.sparse import CsrMatrix, IntArray
from penstock.classifiers.uncertainty import fit_uncertainty

# fmt: off
_FILL = (
    "the", "river", "runs", "past", "an", "old", "stone", "house", "where", "seven", "people", "grow", "apples", "and",
    "sell", "bread", "on", "market", "day",
)
# fmt: on
_EASY = ("name", "list", "capital", "colour", "animal", "fruit")
_HARD = ("prove", "integral", "theorem", "polynomial", "eigenvalue", "convergent")
_RIGHT_IF_EASY = (0.9, 0.95, 0.95)  # P(correct), a number a backend
_RIGHT_IF_HARD = (0.1, 0.5, 0.9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    texts: tuple[str, ...]
    is_hard: IntArray  # (n_queries,)
    quality: FloatArray  # (n_queries, n_backends)
    features: Features
    folds: IntArray

    def part(self, rows: IntArray) -> Planted:
        return Planted(
            texts=tuple(self.texts[row] for row in rows),
            is_hard=self.is_hard[rows],
            quality=self.quality[rows],
            features=self.features.take(rows),
            folds=self.folds[rows],
        )


@cache
def _read(n: int, seed: int) -> tuple[tuple[str, ...], IntArray, Featurizer, Features]:
    rng = np.random.default_rng(seed)
    is_hard = rng.integers(0, 2, n)
    texts = []
    for hard in is_hard:
        words = [*rng.choice(_FILL, 8), *rng.choice(_HARD if hard else _EASY, 3)]
        rng.shuffle(words)
        texts.append(" ".join(words) + "?")
    featurizer, features = Featurizer().fit_transform(texts)
    return tuple(texts), is_hard, featurizer, features


def plant(n: int = 400, *, n_backends: int = 2, seed: int = 0) -> Planted:
    """Returns queries whose words tell how likely each backend is right."""
    texts, is_hard, _, features = _read(n, seed)
    right = np.where(is_hard[:, None], _RIGHT_IF_HARD[:n_backends], _RIGHT_IF_EASY[:n_backends])
    quality = (np.random.default_rng(seed + 1).random(right.shape) < right).astype(float)
    folds = assign_folds(texts, n_folds=4, seed=seed)
    return Planted(texts=texts, is_hard=is_hard, quality=quality, features=features, folds=folds)


def scatter(n: int = 400, *, n_backends: int = 2, seed: int = 0) -> Planted:
    """Returns the same queries with outcomes that have nothing to do with them."""
    planted = plant(n, n_backends=n_backends, seed=seed)
    noise = (np.random.default_rng(seed + 2).random(planted.quality.shape) < 0.6).astype(float)
    return Planted(
        texts=planted.texts, is_hard=planted.is_hard, quality=noise, features=planted.features, folds=planted.folds
    )


def query_of(features: Features, row: int) -> QueryFeatures:
    """Returns one row as `transform_one` gives it."""
    start, end = features.terms.indptr[row : row + 2]
    return QueryFeatures(
        dense=features.dense[row],
        columns=features.terms.columns[start:end],
        weights=features.terms.values[start:end],
        n_words=int((features.terms.columns[start:end] < features.n_words).sum()),
        n_tokens=1,
        embedding_dim=features.embedding_dim,
        text=features.texts[row],
    )


def features_of(dense: FloatArray, *, embedding_dim: int, texts: Sequence[str] | None = None) -> Features:
    """Returns features without any term."""
    n = len(dense)
    no_terms = CsrMatrix(
        indptr=np.zeros(n + 1, dtype=np.int64),
        columns=np.empty(0, dtype=np.int64),
        values=np.empty(0, dtype=np.float32),
        n_columns=0,
    )
    return Features(
        dense=dense.astype(np.float32),
        terms=no_terms,
        n_words=0,
        embedding_dim=embedding_dim,
        surface_scale=np.zeros(dense.shape[1] - embedding_dim, dtype=np.float32),
        texts=("",) * n if texts is None else tuple(texts),
    )


def model_of(n: int = 120, *, head: str = "linear", seed: int = 0) -> QueryModel:
    """Returns a small fitted model of three backends: small, mid and lrm."""
    planted = plant(n, n_backends=3, seed=seed)
    featurizer = _read(n, seed)[2]
    fitted = create_head(head).fit(planted.features, planted.quality, planted.folds)
    scores = fitted.predictor_.predict(planted.features) if fitted.out_of_fold_ is None else fitted.out_of_fold_
    calibration, calibrated = fit_calibration(scores, planted.quality, planted.folds)
    quantities = np.full((n, 3, 3), np.nan)
    quantities[:, 0] = np.array([1e-5, 1e-4, 1e-3]) * (1 + planted.is_hard[:, None])
    cost, _ = fit_cost(planted.features, quantities, planted.folds)
    neighbours = keep_neighbours(
        choose_references(planted.features, seed=seed), planted.texts, planted.quality, planted.features.embedding
    )
    return QueryModel(
        backends=("small", "mid", "lrm"),
        encoder="static",
        encoder_id=featurizer.encoder_id,
        surface_mean=featurizer.surface_mean_,
        surface_scale=featurizer.surface_scale_,
        common_words=featurizer.common_words_,
        term_keys=featurizer.term_keys_,
        term_idf=featurizer.term_idf_,
        classifier=head,
        quality=fitted.predictor_,
        calibration=calibration,
        ability=fit_ability(calibrated),
        mean_quality=calibrated.mean(axis=0),
        cost=cost,
        neighbours=neighbours,
        uncertainty=fit_uncertainty(
            neighbours, planted.features.embedding, calibrated, planted.quality, planted.folds, planted.texts
        ),
    )
