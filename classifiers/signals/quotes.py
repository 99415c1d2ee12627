"""A verifier: whether what an answer puts in quotation marks stands in the given text."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query

_MAX_CHARACTERS = 100_000
_MAX_QUOTES = 40
_QUOTE = re.compile(r'["“«]([^"“”«»\n]{12,400})["”»]')
_MIN_WORDS = 3
_WORD = re.compile(r"\w+")


class QuoteVerifier:
    """The share of quotes of three words and more that the question contains, word for word."""

    names = ("share_found", "log_quotes")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the answer quotes nothing."""
        found = [_words(quote) for quote in _QUOTE.findall(completion.text[:_MAX_CHARACTERS])[:_MAX_QUOTES]]
        quotes = [quote for quote in found if quote.count(" ") >= _MIN_WORDS + 1]  # spaces around it, too
        if not quotes:
            return math.nan, math.nan
        given = _words(query.text[:_MAX_CHARACTERS])
        return sum(quote in given for quote in quotes) / len(quotes), math.log1p(len(quotes))


def _words(text: str) -> str:
    """Returns the words alone, with one space around each."""
    return f" {' '.join(_WORD.findall(text.lower()))} "
