"""A verifier: whether an answer is the right one, where that can be worked out from the question."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from ..workable import right_answer


class AskedVerifier:
    """Whether the answer is what the question comes to, of those questions that can be worked out; see `workable`."""

    names = ("is_value",)
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns 1 or 0; NaN where the question is no such, or the answer does not say clearly what it settles on."""
        right = right_answer(query.text)
        return (math.nan if right is None else right.is_met_by(completion),)
