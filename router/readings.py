"""How answers may be read: which of those in words mean the same, and whether the next ones will be compared.

Of answers with a short final form it is known which are the same. Of answers in words it is not, but likeness tells
something, so every way in which they may fall together is thought through, as likely as the answers and their likeness
make it. In each it is then known, and everything else is as it is for final answers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..classifiers.final_answer import FinalAnswer
from ..classifiers.meaning import InWords, log_odds_of_pairs
from .belief import KEPT, Evidence, belief_of, evidence_of
from .outcomes import partitions_of
from .outlook import FloatArray, Outlook, Tried

MOST_COMPARED = 4  # answers in words, the first ones; they may fall together in 15 ways
_RARE = 0.02  # a share of what may be that is not worth a thought


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One way to read the answers, in which it is known which of them are the same."""

    share: float  # how likely it is; those of all readings sum to 1
    evidence: Evidence
    is_compared: bool  # whether it will be known of the next answers, too


def confidences(outlook: Outlook, tried: tuple[Tried, ...]) -> FloatArray:
    """Returns P(right) of every answer but the drafts that were checked, in the light of all of them, (n_answers,)."""
    readings = readings_of(evidence_of(outlook, tried))
    told = [[reading.share * chance for chance in belief_of(reading.evidence).confidence] for reading in readings]
    chances: FloatArray = np.array(told).sum(axis=0)
    return chances


def likeliest(outlook: Outlook, tried: tuple[Tried, ...]) -> tuple[int, list[float]]:
    """Returns the number of the answer to return, and P(right) of all of them.

    Of equals it is the one that looked best by itself, then the latest; never one that was given up, nor a draft that
    was checked, of which nothing is known but how likely it looked by itself.
    """
    standing = [number for number, call in enumerate(tried) if not call.is_checked]
    together = [call.alone for call in tried]
    if len(standing) > 1:
        for number, chance in zip(standing, confidences(outlook, tried).tolist(), strict=True):
            together[number] = round(chance, 12)
    whole = [number for number in standing if not tried[number].is_given_up]
    return max(whole, key=lambda number: (together[number], tried[number].confidence, number)), together


@lru_cache(maxsize=KEPT)
def readings_of(evidence: Evidence) -> tuple[Reading, ...]:
    """Returns every reading of some share.

    Final answers and answers in words are not held against each other: where there is one of the former, those in words
    stand alone. Likeness that tells only so much of sameness is planned with as if it told all, so much of the time.
    """
    meaning = evidence.meaning
    power = meaning.power if meaning is not None else 0.0
    answers = [call.answer for call in evidence.tried]
    if any(isinstance(answer, FinalAnswer) for answer in answers):
        return (Reading(share=1.0, evidence=evidence, is_compared=True),)
    if meaning is not None and any(isinstance(answer, InWords) for answer in answers):
        ways = _in_words(evidence)
        found = [(share * power, read, True) for share, read in ways]
        found += [(share * (1 - power), read, False) for share, read in ways]
    elif evidence.tried:
        found = [(1.0, evidence, False)]
    else:
        in_words = evidence if meaning is None else replace(evidence, collision=tuple(meaning.collision.tolist()))
        left = 1 - evidence.comparable
        found = [(evidence.comparable, evidence, True), (left * power, in_words, True)]
        found.append((left * (1 - power), evidence, False))
    kept = [each for each in found if each[0] >= _RARE]
    total = sum(share for share, _, _ in kept)
    return tuple(
        Reading(share=share / total, evidence=read, is_compared=is_compared) for share, read, is_compared in kept
    )


def _in_words(evidence: Evidence) -> list[tuple[float, Evidence]]:
    """Returns the ways in which the answers in words may fall together, with the chance of each."""
    meaning = evidence.meaning
    assert meaning is not None  # or nobody would ask
    said = [(n, call.answer) for n, call in enumerate(evidence.tried) if isinstance(call.answer, InWords)]
    said = said[:MOST_COMPARED]
    # Of n answers, n - 1 comparisons tell something new; all n (n - 1) / 2 are made, so each counts for less.
    told = log_odds_of_pairs(meaning, [answer for _, answer in said]) * (2 / max(len(said), 1))
    collision = tuple(meaning.collision.tolist())
    found, logs = [], []
    for partition in partitions_of(0, len(said)):
        group_of = dict(zip((n for n, _ in said), partition, strict=True))
        tried = tuple(
            replace(call, answer=FinalAnswer(kind="meaning", value=str(group_of[n])) if n in group_of else None)
            for n, call in enumerate(evidence.tried)
        )
        read = replace(evidence, tried=tried, collision=collision)
        same = [told[i, j] for j in range(len(said)) for i in range(j) if partition[i] == partition[j]]
        found.append(read)
        logs.append(math.log(max(belief_of(read).likelihood, 1e-300)) + sum(same))
    chance = np.exp(np.array(logs) - max(logs))
    return list(zip((chance / chance.sum()).tolist(), found, strict=True))
