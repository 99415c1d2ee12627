"""Whether an answer goes in circles."""

from __future__ import annotations

import math

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
        grams = list(zip(*(words[start:] for start in range(_GRAM)), strict=False))
        if len(grams) < 2 * _GRAM:
            return math.nan, math.nan
        lines = [line for line in text.splitlines() if line.strip()]
        n_same = 0
        for line in reversed(lines):
            if line != lines[-1]:
                break
            n_same += 1
        return 1 - len(set(grams)) / len(grams), math.log(max(n_same, 1))
