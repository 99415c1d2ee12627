"""How an answer is written: its words, and whence its numbers come, in the light of those of graded answers."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import ClassVar, Protocol

import numpy as np

from ..backends import Completion, Query
from .features import Features
from .ridge import FloatArray, term_ridge_path
from .sample import sample
from .signals.numbers import kept_numbers
from .sparse import CsrMatrix, Float32Array, IntArray
from .telling import counting
from .terms import KeyArray, TermVocabulary, term_keys

_MAX_CHARACTERS = 6_000  # of the end of an answer; its working is there, and requests wait
_MAX_QUESTION = 20_000
_WORD = re.compile(r"\d+(?:,\d+)*(?:\.\d+)?|[^\W\d_]+|[^\w\s]")
_PENALTY = 3.0  # rows have unit length; anything from 1 to 6 tells the same
_MIN_FOLDS = 3
_MOST_ANSWERS = 20_000  # that are learned from; more would take long and tell the same
_AT_ONCE = 10_000  # of the others, that are scored together
_MIN_ANSWERS = 8  # that have a term; rarer ones tell nothing more, and are many


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrasing:
    """A signal that is learned: a linear score of the words of an answer, and of their pairs and triples.

    A number counts as where it comes from: the question, the answer so far, or nowhere before. So a step is read as
    what is done, whatever the figures: `#asked * #asked = #new`.
    """

    names: ClassVar[tuple[str, ...]] = ("score",)
    needs: ClassVar[str] = "text"

    keys: KeyArray  # (n_terms,), ascending
    idf: Float32Array  # (n_terms,)
    weights: Float32Array  # (n_terms,)
    intercept: float
    _vocabulary: TermVocabulary = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_vocabulary", TermVocabulary(keys=self.keys, idf=self.idf))

    def read(self, query: Query, completion: Completion) -> tuple[float]:
        """Returns how much likelier to be right an answer is that is written so, from about -1 to 1."""
        return (self.score(phrase_keys(query, completion)),)

    def score(self, keys: KeyArray) -> float:
        """Returns the same for an answer of these terms."""
        columns, values, _ = self._vocabulary.weigh(keys)
        return float(values.dot(self.weights.take(columns))) + self.intercept


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPhrasing:
    """A phrasing, and its scores for the answers it was learned from.

    `scores` are out of fold twice over, for what is learned from them to be judged out of fold: row k holds, for the
    answers of fold k, what is learned from all other folds, and for those of any other fold what is learned without
    that one and k.
    """

    phrasing: Phrasing
    scores: FloatArray  # (n_folds, n_answers)
    out_of_fold: FloatArray  # (n_answers,)


def phrase_keys(query: Query, completion: Completion) -> KeyArray:
    """Returns a 64-bit key for every term of an answer, repeats included."""
    said = f"{completion.reasoning}\n{completion.text}" if completion.reasoning else completion.text
    words = phrase_words(query.text, said[-_MAX_CHARACTERS:])
    return term_keys(np.array([*map(_number_of, words)], dtype=np.int64))


def phrase_words(question: str, said: str) -> list[str]:
    """Returns the words and signs of a text, with its numbers told by whence they come.

    >>> phrase_words("3 boxes of 4 eggs each?", "3 * 4 = 12 eggs, 12 in all.")
    ['#asked', '*', '#asked', '=', '#new', 'eggs', ',', '#said', 'in', 'all', '.']
    """
    known = dict.fromkeys(map(abs, kept_numbers(question[:_MAX_QUESTION])), "#asked")
    words = _WORD.findall(said.lower())
    for place, word in enumerate(words):
        if "0" <= word < ":":  # it begins with a digit
            number = float(word.replace(",", ""))
            source = known.get(number)
            if source is None:
                source = "#new"
                known[number] = "#said"
            words[place] = source + "." if "." in word else source
    return words


class Phrases(Protocol):
    """The terms of many answers, as `phrase_keys` gives them: a list, or something that works them out."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> KeyArray: ...


def fit_phrasing(answers: Phrases, labels: FloatArray, backend_of: IntArray, folds: IntArray) -> FittedPhrasing | None:
    """Returns the phrasing of graded answers; None where there are too few folds.

    Ridge regression on how far each answer is above the mean of its backend. Of many answers most are only scored, some
    at a time: the terms of all would take more memory than all else.
    """
    present, fold_of = np.unique(folds, return_inverse=True)
    n_folds = len(present)
    if n_folds < _MIN_FOLDS:
        return None
    read = sample(len(answers), _MOST_ANSWERS)
    said = [answers[row] for row in counting(read.tolist(), "wording of answer")]
    vocabulary = TermVocabulary.learn(said, min_queries=_MIN_ANSWERS)
    terms = vocabulary.matrix(said)
    n_backends = int(backend_of.max()) + 1

    def fit(left_out: Sequence[int]) -> tuple[Float32Array, float]:
        kept = np.flatnonzero(~np.isin(fold_of[read], left_out))
        rows = read[kept]
        counts = np.bincount(backend_of[rows], minlength=n_backends)
        means = np.bincount(backend_of[rows], weights=labels[rows], minlength=n_backends) / np.maximum(counts, 1)
        excess = (labels[rows] - means[backend_of[rows]])[:, None]
        fitted = term_ridge_path(_features(terms.take(kept)), excess, [_PENALTY], with_dense=False)[0]
        return fitted.term_weights, float(fitted.intercept[0])

    pairs = [*combinations(range(n_folds), 1), *combinations(range(n_folds), 2)]
    fitted = {left_out: fit(left_out) for left_out in counting(pairs, "wording, fit")}
    scores = np.empty((n_folds, len(labels)))

    def score(rows: IntArray, terms: CsrMatrix) -> None:
        for left_out, (weights, intercept) in fitted.items():
            for fold, other in {(left_out[0], left_out[-1]), (left_out[-1], left_out[0])}:
                held_out = np.flatnonzero(fold_of[rows] == other)
                scores[fold, rows[held_out]] = terms.take(held_out).dot(weights)[:, 0] + intercept

    score(read, terms)
    others = np.setdiff1d(np.arange(len(labels)), read)
    for start in counting(range(0, len(others), _AT_ONCE), "wording of the other answers, part"):
        rows = others[start : start + _AT_ONCE]
        score(rows, vocabulary.matrix([answers[row] for row in rows.tolist()]))
    weights, intercept = fit(())
    phrasing = Phrasing(keys=vocabulary.keys, idf=vocabulary.idf, weights=weights[:, 0].copy(), intercept=intercept)
    return FittedPhrasing(phrasing=phrasing, scores=scores, out_of_fold=scores[fold_of, np.arange(len(labels))])


def _features(terms: CsrMatrix) -> Features:
    """Returns the features of texts of which nothing but terms is read."""
    nothing = np.empty((terms.n_rows, 0), dtype=np.float32)
    return Features(
        dense=nothing,
        terms=terms,
        n_words=terms.n_columns,
        embedding_dim=0,
        surface_scale=np.empty(0, dtype=np.float32),
        texts=(),
    )


@lru_cache(maxsize=50_000)
def _number_of(word: str) -> int:
    """Returns the number that stands for a word, the same in every process."""
    return zlib.crc32(word.encode("utf-8", "replace"))
