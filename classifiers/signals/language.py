"""Words by which an answer gives itself away: doubt, refusal, second thoughts."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query

_HEDGES = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|could be|seems?|appears?|likely|approximately|roughly|assum\w+|"
    r"not sure|unclear|unsure|i think|i believe|guess)\b",
    re.IGNORECASE,
)
_REFUSALS = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable)|i (?:can(?:'|no)t|do not|don't) (?:help|answer|know|have)|as an ai|"
    r"not enough information|cannot be (?:determined|answered)|impossible to (?:say|determine))\b",
    re.IGNORECASE,
)
_RESTARTS = re.compile(
    r"\b(?:wait|actually|hmm|on second thought|mistake|correction|apolog\w+|let me (?:try again|correct|"
    r"double[- ]check|re-?(?:check|consider|calculat|comput|do|think|examin|evaluat|phrase|start|verif)\w*))\b",
    re.IGNORECASE,
)
_MAX_CHARACTERS = 20_000


class LanguageSignal:
    """Counts of hedging, refusing and restarting, in answer and reasoning."""

    names = ("log_hedges", "is_refusal", "log_restarts")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`."""
        text = completion.text[:_MAX_CHARACTERS]
        thinking = completion.reasoning[-_MAX_CHARACTERS:]
        return (
            math.log1p(len(_HEDGES.findall(text))),
            float(completion.finish_reason == "content_filter" or _REFUSALS.search(text[:600]) is not None),
            math.log1p(len(_RESTARTS.findall(text)) + len(_RESTARTS.findall(thinking))),
        )
