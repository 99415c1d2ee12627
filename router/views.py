"""Estimates that a few words at one end of a query cannot move."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from ..classifiers import Estimates
from ..classifiers.estimates import Once
from .outlook import FloatArray

N_CUT = 12  # words at an end that may be anything
_MOST_CUT = 4  # one word in so many: of a short query not more, since there would be nothing left
_WORD = re.compile(r"\S+")


def views_of(text: str) -> list[str]:
    """Returns the text without the words at its beginning, at its end, and at both; the text itself where it is short.

    Whatever stands at one end is missing from two of the three, so that of three estimates the median is between two
    that have not seen it.

    >>> views_of("Quick: what is 17 times 23, please?")
    ['what is 17 times 23, please?', 'Quick: what is 17 times 23,', 'what is 17 times 23,']
    """
    words = [match.span() for match in _WORD.finditer(text)]
    n_cut = min(N_CUT, len(words) // _MOST_CUT)
    if not n_cut:
        return [text]
    start, end = words[n_cut][0], words[-n_cut - 1][1]
    return [text[start:], text[:end], text[start:end]]


def median_estimates(estimates: Sequence[Estimates]) -> Estimates:
    """Returns the median of each figure over the views of one query.

    Reference: an ensemble over ablated inputs, Levine and Feizi 2020, arXiv:1911.09076, with the median for the vote.
    """
    first = estimates[0]
    if len(estimates) == 1:
        return first

    def median(read: Callable[[Estimates], FloatArray | float]) -> FloatArray:
        middle: FloatArray = np.median([read(each) for each in estimates], axis=0)
        return middle

    return replace(
        first,
        quality=median(lambda each: each.quality),
        cost_usd=median(lambda each: each.cost_usd),
        output_tokens=median(lambda each: each.output_tokens),
        latency_s=median(lambda each: each.latency_s),
        difficulty=float(median(lambda each: each.difficulty)),
        input_tokens=int(median(lambda each: each.input_tokens)),
        how_familiar=Once(lambda: float(median(lambda each: each.familiarity))),
    )
