"""What every head has in common: the scikit-learn contract over query features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Protocol, Self

import numpy as np

from ..backends import ConfigError, resolve
from .errors import FitError
from .features import Features, QueryFeatures
from .ridge import FloatArray
from .sparse import IntArray
from .telling import counting

HEADS = {
    "mean": "penstock.classifiers.mean:MeanHead",
    "linear": "penstock.classifiers.linear:LinearHead",
    "logistic": "penstock.classifiers.logistic:LogisticHead",
    "knn": "penstock.classifiers.knn:KnnHead",
    "cluster": "penstock.classifiers.cluster:ClusterHead",
    "irt": "penstock.classifiers.factors:IrtHead",
    "matrix": "penstock.classifiers.factors:MatrixHead",
    "trees": "penstock.classifiers.trees:TreeHead",
    "mlp": "penstock.classifiers.mlp:MlpHead",
    "contrastive": "penstock.classifiers.contrastive:ContrastiveHead",
    "prior": "penstock.classifiers.prior_head:PriorHead",
    "stack": "penstock.classifiers.stack:StackHead",
    "blend": "penstock.classifiers.blend:BlendHead",
    "finetune": "penstock.classifiers.finetune:FinetuneHead",
}


class Predictor(Protocol):
    """A fitted head, frozen: a dataclass of arrays and numbers that an artefact can hold."""

    def predict(self, features: Features) -> FloatArray:
        """Returns scores, (n_queries, n_backends), not yet calibrated."""
        ...

    def predict_one(self, query: QueryFeatures) -> FloatArray:
        """Returns the scores of one query, (n_backends,), quickly."""
        ...


class Head(Protocol):
    """Learns quality from features. `__init__` stores parameters; `fit` learns `predictor_` and returns self."""

    predictor_: Predictor
    out_of_fold_: FloatArray | None  # (n_queries, n_backends) as each query is predicted by fits that did not see it

    def fit(self, features: Features, quality: FloatArray, folds: IntArray) -> Self:
        """Learns from quality (n_queries, n_backends), NaN = not observed; `folds` numbers the part of each query."""
        ...


def create_head(name: str) -> Head:
    """Returns an unfitted head by its built-in name, `finetune:<folder>`, or `package.module:Class`.

    Raises:
        ConfigError: the name is unknown, or has an argument where none is taken.
    """
    kind, _, argument = name.partition(":")
    if not argument or kind not in HEADS:
        built: Head = resolve(name, HEADS, what="classifier", methods=("fit",))()
        return built
    if kind != "finetune":
        raise ConfigError(f"classifier: {kind!r} takes no argument, got {argument!r}")
    tuned: Head = resolve(kind, HEADS, what="classifier")(argument)
    return tuned


def fit_with_out_of_fold(
    head: Head | str, features: Features, quality: FloatArray, folds: IntArray
) -> tuple[Head, FloatArray]:
    """Returns the head, or the one of that name, fitted on everything, and its out-of-fold scores.

    Raises:
        ConfigError: the name is unknown.
        FitError: the shapes do not fit, or a score is not in [0, 1].
    """
    check_quality(features, quality)
    check_folds(features, folds)
    head = create_head(head) if isinstance(head, str) else head
    head.fit(features, quality, folds)
    if head.out_of_fold_ is not None:
        return head, head.out_of_fold_
    return head, predict_across(
        lambda *part: copy(head).fit(*part).predictor_, features=features, quality=quality, folds=folds
    )


def predict_across(
    learn: Callable[[Features, FloatArray, IntArray], Predictor],
    *,
    features: Features,
    quality: FloatArray,
    folds: IntArray,
) -> FloatArray:
    """Returns the scores of each fold's queries, (n_queries, n_backends), by what is learned from all other folds."""
    scores = np.empty_like(quality)
    means = np.nanmean(quality, axis=0)
    for fold in counting(np.unique(folds), "fold"):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        known = quality[inside]
        is_unseen = ~np.isfinite(known).any(axis=0)  # a backend with few scores may have them all in one fold
        known[:, is_unseen] = means[is_unseen]
        predictor = learn(features.take(inside), known, folds[inside])
        scores[outside] = predictor.predict(features.take(outside))
    return scores


def assign_folds(groups: Sequence[object], *, n_folds: int, seed: int) -> IntArray:
    """Returns a fold number for each query, (n_queries,); queries of one group share a fold.

    Raises:
        FitError: there are fewer groups than folds, or fewer than two folds.
    """
    if n_folds < 2:
        raise FitError(f"n_folds: expected at least 2, got {n_folds}")
    names = [str(group) for group in groups]
    distinct = {name: place for place, name in enumerate(sorted(set(names)))}
    if len(distinct) < n_folds:
        raise FitError(f"{len(distinct)} distinct queries are too few for {n_folds} folds; expected at least {n_folds}")
    order = np.random.default_rng(seed).permutation(len(distinct))
    fold_of_group = np.empty(len(distinct), dtype=np.int64)
    fold_of_group[order] = np.arange(len(distinct)) % n_folds
    folds: IntArray = fold_of_group[[distinct[name] for name in names]]
    return folds


def check_quality(features: Features, quality: FloatArray) -> None:
    """Refuses a matrix of the wrong shape, out of range, or with a backend that nothing was observed of.

    Raises:
        FitError: one of these.
    """
    if quality.ndim != 2 or len(quality) != features.n_queries or not quality.shape[1]:
        raise FitError(f"quality: expected shape ({features.n_queries}, n_backends), got {quality.shape}")
    observed = np.isfinite(quality)
    if np.isinf(quality).any() or (quality[observed] < 0).any() or (quality[observed] > 1).any():
        raise FitError("quality: expected scores in [0, 1], NaN where a backend was not asked")
    if not observed.any(axis=0).all():
        missing = np.flatnonzero(~observed.any(axis=0)).tolist()
        raise FitError(f"quality: no score at all for backend column(s) {missing}")


def check_folds(features: Features, folds: IntArray) -> None:
    """Refuses fold numbers that leave a query out, or that leave nothing to learn from.

    Raises:
        FitError: one of these.
    """
    n = features.n_queries
    if folds.shape != (n,) or len(np.unique(folds)) < 2:
        raise FitError(f"folds: expected shape ({n},) and at least two different folds, got {folds.shape}")


def fill_missing(values: FloatArray) -> FloatArray:
    """Returns the matrix with each unobserved cell replaced by an additive guess: its column's mean plus what its
    row does above the means of the columns it was observed in, shrunk by how few these are.

    >>> fill_missing(np.array([[1.0, np.nan], [0.0, 0.0], [1.0, 1.0]])).round(2).tolist()
    [[1.0, 0.67], [0.0, 0.0], [1.0, 1.0]]
    """
    observed = np.isfinite(values)
    if observed.all():
        return values
    counts = observed.sum(0)
    totals = np.where(observed, values, 0).sum(0)
    overall = totals.sum() / max(counts.sum(), 1)
    means = np.where(counts > 0, totals / np.maximum(counts, 1), overall)
    surplus = np.where(observed, values - means, 0).sum(1) / (observed.sum(1) + 1)
    guess = means + surplus[:, None]
    low, high = np.nanmin(values), np.nanmax(values)
    return np.where(observed, values, np.clip(guess, low, high))
