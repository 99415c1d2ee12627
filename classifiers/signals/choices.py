"""A verifier: whether an answer settles on one of the choices that the question offers."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from ..choices import offered_choices, picked_letter

_MAX_CHARACTERS = 20_000


class ChoiceVerifier:
    """Whether one of the choices was settled on, by letter or by text, and the logarithm of how many there are."""

    names = ("is_offered", "log_choices")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the question offers no choices."""
        choices = offered_choices(query.text)
        if not choices:
            return math.nan, math.nan
        return float(picked_letter(completion.text[-_MAX_CHARACTERS:], choices) is not None), math.log(len(choices))
