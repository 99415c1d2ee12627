"""The last number of an answer, in the light of the question and of the working before it."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from .numbers import kept_numbers

_MAX_CHARACTERS = 20_000


class FinalNumberSignal:
    """Whether there is one, its size and roundness, and how many of the question's numbers were used."""

    names = ("exists", "log_size", "is_whole", "is_repeated", "is_from_query", "query_numbers_used", "log_numbers")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where question or answer have none."""
        written = kept_numbers(completion.text[-_MAX_CHARACTERS:])
        given = set(kept_numbers(query.text[:_MAX_CHARACTERS]))
        used = len(given.intersection(written)) / len(given) if given else math.nan
        if not written:
            return 0.0, math.nan, math.nan, math.nan, math.nan, used, 0.0
        final = written[-1]
        return (
            1.0,
            math.log1p(min(abs(final), 1e12)),
            float(final == int(final)) if abs(final) < 1e15 else 1.0,
            float(final in written[:-1]),
            float(final in given),
            used,
            math.log1p(len(written)),
        )
