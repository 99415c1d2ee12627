"""Hand-over: what comes of giving a backend another one's answer as a draft to check, learned from traces of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .logistic import fit_logistic, sigmoid

if TYPE_CHECKING:
    from .estimates import Estimates
    from .ridge import FloatArray

MIN_SEEN = 30  # graded answers to one backend's drafts, below which nothing is said of them
_PENALTIES = np.array([1.0, 1.0, 1e-3])
_EDGE = 0.01  # chances are kept this far from 0 and 1: beyond, few traces tell


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """P(a checked answer is correct), from how hard the query is and how likely the draft was to be; and what it takes.

    If the draft was right, the answer of the one who checked it is likely to be, by more than the ease of the query
    explains; how much more, a logistic model of two numbers says, one for each backend that checks. Cost, tokens and
    latency are proportional to the mean of what is expected of the others: what is long elsewhere is long here.
    """

    checkers: tuple[str, ...]
    drafters: tuple[str, ...]
    is_seen: NDArray[np.bool_]  # (n_checkers, n_drafters) whether traces tell enough of this one's drafts there
    weights: FloatArray  # (n_checkers, 3) of the log-odds of an easy query and of a right draft, and the constant
    ratio: FloatArray  # (n_checkers, 3) cost, tokens, latency by the mean of the others'; NaN: not known
    draft_tokens: FloatArray  # (n_checkers,) mean length of the drafts

    def quality(self, difficulty: float, confidence: FloatArray) -> FloatArray:
        """Returns P(correct) of every checker for drafts of these chances to be, (n_checkers, n_drafts)."""
        return sigmoid(self.weights @ _features(np.full(confidence.shape, difficulty), confidence).T)

    def expect(self, known: Estimates) -> FloatArray:
        """Returns quality, cost, tokens and latency of every checker before any call, (4, n_checkers).

        `known` has the drafters; each draft is as likely to be right as is expected of its backend, and one is as
        likely to be given as another.
        """
        places = [known.backends.index(name) for name in self.drafters]
        chances = self.quality(known.difficulty, known.quality[places])
        quality = np.where(self.is_seen, chances, 0.0).sum(axis=1) / self.is_seen.sum(axis=1)
        taken = np.stack([known.cost_usd, known.output_tokens, known.latency_s])
        levels = level_of(taken[:, places])
        return np.concatenate([quality[None], (self.ratio * levels).T])


def level_of(expected: FloatArray) -> FloatArray:
    """Returns the mean of what is expected of the backends, along the last axis; NaN where nothing is known."""
    is_known = np.isfinite(expected)
    n_known = is_known.sum(axis=-1)
    total = np.where(is_known, expected, 0.0).sum(axis=-1)
    level: FloatArray = np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)
    return level


def fit_handover(
    *,
    checkers: Sequence[str],
    drafters: tuple[str, ...],
    difficulty: FloatArray,
    confidence: FloatArray,
    scores: FloatArray,
    taken: FloatArray,
    levels: FloatArray,
    draft_tokens: FloatArray,
    checker_of: Sequence[str],
    drafter_of: Sequence[str],
) -> HandOver | None:
    """Returns what checked drafts teach; None where they are too few.

    A row a checked draft: `difficulty` of the query and `confidence` in the draft, out of fold, `scores` in [0, 1],
    `taken` (n_rows, 3) cost, tokens and latency, NaN = not known, `levels` (n_rows, 3) the mean of what was expected
    of the others, out of fold.
    """
    found = []
    is_of = np.array(drafter_of)
    for name in checkers:
        rows = np.array(checker_of) == name
        is_seen = np.array([(rows & (is_of == drafter)).sum() >= MIN_SEEN for drafter in drafters])
        rows &= np.isin(is_of, [drafter for drafter, seen in zip(drafters, is_seen, strict=True) if seen])
        if rows.any():
            weights = fit_logistic(_features(difficulty[rows], confidence[rows]), scores[rows], _PENALTIES)
            found.append((name, is_seen, weights, _ratio(taken[rows], levels[rows]), float(draft_tokens[rows].mean())))
    if not found:
        return None
    names, seen, weights_of, ratios, tokens = zip(*found, strict=True)
    return HandOver(
        checkers=names,
        drafters=drafters,
        is_seen=np.stack(seen),
        weights=np.stack(weights_of),
        ratio=np.stack(ratios),
        draft_tokens=np.array(tokens),
    )


def _ratio(taken: FloatArray, levels: FloatArray) -> FloatArray:
    """Returns what was taken by what was expected of the others, (3,); NaN where either is not known."""
    is_known = np.isfinite(taken) & np.isfinite(levels)
    total, expected = (np.where(is_known, values, 0.0).sum(axis=0) for values in (taken, levels))
    is_said = is_known.any(axis=0) & ((expected > 0) | (total == 0))
    ratio: FloatArray = np.where(is_said, total / np.where(expected > 0, expected, 1.0), np.nan)
    return ratio


def _features(difficulty: FloatArray, confidence: FloatArray) -> FloatArray:
    return np.stack([_log_odds(1 - difficulty), _log_odds(confidence), np.ones(len(confidence))], axis=1)


def _log_odds(chance: FloatArray) -> FloatArray:
    clipped = np.minimum(np.maximum(chance, _EDGE), 1 - _EDGE)
    odds: FloatArray = np.log(clipped / (1 - clipped))
    return odds
