"""A verifier: whether an answer has the form and the language that the question asks for."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from ..languages import script_of
from ..wishes import kept_wishes

_MAX_CHARACTERS = 4000


class WishVerifier:
    """The share of the wishes for a form or a language that were kept; whether the script is the question's."""

    names = ("share_kept", "is_same_script")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where no such wish was found, or there are no letters."""
        asked, text = query.text, completion.text
        kept = kept_wishes(asked, text) if not completion.tool_calls else []
        ends = asked if len(asked) <= _MAX_CHARACTERS else asked[:_MAX_CHARACTERS] + asked[-_MAX_CHARACTERS:]
        scripts = script_of(ends), script_of(text)
        return (
            sum(kept) / len(kept) if kept else math.nan,
            float(scripts[0] == scripts[1]) if all(scripts) else math.nan,
        )
