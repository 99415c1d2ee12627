"""A verifier: whether the letter that an answer settles on is one of those offered."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query
from ..final_answer import final_answer

_MAX_CHARACTERS = 20_000
_OFFERED = re.compile(r"(?:^|[\n ])[(\[*]{0,3}([A-J])[)\]*.:]{1,3}[ \t]+(?=\S)")


class ChoiceVerifier:
    """Whether one of the choices was settled on, and the logarithm of how many there are."""

    names = ("is_offered", "log_choices")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the question offers no choices."""
        letters = _offered(query.text[-_MAX_CHARACTERS:])
        if len(letters) < 2:
            return math.nan, math.nan
        answer = final_answer(completion)
        return float(answer is not None and answer.kind == "choice" and answer.value in letters), math.log(len(letters))


def _offered(text: str) -> str:
    """Returns the letters that the choices are marked with, from a on without a gap."""
    marked = {letter.lower() for letter in _OFFERED.findall(text)}
    letters = ""
    while len(letters) < 10 and chr(97 + len(letters)) in marked:
        letters += chr(97 + len(letters))
    return letters
