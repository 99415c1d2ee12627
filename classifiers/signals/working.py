"""Whether the working that an answer writes out leads from the question's numbers to its final answer."""

from __future__ import annotations

import math

from ...backends import Completion, Query
from ..final_answer import final_answer
from .arithmetic import written_equations
from .numbers import kept_numbers, numbers_in

_MAX_CHARACTERS = 20_000
_TOO_LARGE = (math.inf, -math.inf)
_MAX_EQUATIONS = 60


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
        # Sizes alone: what is in front of a number may be a minus or a dash.
        given = {abs(number) for number in kept_numbers(asked) if number not in _TOO_LARGE}
        equations = written_equations(text)[:_MAX_EQUATIONS]
        results = [abs(float(right)) for _, right, _ in equations]
        answer = final_answer(completion)
        final = float(answer.value) if answer is not None and answer.kind == "number" else math.nan
        has_final = math.isfinite(final)
        ends_in_it = holds_it = dangling = broken = used = math.nan
        if results:
            operands = {abs(float(number)) for left, _, _ in equations for number in numbers_in(left)}
            reach = 1e-6 * max(1.0, abs(final))
            others = [result for result in results if not abs(result - final) <= reach]
            if has_final:
                ends_in_it = float(abs(results[-1] - final) <= reach)
                holds_it = float(len(others) < len(results))
            dangling = sum([result not in operands for result in others]) / len(results)
            broken = sum([result % 1 > 0 for result in results]) / len(results)
            used = len(given & operands) / len(given) if given else math.nan
        return (
            ends_in_it,
            holds_it,
            dangling,
            broken,
            used,
            math.log((min(abs(final), 1e12) + 1) / (min(max(given), 1e12) + 1)) if given and has_final else math.nan,
            math.log((len(completion.text) + 1) / (len(asked) + 1)),
            math.log((len(results) + 1) / (len(given) + 1)),
        )
