"""Word pieces, their neighbours and their places in a query, as hashed terms with tf-idf weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .sparse import CsrMatrix, Float32Array, IntArray

KeyArray = NDArray[np.uint64]

# Odd 64-bit constants, one a kind of term, so that a pair never meets a single word or a place.
_WORD, _PAIR, _TRIPLE, _PLACE, _SIZE = (
    np.uint64(value)
    for value in (
        0x9E3779B97F4A7C15,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x27D4EB2F165667C5,
        0x85EBCA77C2B2AE63,
    )
)
_N_PLACES = 4  # so many tokens at either end also count with their place: the opening and the closing words name the task
_SHIFT = np.uint64(29)
_PLACES = (np.arange(2 * _N_PLACES, dtype=np.uint64) + np.uint64(1)) * _SIZE


def term_keys(tokens: IntArray) -> KeyArray:
    """Returns a 64-bit key for every term of a query, repeats included.

    Terms are single tokens, pairs and triples of neighbours, the first and last four tokens with their place,
    and the size of the query in half powers of two.
    """
    n = len(tokens)
    if n == 0:
        return np.zeros(1, dtype=np.uint64)
    words = (tokens.astype(np.uint64) + np.uint64(1)) * _WORD
    words ^= words >> _SHIFT
    keys = np.empty(3 * n - 2 if n > 1 else 1, dtype=np.uint64)
    keys[:n] = words
    if n > 1:
        pairs = keys[n : 2 * n - 1]
        np.multiply(words[:-1], _PAIR, out=pairs)
        pairs += words[1:]
        pairs *= _PAIR
    if n > 2:
        triples = keys[2 * n - 1 : 3 * n - 3]
        np.multiply(pairs[:-1], _TRIPLE, out=triples)
        triples += words[2:]
        triples *= _TRIPLE
    keys = keys[: 3 * n - 3] if n > 1 else keys
    ends = min(n, _N_PLACES)
    head = (words[:ends] + _PLACES[:ends]) * _PLACE
    tail = (words[n - ends :] + _PLACES[_N_PLACES : _N_PLACES + ends]) * _PLACE
    size = np.array([int(2 * np.log2(n)) + 1], dtype=np.uint64) * _SIZE
    keys = np.concatenate([keys, head, tail, size])
    keys ^= keys >> _SHIFT
    return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class TermVocabulary:
    """The terms that a router knows, with their weights."""

    keys: KeyArray  # (n_terms,), ascending
    idf: Float32Array  # (n_terms,)

    @classmethod
    def learn(cls, queries: Sequence[KeyArray], *, min_queries: int = 2) -> TermVocabulary:
        """Returns the terms that occur in at least `min_queries` queries, with smoothed inverse frequencies."""
        distinct = [np.unique(keys) for keys in queries]
        keys, counts = np.unique(np.concatenate(distinct), return_counts=True)
        is_kept = counts >= min_queries
        idf = np.log((1 + len(queries)) / (1 + counts[is_kept])) + 1
        return cls(keys=keys[is_kept], idf=idf.astype(np.float32))

    def weigh(self, keys: KeyArray) -> tuple[IntArray, Float32Array]:
        """Returns the known terms of one query as columns, ascending, and their tf-idf weights of unit length.

        Term frequency is damped to 1 + log(count).
        """
        if not len(self.keys):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32)
        ordered = np.sort(keys)
        columns = np.searchsorted(self.keys, ordered)
        columns[columns == len(self.keys)] = 0
        columns = columns[self.keys[columns] == ordered]
        if not len(columns):
            return columns, np.empty(0, dtype=np.float32)
        starts = np.flatnonzero(np.concatenate([[True], columns[1:] != columns[:-1]]))
        counts = np.diff(np.append(starts, len(columns)))
        columns = columns[starts]
        weights = ((1 + np.log(counts)) * self.idf[columns]).astype(np.float32)
        weights /= np.sqrt(weights @ weights)
        return columns, weights

    def matrix(self, queries: Sequence[KeyArray]) -> CsrMatrix:
        """Returns the weights of many queries, (n_queries, n_terms)."""
        rows = [self.weigh(keys) for keys in queries]
        lengths = [len(columns) for columns, _ in rows]
        return CsrMatrix(
            indptr=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            columns=np.concatenate([columns for columns, _ in rows]),
            values=np.concatenate([weights for _, weights in rows]),
            n_columns=len(self.keys),
        )
