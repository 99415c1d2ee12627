"""Whether the working that an answer writes out leads from the question's numbers to its final answer."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...backends import Completion, Query
from ..final_answer import final_answer
from .arithmetic import written_equations
from .numbers import kept_numbers, numbers_in

_MAX_CHARACTERS = 20_000
_MAX_EQUATIONS = 60
_MAX_DIGITS = 300


class WorkingSignal:
    """How the equations written out hang together with the question and with the final answer.

    A final answer that is not the last result, results that nothing is made of, numbers of the question that were never
    reckoned with and broken results are what slips look like; so is a working too short for the question.
    """

    names = (
        "ends_in_answer",
        "holds_answer",
        "share_dangling",
        "share_broken",
        "share_of_query_used",
        "log_growth",
        "log_length_by_query",
        "log_steps_by_number",
    )
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where there are no equations, or no final number."""
        asked, text = query.text[:_MAX_CHARACTERS], completion.text[-_MAX_CHARACTERS:]
        given = set(_sizes(kept_numbers(asked)))
        operands: set[float] = set()
        results: list[float] = []
        for left, right, _ in written_equations(text)[:_MAX_EQUATIONS]:
            operands.update(_sizes(numbers_in(left)))
            results.extend(_sizes([right]))
        answer = final_answer(completion)
        final = float(answer.value) if answer is not None and answer.kind == "number" else math.nan
        is_final = [abs(result - final) <= 1e-6 * max(1.0, abs(final)) for result in results]
        has_both = bool(results) and math.isfinite(final)
        unused = [r for r, is_same in zip(results, is_final, strict=True) if r not in operands and not is_same]
        return (
            float(is_final[-1]) if has_both else math.nan,
            float(any(is_final)) if has_both else math.nan,
            len(unused) / len(results) if results else math.nan,
            sum(result != math.floor(result) for result in results) / len(results) if results else math.nan,
            len(given & operands) / len(given) if given and results else math.nan,
            math.log((min(abs(final), 1e12) + 1) / (min(max(given), 1e12) + 1))
            if given and math.isfinite(final)
            else math.nan,
            math.log((len(completion.text) + 1) / (len(asked) + 1)),
            math.log((len(results) + 1) / (len(given) + 1)),
        )


def _sizes(numbers: Iterable[str]) -> list[float]:
    """Returns the numbers without their signs, as what is in front of one may be a minus or a dash."""
    return [abs(float(number)) for number in numbers if len(number) <= _MAX_DIGITS]
