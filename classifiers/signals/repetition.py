"""Whether an answer goes in circles."""

from __future__ import annotations

import math
from itertools import takewhile

from ...backends import Completion, Query

_MAX_CHARACTERS = 20_000
_GRAM = 5  # words in a row


class RepetitionSignal:
    """The share of word sequences that were written before, and how long the answer has ended in the same line."""

    names = ("share_repeated", "log_last_lines")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN for an answer too short to repeat itself."""
        text = (completion.reasoning[-_MAX_CHARACTERS:] + "\n" + completion.text)[-_MAX_CHARACTERS:]
        words = text.split()
        n_grams = len(words) - _GRAM + 1
        if n_grams < 2 * _GRAM:
            return math.nan, math.nan
        n_distinct = len(set(zip(*(words[start:] for start in range(_GRAM)), strict=False)))
        lines = filter(str.strip, reversed(text.splitlines()))
        last = next(lines)
        n_same = 1 + sum(1 for _ in takewhile(last.__eq__, lines))
        return 1 - n_distinct / n_grams, math.log(n_same)
