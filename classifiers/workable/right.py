"""Right answers, and whether a completion gives one: 1 or 0, NaN where it does not say clearly what it settles on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Protocol

from ...backends import Completion
from ..final_answer import final_answer
from .wording import NUMBER, runs_of_numbers

_TOLERANCE = 0.01  # relative, of a value that is not whole, and so rounded
_EXACT = 1e-9
_MAX_CHARACTERS = 2000  # of the end of an answer
_WORD = re.compile(rf"{NUMBER}|[a-z]+", re.ASCII)


class Right(Protocol):
    """The right answer to a question."""

    def is_met_by(self, completion: Completion) -> float:
        """Returns 1 or 0; NaN where a completion does not say clearly what it settles on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A number. One that is not whole may be rounded."""

    number: float

    def is_met_by(self, completion: Completion) -> float:
        """Returns whether it is the final answer; NaN where that is no number."""
        answer = final_answer(completion)
        if answer is None or answer.kind != "number":
            return math.nan
        tolerance = _EXACT if self.number == math.floor(self.number) else _TOLERANCE
        return float(abs(float(answer.value) - self.number) <= tolerance * max(abs(self.number), 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One of several words or numbers."""

    right: str
    others: frozenset[str]

    def is_met_by(self, completion: Completion) -> float:
        """Returns whether it is the one that the answer names; NaN where that names none or several."""
        said = set(_WORD.findall(_bare_end(completion).lower())) & {self.right, *self.others}
        return float(said == {self.right}) if len(said) == 1 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """Numbers in one order."""

    numbers: tuple[float, ...]

    def is_met_by(self, completion: Completion) -> float:
        """Returns whether the last run of numbers, of those with all of these if there are any, is this one; NaN where
        the answer lists none.
        """
        listed = runs_of_numbers(_bare_end(completion))
        whole = [run for run in listed if sorted(run) == sorted(self.numbers)] or listed
        return float(whole[-1] == self.numbers) if whole else math.nan


def _bare_end(completion: Completion) -> str:
    """Returns the end of an answer without the marks of bold and of formulas, which look like parts of numbers."""
    end = completion.text[-_MAX_CHARACTERS:].replace("\N{MINUS SIGN}", "-")
    return end.replace("**", "").replace("$", "")
