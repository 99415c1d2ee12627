"""The frame of a query: its words with places in the stead of names and numbers, so that like questions look alike.

Whoever Ann and Bob are, *Ann is Bob's parent. Who is Bob?* is *_ is A's parent. Who is A?* A word that few queries have
is a name. One that the question asks about has a place of its own, in the order in which the question names them, for
what matters is what is told of it; all others share one. A number is as good as any other of as many digits.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from .constant import constant
from .encoders.static import load_static
from .sparse import IntArray
from .terms import KeyArray

_COMMON_SHARE = 0.1  # of the queries that have a word, from which on it is no name
# What stands in a frame for a number is how many digits it has, for a name that is not asked about _NAME, and for the
# others numbers from _ASKED on. No word's key is as small.
_NAME, _ASKED = 1 << 20, (1 << 20) + 1
_OTHER, _LETTERS, _DIGITS, _STOP, _QUESTION = range(5)  # kinds of words, by their first piece
_LETTERS_KIND, _DIGITS_KIND = constant(_LETTERS, np.uint8), constant(_DIGITS, np.uint8)
_WORD = np.uint64(0xD6E8FEB86659FD93)
_SHIFT = np.uint64(32)


class FrameReader:
    """Reads frames; `vocabulary` maps word pieces to token ids."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        size = max(vocabulary.values(), default=-1) + 1
        self._is_start = np.ones(size, dtype=bool)  # of a word
        self._kind = np.zeros(size, dtype=np.uint8)
        self._n_digits = np.zeros(size, dtype=np.uint64)
        for piece, token in vocabulary.items():
            signs = piece.removeprefix("##")
            self._is_start[token] = signs == piece
            self._kind[token] = _kind_of(signs)
            self._n_digits[token] = len(signs) if signs.isdecimal() else 0
        self._hashed = (np.arange(size, dtype=np.uint64) + np.uint64(1)) * _WORD
        self._hashed ^= self._hashed >> _SHIFT
        self._hashed *= _WORD

    def words(self, tokens: IntArray) -> KeyArray:
        """Returns a key for each word of a query, (n_words,)."""
        return self._words(tokens, self._starts(tokens)) if len(tokens) else np.empty(0, dtype=np.uint64)

    def read(self, tokens: IntArray, common: KeyArray) -> tuple[KeyArray, IntArray]:
        """Returns the frame of a query, a number a word, and where each of its sentences begins; see `query_keys`.

        `common` are the keys, ascending, of words that are no names.
        """
        if not len(tokens):
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64)
        starts = self._starts(tokens)
        words = self._words(tokens, starts)
        kinds = self._kind.take(tokens.take(starts))
        names = (kinds == _LETTERS_KIND).nonzero()[0]
        known = words.take(names)
        if len(common):
            is_name = common.take(common[:-1].searchsorted(known)) != known
            names, known = names[is_name], known[is_name]

        signs = kinds.tobytes()
        frame = words.copy()
        if len(names):
            begin, end = _question(signs)
            at, said = names.tolist(), known.tolist()
            asked = dict.fromkeys(said[bisect_left(at, begin) : bisect_left(at, end)])
            places = {word: place for place, word in enumerate(asked, start=_ASKED)}
            frame[names] = [places.get(word, _NAME) for word in said] if places else _NAME
        if _DIGITS in signs:
            numbers = (kinds == _DIGITS_KIND).nonzero()[0]
            frame[numbers] = np.add.reduceat(self._n_digits.take(tokens), starts).take(numbers)
        return frame, _sentences(signs)

    def _starts(self, tokens: IntArray) -> IntArray:
        is_start = self._is_start.take(tokens)
        is_start[0] = True
        return is_start.nonzero()[0]

    def _words(self, tokens: IntArray, starts: IntArray) -> KeyArray:
        pieces = self._hashed.take(tokens)
        words: KeyArray = pieces if len(starts) == len(tokens) else np.add.reduceat(pieces, starts)
        return words


def _kind_of(signs: str) -> int:
    if signs in {".", "!"}:
        return _STOP
    if signs == "?":
        return _QUESTION
    return _DIGITS if signs.isdecimal() else _LETTERS if signs.isalpha() else _OTHER


def _sentences(signs: bytes) -> IntArray:
    """Returns where each sentence begins; `signs` are the kinds of all words, a byte a word."""
    ends = [place for place, sign in enumerate(signs[:-1], start=1) if sign >= _STOP]
    return np.array([0, *ends])


def _question(signs: bytes) -> tuple[int, int]:
    """Returns where the last question begins and ends; (0, 0) where nothing is asked."""
    end = signs.rfind(_QUESTION)
    if end < 0:
        return 0, 0
    return max(signs.rfind(_STOP, 0, end), signs.rfind(_QUESTION, 0, end)) + 1, end


def common_words(queries: Sequence[KeyArray]) -> KeyArray:
    """Returns the words, ascending, that so many of the queries have that they are no names."""
    words, counts = np.unique(np.concatenate([np.unique(keys) for keys in queries]), return_counts=True)
    common: NDArray[np.uint64] = words[counts >= max(_COMMON_SHARE * len(queries), 2)]
    return common


@cache
def load_frame_reader() -> FrameReader:
    """Returns the one that reads the tokens of the static encoder; all share it, since it never changes."""
    return FrameReader(load_static().vocabulary)
