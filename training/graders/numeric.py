"""Whether the number that an answer ends in is the expected one."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from ...backends import Completion, ConfigError
from ...classifiers.final_answer import last_boxed
from ..errors import BadRow
from ..prompts import Prompt
from ..rows import shown

if TYPE_CHECKING:
    from . import AskOf

TOLERANCE = 1e-6
_MAX_CHARACTERS = 100_000  # of the end of an answer
_MAX_DIGITS = 300  # what a float can hold

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_UNSIGNED = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"
# A sign belongs to the number unless something stands right before it: 17-3 ends in 3. A name, as x2, holds none.
_NUMBER = re.compile(rf"(?:(?<![\w.)\]}}])[-+])?(?<!\w){_UNSIGNED}(?:\s?/\s?({_UNSIGNED}))?")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{\s*([^{}]+?)\s*\}\s*\{\s*([^{}]+?)\s*\}")
_GROUP_SPACE = re.compile(r"(?<=\d)(?:\{,\}|\\[,!;]|[\u00a0\u2009\u202f])(?=\d{3}(?!\d))")
_HASHES = re.compile(r"####([^\n]*)")


class NumericGrader:
    """1 where the final number equals one of those expected, else 0.

    Two whole numbers must be the same; others may differ by `TOLERANCE` of the expected one. `numeric:0.01` allows
    1 % everywhere.
    """

    def __init__(self, argument: str, _ask_of: AskOf) -> None:
        self._tolerance: float | None = None
        if argument:
            try:
                self._tolerance = float(argument)
            except ValueError:
                self._tolerance = math.nan
            if not 0 <= self._tolerance < 1:
                raise ConfigError(f"grader numeric:{argument}: expected a relative tolerance from 0 to below 1")

    def check(self, prompt: Prompt) -> None:
        """Raises BadRow where an expected answer is missing or holds no number."""
        if not prompt.answers:
            raise BadRow("column answer: missing; grader numeric compares with it")
        for answer in prompt.answers:
            if final_number(answer) is None:
                raise BadRow(f"column answer: {shown(answer)} holds no number; grader numeric compares with one")

    async def grade(self, prompt: Prompt, completion: Completion) -> float:
        """Returns 1 or 0."""
        given = final_number(completion.text)
        if given is None:
            return 0.0
        expected = [number for answer in prompt.answers if (number := final_number(answer)) is not None]
        return float(any(self._is_same(given, number) for number in expected))

    def _is_same(self, given: int | float, expected: int | float) -> bool:
        if self._tolerance is None and given == int(given) and expected == int(expected):
            return given == expected
        tolerance = TOLERANCE if self._tolerance is None else self._tolerance
        return abs(given - expected) <= tolerance * (abs(expected) or 1.0)


def final_number(text: str) -> int | float | None:
    r"""Returns the number that a text gives as its result, None where it has none.

    That is the last one in the last `\boxed{}`, else behind the last `####`, else in the text.

    >>> final_number("First 7, then 1,234.50 dollars."), final_number(r"\boxed{\frac{3}{4}} of 8"), final_number("none")
    (1234.5, 0.75, None)
    """
    text = text[-_MAX_CHARACTERS:].replace("\N{MINUS SIGN}", "-").replace("\N{FRACTION SLASH}", "/")
    for part in (last_boxed(text), *_HASHES.findall(text)[-1:], text):
        found = _last_number(part)
        if found is not None:
            return found
    return None


def _last_number(text: str) -> int | float | None:
    text = _GROUP_SPACE.sub("", text.replace("\\$", "$").replace("-$", "-"))
    text = _FRACTION.sub(r" \1/\2 ", text)
    last: int | float | None = None
    for match in _NUMBER.finditer(text):
        value = _value(match[0].partition("/")[0])
        divisor = _value(match[1]) if match[1] else None
        if value is not None and divisor:
            value = value / divisor
            value = value if math.isfinite(value) else None
        last = value if value is not None else last
    return last


def _value(digits: str) -> int | float | None:
    """Returns what the digits say; None for what is too large."""
    digits = digits.replace(",", "").strip()
    if len(digits) > _MAX_DIGITS:
        return None
    try:
        return int(digits)
    except ValueError:
        number = float(digits)
        return number if math.isfinite(number) else None
