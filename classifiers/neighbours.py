"""The training queries that a decision can be explained by, and how far from them a query is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .families import numbers_of
from .knn import References
from .ridge import FloatArray
from .sparse import Float32Array, IntArray

_MAX_BYTES = 240  # of each query that is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """One training query near the one asked."""

    query: str  # its beginning
    similarity: float  # cosine, in [-1, 1]
    quality: FloatArray  # (n_backends,) NaN = not observed


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """The beginnings of the reference queries, how every backend did on them, and how near they are to each other."""

    references: References
    quality: Float32Array  # (n_references, n_backends) NaN = not observed
    text: NDArray[np.uint8]  # UTF-8, one after the other
    ends: IntArray  # (n_references,)
    closeness: Float32Array  # (n_references,) of each to the nearest that is no twin of it, ascending

    def nearest(self, embedding: Float32Array, *, n: int) -> list[Neighbour]:
        """Returns the n references most like the embedding, (embedding_dim,), nearest first."""
        similarity = self.references.points @ self.references.place(embedding)
        best = np.argsort(-similarity, kind="stable")[:n]
        return [
            Neighbour(query=self._text(row), similarity=float(similarity[row]), quality=self.quality[row].astype(float))
            for row in best
        ]

    def familiarity(self, embeddings: Float32Array) -> FloatArray:
        """Returns for each embedding, (n, embedding_dim), the share of the training queries that are as far from the
        others as it is from them, (n,): the conformal p-value of belonging there.

        Reference: Bates et al. 2023, arXiv:2104.08279, eq. 3; by the nearest neighbour, Sun et al. 2022,
        arXiv:2204.06507.
        """
        found = _closeness(self.references, embeddings)
        n_as_far = np.searchsorted(self.closeness, found, side="right")
        familiarity: FloatArray = (n_as_far + 1) / (len(self.closeness) + 1)
        return familiarity

    def similarity(self, embeddings: Float32Array) -> Float32Array:
        """Returns the cosine of each embedding, (..., embedding_dim), with every reference, (..., n_references)."""
        return _similarity(self.references, embeddings)

    def texts(self) -> list[str]:
        """Returns the beginning of every reference query."""
        return [self._text(row) for row in range(len(self.ends))]

    def _text(self, row: int) -> str:
        start = int(self.ends[row - 1]) if row else 0
        return self.text[start : int(self.ends[row])].tobytes().decode("utf-8")


def keep_neighbours(
    references: References,
    texts: Sequence[str],
    quality: FloatArray,
    embeddings: Float32Array,
    families: Sequence[str] | None = None,
) -> Neighbours:
    """Returns what is kept of the reference queries; queries of one family, by default of one text, are twins."""
    kept = [beginning(texts[row]) for row in references.rows]
    family_of = numbers_of([(families or texts)[row] for row in references.rows])
    return Neighbours(
        references=references,
        quality=quality[references.rows].astype(np.float32),
        text=np.frombuffer(b"".join(kept), dtype=np.uint8).copy(),
        ends=np.cumsum([len(text) for text in kept], dtype=np.int64),
        closeness=np.sort(_closeness(references, embeddings[references.rows], family_of)),
    )


def _closeness(references: References, embeddings: Float32Array, family_of: IntArray | None = None) -> Float32Array:
    """Returns how near each embedding is to the nearest reference, (n,), or to the nearest of another family."""
    found = np.empty(len(embeddings), dtype=np.float32)
    for start in range(0, len(embeddings), 512):
        part = slice(start, start + 512)
        similarity = _similarity(references, embeddings[part])
        if family_of is not None:
            similarity[family_of[part, None] == family_of] = -np.inf
        found[part] = similarity.max(axis=1)
    return found


def _similarity(references: References, embeddings: Float32Array) -> Float32Array:
    """Returns the cosines of embeddings, (..., embedding_dim), with the references, (..., n_references).

    They are those before the reduction to principal axes: what these leave out is what no training query has, so a
    query of which much is lost is far away.
    """
    centred = embeddings - references.mean
    lengths = np.sqrt(np.einsum("...d,...d->...", centred, centred))[..., None]
    similarity = (centred @ references.axes) @ references.points.T
    similarity /= np.maximum(lengths, 1e-9)
    return similarity.astype(np.float32, copy=False)


def beginning(text: str) -> bytes:
    """Returns the first bytes of a text in UTF-8, cut between characters: what is kept of a query."""
    return text[:_MAX_BYTES].encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore").encode()
