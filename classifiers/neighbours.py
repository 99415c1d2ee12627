"""The training queries that a decision can be explained by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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
    """The beginnings of the reference queries and how every backend did on them."""

    references: References
    quality: Float32Array  # (n_references, n_backends) NaN = not observed
    text: NDArray[np.uint8]  # UTF-8, one after the other
    ends: IntArray  # (n_references,)

    def nearest(self, embedding: Float32Array, *, n: int) -> list[Neighbour]:
        """Returns the n references most like the embedding, (embedding_dim,), nearest first."""
        similarity = self.references.points @ self.references.place(embedding)
        best = np.argsort(-similarity, kind="stable")[:n]
        return [
            Neighbour(query=self._text(row), similarity=float(similarity[row]), quality=self.quality[row].astype(float))
            for row in best
        ]

    def _text(self, row: int) -> str:
        start = int(self.ends[row - 1]) if row else 0
        return self.text[start : int(self.ends[row])].tobytes().decode("utf-8")


def keep_neighbours(references: References, texts: Sequence[str], quality: FloatArray) -> Neighbours:
    """Returns what is kept of the reference queries."""
    kept = [_beginning(texts[row]) for row in references.rows]
    return Neighbours(
        references=references,
        quality=quality[references.rows].astype(np.float32),
        text=np.frombuffer(b"".join(kept), dtype=np.uint8).copy(),
        ends=np.cumsum([len(text) for text in kept], dtype=np.int64),
    )


def _beginning(text: str) -> bytes:
    """Returns the first bytes of a text in UTF-8, cut between characters."""
    return text[:_MAX_BYTES].encode("utf-8", "replace")[:_MAX_BYTES].decode("utf-8", "ignore").encode()
