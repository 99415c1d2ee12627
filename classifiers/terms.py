"""Word pieces, their neighbours and their places in a query, as hashed terms with tf-idf weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .constant import constant
from .encoders.static import MAX_CHARACTERS
from .sparse import CsrMatrix, Float32Array, IntArray

KeyArray = NDArray[np.uint64]

# Odd 64-bit constants, one a kind of term, so that a pair never meets a single word or a place.
_WORD, _PAIR, _TRIPLE, _PLACE, _SIZE = (
    constant(value, np.uint64)
    for value in (
        0x9E3779B97F4A7C15,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x27D4EB2F165667C5,
        0x85EBCA77C2B2AE63,
    )
)
# So many tokens at either end also count with their place: the opening and the closing words name the task.
_N_PLACES = 4
_SHIFT = constant(29, np.uint64)
_ONE = constant(1, np.uint64)
_UINT64 = 2**64 - 1
# The highest bit of a key tells whose term it is, so that in order those of the words come before those of the frame.
_OF_FRAME = constant(1 << 63, np.uint64)
_OF_WORDS = constant((1 << 63) - 1, np.uint64)
# Powers of an odd number, and those of its inverse: a query has fewer words than signs.
_BASE = 0xE7037ED1A0B428DB
_POWERS, _INVERSES = (
    np.cumprod(np.full(2 * MAX_CHARACTERS, base, dtype=np.uint64)) for base in (_BASE, pow(_BASE, -1, 2**64))
)
# By how often a term occurs. What occurs more often, as a sign that is a sentence does, counts like the last of these.
_DAMPED = 1 + np.log(np.maximum(np.arange(2 * MAX_CHARACTERS), 1))
_PLACES = (np.arange(2 * _N_PLACES, dtype=np.uint64) + _ONE) * _SIZE


def term_keys(tokens: IntArray) -> KeyArray:
    """Returns a 64-bit key for every term of a query, repeats included.

    Terms are single tokens, pairs and triples of neighbours, the first and last four tokens with their place,
    and the size of the query in half powers of two.
    """
    n = len(tokens)
    if n == 0:
        return np.zeros(1, dtype=np.uint64)
    keys, n_grams = _grams(tokens.view(np.uint64), _n_ends(n))
    _put_ends(keys[:n], keys[n_grams:])
    keys ^= keys >> _SHIFT
    keys &= _OF_WORDS
    return keys


def query_keys(tokens: IntArray, frame: KeyArray, sentences: IntArray) -> KeyArray:
    """Returns `term_keys` and a key for every term of the query's frame, a number a word.

    Terms of a frame are words, pairs, triples, and whole sentences; `sentences` tells where each begins, the first at
    0. All are worked out in one go, as if the frame followed the tokens.
    """
    n, n_framed, n_sentences = len(tokens), len(frame), len(sentences)
    if n == 0:
        return np.zeros(1, dtype=np.uint64)
    both = n + n_framed
    keys, n_grams = _grams(np.concatenate([tokens.view(np.uint64), frame]), n_sentences + _n_ends(n))
    words, framed, whole = keys[:n], keys[n:both], keys[n_grams : n_grams + n_sentences]
    # A polynomial over the places in the query, brought to those in the sentence by dividing, modulo 2 ** 64.
    np.add.reduceat(framed * _POWERS[:n_framed], sentences, out=whole)
    whole *= _INVERSES.take(sentences)
    _put_ends(words, keys[n_grams + n_sentences :])
    keys ^= keys >> _SHIFT
    keys &= _OF_WORDS
    pairs, triples = both, 2 * both - 1  # where they begin
    for part in (framed, keys[pairs + n : triples], keys[min(triples + n, n_grams) : n_grams + n_sentences]):
        part |= _OF_FRAME
    # What begins with a token and ends in the frame is no term; the last keys take their places.
    left = len(keys) - 1
    keys[pairs + n - 1] = keys[left]
    for begin in range(max(n - 2, 0), n if n_framed > 1 else n - 1):
        left -= 1
        keys[triples + begin] = keys[left]
    return keys[:left]


def _n_ends(n: int) -> int:
    """Returns how many keys `_put_ends` puts."""
    return 2 * min(n, _N_PLACES) + 1


def _put_ends(words: KeyArray, keys: KeyArray) -> None:
    """Puts the keys of the first and the last words with their places, and of the size of the query."""
    n = len(words)
    ends, places = min(n, _N_PLACES), keys[:-1]
    np.add(words[:ends], _PLACES[:ends], out=places[:ends])
    np.add(words[n - ends :], _PLACES[_N_PLACES : _N_PLACES + ends], out=places[ends:])
    places *= _PLACE
    keys[-1] = (int(2 * math.log2(n)) + 1) * int(_SIZE) & _UINT64


def _grams(numbers: KeyArray, n_more: int) -> tuple[KeyArray, int]:
    """Returns keys of words, pairs and triples, with room for `n_more` behind them, and where that begins."""
    n = len(numbers)
    n_grams = max(3 * n - 3, 1)
    keys = np.empty(n_grams + n_more, dtype=np.uint64)
    words = keys[:n]
    np.add(numbers, _ONE, out=words)
    words *= _WORD
    words ^= words >> _SHIFT
    if n > 1:
        pairs = keys[n : 2 * n - 1]
        np.multiply(words[:-1], _PAIR, out=pairs)
        pairs += words[1:]
        pairs *= _PAIR
    if n > 2:
        triples = keys[2 * n - 1 : n_grams]
        np.multiply(pairs[:-1], _TRIPLE, out=triples)
        triples += words[2:]
        triples *= _TRIPLE
    return keys, n_grams


@dataclass(frozen=True, slots=True, kw_only=True)
class TermVocabulary:
    """The terms that a router knows, with their weights: those of the words first, then those of the frames."""

    keys: KeyArray  # (n_terms,), ascending
    idf: Float32Array  # (n_terms,)
    n_words: int = field(init=False, repr=False, compare=False)  # terms that are of the words
    # Without the last, so that what is beyond it lands on it.
    _but_last: KeyArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n_words", int(self.keys.searchsorted(_OF_FRAME)))
        object.__setattr__(self, "_but_last", self.keys[:-1])

    @classmethod
    def learn(cls, queries: Sequence[KeyArray], *, min_queries: int = 2) -> TermVocabulary:
        """Returns the terms that occur in at least `min_queries` queries, with smoothed inverse frequencies."""
        distinct = [np.unique(keys) for keys in queries]
        keys, counts = np.unique(np.concatenate(distinct), return_counts=True)
        is_kept = counts >= min_queries
        idf = np.log((1 + len(queries)) / (1 + counts[is_kept])) + 1
        return cls(keys=keys[is_kept], idf=idf.astype(np.float32))

    def weigh(self, keys: KeyArray) -> tuple[IntArray, Float32Array, int]:
        """Returns the known terms of one query as columns, ascending, their weights, and how many are of the words.

        Weights are tf-idf, with term frequency damped to 1 + log(count). Those of the words have unit length, those
        of the frame as well.
        """
        if not len(self.keys):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32), 0
        ordered = keys.copy()
        ordered.sort()
        columns = self._but_last.searchsorted(ordered)
        columns = columns[self.keys.take(columns) == ordered]
        if not len(columns):
            return columns, np.empty(0, dtype=np.float32), 0
        ends = (columns[1:] != columns[:-1]).nonzero()[0]  # of runs of equals, but for the last one
        if len(ends) < len(columns) - 1:
            bounds = np.empty(len(ends) + 2, dtype=np.int64)
            bounds[0], bounds[1:-1], bounds[-1] = -1, ends, len(columns) - 1
            last = bounds[1:]
            counts = last - bounds[:-1]
            columns = columns.take(last)
            weights = (_DAMPED.take(counts, mode="clip") * self.idf.take(columns)).astype(np.float32)
        else:
            weights = self.idf.take(columns)
        n_words = int(columns.searchsorted(self.n_words))
        for part in (weights[:n_words], weights[n_words:]):
            if len(part):
                part /= math.sqrt(part.dot(part))
        return columns, weights, n_words

    def matrix(self, queries: Sequence[KeyArray]) -> CsrMatrix:
        """Returns the weights of many queries, (n_queries, n_terms)."""
        rows = [self.weigh(keys) for keys in queries]
        lengths = [len(columns) for columns, _, _ in rows]
        return CsrMatrix(
            indptr=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
            columns=np.concatenate([np.empty(0, dtype=np.int64), *(columns for columns, _, _ in rows)]),
            values=np.concatenate([np.empty(0, dtype=np.float32), *(weights for _, weights, _ in rows)]),
            n_columns=len(self.keys),
        )
