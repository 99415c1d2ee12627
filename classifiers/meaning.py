"""Whether two answers without a short final answer mean the same: how alike they are, and what that has told so far.

Two right answers to one question mean the same, a right one and a wrong one do not. So what likeness tells is learned
from pairs of graded answers: it is the odds that both are right rather than one of them, over the odds without looking.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .encoders import Encoder
    from .ridge import FloatArray
    from .sparse import Float32Array

LIKENESS = ("cosine", "end_cosine", "words", "figures", "end_figures")

_END = 200  # signs of an answer, where it concludes
_MOST = 8000  # signs of an answer whose words are looked at, its last ones
_WORD = re.compile(r"[^\W\d_]{3,}")
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")
_LEAST = 1e-6
_CLIP = 4.0  # log-odds that likeness alone may tell


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InWords:
    """What an answer says that the question does not, as far as another answer may say the same."""

    whole: Float32Array  # (dim,) of unit length, at right angles to the question
    end: Float32Array  # likewise
    words: frozenset[str]
    figures: frozenset[str]
    end_figures: frozenset[str]


UNLIKE_ALL = InWords(
    whole=np.zeros(1, dtype=np.float32),
    end=np.zeros(1, dtype=np.float32),
    words=frozenset(),
    figures=frozenset(),
    end_figures=frozenset(),
)  # an answer that is like no other


def read_words(question: str, texts: Sequence[str], encoder: Encoder) -> list[InWords | None]:
    """Returns what each of these answers to a question says in words, None where one says nothing."""
    ends = [text[-_END:] for text in texts]
    asked, *said = encoder.encode([question, *texts, *ends])
    known = question.lower()
    known_words, known_figures = frozenset(_WORD.findall(known)), frozenset(_FIGURE.findall(known))
    found: list[InWords | None] = []
    for place, (text, end) in enumerate(zip(texts, ends, strict=True)):
        read = text[-_MOST:].lower()
        words = InWords(
            whole=_beyond(said[place], asked),
            end=_beyond(said[len(texts) + place], asked),
            words=frozenset(_WORD.findall(read)) - known_words,
            figures=frozenset(_FIGURE.findall(read)) - known_figures,
            end_figures=frozenset(_FIGURE.findall(end)),
        )
        found.append(words if text.strip() else None)
    return found


def likeness(one: InWords, other: InWords) -> FloatArray:
    """Returns how alike two answers are, (5,), in the order of LIKENESS.

    The cosines are partial ones: that both speak of what was asked does not count.
    """
    return np.array(
        [
            _cosine(one.whole, other.whole),
            _cosine(one.end, other.end),
            _in_common(one.words, other.words),
            _in_common(one.figures, other.figures),
            _in_common(one.end_figures, other.end_figures),
        ]
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Meaning:
    """What likeness tells, learned from training traces.

    `power` in [0, 1] is the share of the variance of sameness that it explains, out of fold; `collision` are intercept
    and slope as those of `Escalation`, of wrong answers that mean the same.
    """

    mean: FloatArray  # (5,)
    scale: FloatArray  # (5,) 1 / standard deviation, 0 where it never varies
    weights: FloatArray  # (5,)
    intercept: float
    power: float
    collision: FloatArray  # (2,)

    def log_odds(self, alike: FloatArray) -> FloatArray:
        """Returns by how much the log-odds that answers so alike, (..., 5), mean the same are above those of any."""
        logits = (alike - self.mean) * self.scale @ self.weights + self.intercept
        clipped: FloatArray = np.minimum(np.maximum(logits, -_CLIP), _CLIP)
        return clipped


def log_odds_of_pairs(meaning: Meaning, answers: Sequence[InWords]) -> FloatArray:
    """Returns the log-odds of `Meaning` for every two of the answers, (n, n)."""
    return meaning.log_odds(np.array([[likeness(one, other) for other in answers] for one in answers]))


def _beyond(vector: Float32Array, question: Float32Array) -> Float32Array:
    """Returns the part of a vector that the question does not explain, of unit length; zeros where there is none."""
    rest = vector - float(vector @ question) * question
    length = float(np.sqrt(rest @ rest))
    return (rest / length if length > _LEAST else np.zeros_like(rest)).astype(np.float32)


def _cosine(one: Float32Array, other: Float32Array) -> float:
    return float(one @ other) if len(one) == len(other) else 0.0  # `UNLIKE_ALL` has no direction


def _in_common(one: frozenset[str], other: frozenset[str]) -> float:
    """Returns the share that two sets have in common, drawn to a half where they are small."""
    n_common = len(one & other)
    return (n_common + 0.5) / (len(one) + len(other) - n_common + 1)
