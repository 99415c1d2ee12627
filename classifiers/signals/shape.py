"""How long an answer is, how it is built, and whether it was cut short or goes in circles."""

from __future__ import annotations

import math
import zlib

from ...backends import Completion, Query

_MAX_CHARACTERS = 20_000
_CLEAN_ENDINGS = tuple(".!?}])`\"'*")


class ShapeSignal:
    """Length, lines, ending and repetition of the answer; length of the reasoning."""

    names = ("log_length", "log_lines", "log_reasoning", "is_truncated", "is_empty", "ends_cleanly", "compression")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`."""
        text = completion.text[:_MAX_CHARACTERS]
        ending = completion.text[-_MAX_CHARACTERS:].rstrip()
        data = text.encode("utf-8", "replace")
        return (
            math.log1p(len(completion.text)),
            math.log1p(text.count("\n")),
            math.log1p(len(completion.reasoning)),
            float(completion.finish_reason == "length"),
            float(not ending and not completion.tool_calls),
            float(ending.endswith(_CLEAN_ENDINGS) or ending[-1:].isdigit()),
            len(zlib.compress(data, 1)) / len(data) if len(data) > 80 else math.nan,
        )
