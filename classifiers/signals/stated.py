"""How sure an answer says that it is: a weak sign, since models say so of wrong answers as well."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query
from ..mentions import mentions_any

_MAX_CHARACTERS = 4000  # of either end: it is said before or after the matter
_ANY = ("sure", "certain", "confiden", "probab", "likely")  # quickly told where none of it is there
_SHARE = re.compile(r"\b(\d{1,3}(?:\.\d{1,2})?)\s?%\s+(?:sure|certain|confiden\w+|probab\w+|likely)\b", re.IGNORECASE)
_LABELLED = re.compile(
    r"\b(?:confidence|certainty|probability)(?: level| score| rating)?\W{0,4}(?:is |of |about ){0,2}\W{0,4}"
    r"(\d{1,3}(?:\.\d{1,2})?)\s?(%|/\s?100?\b|out of 100?\b)?",
    re.IGNORECASE,
)
_WORDS = re.compile(
    r"\b(not\s+)?(?:(absolutely|completely|entirely|totally|100%|very|highly|extremely|quite|fairly|pretty|reasonably|"
    # Who makes sure, and a certain man, is not sure of anything.
    r"somewhat|moderately)\s+)?(?<!\bmake )(?<!\bmakes )(?<!\bmaking )(?<!\ba )(?:sure|certain|confident)\b",
    re.IGNORECASE,
)
# What people mean by them, roughly; what a word is worth from a model is learned.
_STRENGTHS = {"": 0.8, **dict.fromkeys(("quite", "fairly", "pretty", "reasonably"), 0.7)}
_STRENGTHS |= {**dict.fromkeys(("very", "highly", "extremely"), 0.9), "somewhat": 0.6, "moderately": 0.6}
_FULL, _DOUBT = 0.95, 0.3


class StatedSignal:
    """The probability of being right that the answer itself claims, in figures or in words.

    Reference: Lin et al. 2022, "Teaching models to express their uncertainty in words", arXiv:2205.14334.
    """

    names = ("probability",)
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the number; NaN where nothing is claimed."""
        text = completion.text
        if len(text) > 2 * _MAX_CHARACTERS:
            text = text[:_MAX_CHARACTERS] + "\n" + text[-_MAX_CHARACTERS:]
        return (stated_probability(text),)


def stated_probability(text: str) -> float:
    """Returns the last probability that a text gives itself, NaN where it gives none.

    >>> stated_probability("It is 7. I am 80% sure."), stated_probability("Confidence: 9/10")
    (0.8, 0.9)
    """
    lowered = text.lower()
    if not mentions_any(lowered, _ANY):
        return math.nan
    for share in reversed(_SHARE.findall(text)):
        return min(float(share) / 100, 1.0)
    for number, unit in reversed(_LABELLED.findall(text)):
        value = float(number)
        of_ten = unit.rstrip().endswith("10")
        if of_ten or unit or value <= 1:
            return min(value / (10 if of_ten else 100 if unit else 1), 1.0)
    for is_denied, strength in reversed(_WORDS.findall(text)):
        return _DOUBT if is_denied else _STRENGTHS.get(strength.lower(), _FULL)
    return math.nan
