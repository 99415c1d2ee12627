"""How sure an estimate of quality is: the more labelled queries there are near a query, the surer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .families import numbers_of
from .neighbours import Neighbours
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

_REACH = 1.5  # usual distances to the nearest training query, at which a label counts 1/e
_N_PAIRS = 4  # of each query, with those nearest to it
_LEAST = 0.5  # over the root of the labels of a backend: the share of a label's variance that stays open at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """The variance of an estimate q, held against the share of right answers to queries like this one.

    It is scale * q (1 - q) / sqrt(1 + n), where n is how many labels of that backend there are on such queries, nearer
    ones counting more.
    """

    width: float  # the distance, 1 - cosine, at which a label counts 1/e
    scale: float

    def standard_error(self, quality: FloatArray, similarity: Float32Array, is_labelled: FloatArray) -> FloatArray:
        """Returns the standard errors of estimates, (..., n_backends).

        `similarity` is (..., n_references) and `is_labelled` (n_references, n_backends), 1 or 0.
        """
        errors: FloatArray = np.sqrt(self.scale * _shape(quality, _closeness(similarity, self.width) @ is_labelled))
        return errors


def fit_uncertainty(
    neighbours: Neighbours,
    embeddings: Float32Array,
    estimates: FloatArray,
    quality: FloatArray,
    folds: IntArray,
    families: Sequence[str],
) -> Uncertainty:
    """Returns how sure estimates are, by how wrong they were out of fold where queries are alike.

    All rows are those of the training queries: `estimates` out of fold and `quality`, NaN = not observed, are
    (n_queries, n_backends).

    One outcome does not tell how wrong its estimate is: the mean squared residual of a calibrated estimate q is
    q (1 - q), however little it knows. But two outcomes are each their own throw of the dice, so what the residuals of
    two queries alike have in common is the error of the estimates: the covariance at short distance, without the nugget
    (Matheron 1963, "Principles of geostatistics", Economic Geology 58). The pairs are of one fold, so that the fit saw
    neither.
    It is somewhat too small, as near is not the same, and noisy: what is taken is two standard errors above it, and at
    least a share that falls with the root of the number of labels.
    """
    rows = neighbours.references.rows
    embeddings, estimates, folds = embeddings[rows], estimates[rows], folds[rows]
    residuals = np.nan_to_num(quality[rows] - estimates)
    is_labelled = np.isfinite(quality[rows]).astype(float)
    family_of = numbers_of([families[row] for row in rows])

    width = max(_REACH * float(np.median(1 - neighbours.closeness)), 1e-6)
    similarity = neighbours.similarity(embeddings)
    is_same_fold = folds[:, None] == folds
    shape = _shape(estimates, np.where(is_same_fold, 0.0, _closeness(similarity, width)) @ is_labelled)

    similarity[~is_same_fold | (family_of[:, None] == family_of)] = -np.inf
    n_pairs = min(_N_PAIRS, len(rows) - 1)
    shared, expected = np.zeros(len(rows)), np.zeros(len(rows))  # a query each
    roots = np.sqrt(shape) * is_labelled
    nearest = np.argpartition(-similarity, n_pairs, axis=1)[:, :n_pairs]
    for others in nearest.T:
        is_pair = np.isfinite(similarity[np.arange(len(rows)), others])[:, None]
        shared += (is_pair * residuals * residuals[others]).sum(axis=1)
        expected += (is_pair * roots * roots[others]).sum(axis=1)

    n_labels = float(np.isfinite(quality).sum(axis=0).mean())
    least = _LEAST / n_labels**0.5 * float((estimates * (1 - estimates)).mean() / shape.mean())
    total = float(expected.sum())
    if not total:
        return Uncertainty(width=width, scale=least)
    found = float(shared.sum()) / total
    noise = float(np.sqrt(2 * np.square(shared - found * expected).sum())) / total  # each pair counts about twice
    return Uncertainty(width=width, scale=max(least, found + 2 * noise))


def _closeness(similarity: Float32Array, width: float) -> FloatArray:
    """Returns what a label at each similarity counts, from 0 to 1."""
    closeness: FloatArray = np.exp(-np.square((1 - similarity.astype(float)) / width))
    return closeness


def _shape(quality: FloatArray, n_near: FloatArray) -> FloatArray:
    """Returns the variances of estimates, but for the scale."""
    shape: FloatArray = quality * (1 - quality) / np.sqrt(1 + n_near)
    return shape
