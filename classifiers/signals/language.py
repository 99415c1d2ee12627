"""Words by which an answer gives itself away: doubt, refusal, second thoughts."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query
from ..mentions import mentions_any
from ..refusals import is_refusal

_HEDGES = re.compile(
    r"\b(?:maybe|perhaps|possibly|probably|might|could be|seems?|appears?|likely|approximately|roughly|assum\w+|"
    r"not sure|unclear|unsure|i think|i believe|guess)\b",
    re.IGNORECASE,
)
_RESTARTS = re.compile(
    r"\b(?:wait|actually|hmm|on second thought|mistake|correction|apolog\w+|let me (?:try again|correct|"
    r"double[- ]check|re-?(?:check|consider|calculat|comput|do|think|examin|evaluat|phrase|start|verif)\w*))\b",
    re.IGNORECASE,
)
# One of which is in everything that the patterns find: quickly told where none of it is there.
_HEDGING = (
    "maybe", "perhaps", "possibly", "probably", "might", "could be", "seem", "appear", "likely", "approx", "roughly",
    "assum", "not sure", "unclear", "unsure", "i think", "i believe", "guess",
)  # fmt: skip
_RESTARTING = ("wait", "actually", "hmm", "second thought", "mistake", "correction", "apolog", "let me ")
_MAX_CHARACTERS = 20_000


class LanguageSignal:
    """Counts of hedging, refusing and restarting, in answer and reasoning."""

    names = ("log_hedges", "is_refusal", "log_restarts")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`."""
        text = completion.text[:_MAX_CHARACTERS]
        thinking = completion.reasoning[-_MAX_CHARACTERS:]
        lowered = text.lower()
        n_hedges = len(_HEDGES.findall(text)) if mentions_any(lowered, _HEDGING) else 0
        n_restarts = len(_RESTARTS.findall(text)) if mentions_any(lowered, _RESTARTING) else 0
        n_restarts += len(_RESTARTS.findall(thinking)) if thinking else 0
        return (
            math.log1p(n_hedges),
            float(completion.finish_reason == "content_filter" or completion.is_refusal or is_refusal(text)),
            math.log1p(n_restarts),
        )
