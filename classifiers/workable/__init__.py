"""Questions whose right answer can be worked out from the question alone, one small file a kind.

A solver takes a question in its canonical spelling and returns its right answer, or None where the question is not one
of its kind, or not without doubt. It reads plain English and signs, costs no call, and is quick to say no: it looks for
a word first without which there is nothing to find.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from ..canonical import canonical
from .comparison import greater_or_smaller
from .divisors import common_divisor
from .letters import count_of_letter
from .order import in_order
from .right import Right
from .steps import end_of_steps
from .sums import value_of_asked_sum
from .weekdays import weekday_reached
from .wording import words_in

SOLVERS: tuple[Callable[[str], Right | None], ...] = (
    value_of_asked_sum,
    end_of_steps,
    in_order,
    count_of_letter,
    common_divisor,
    greater_or_smaller,
    weekday_reached,
)

_MAX_CHARACTERS = 300  # what is longer asks for more than these do
_MAX_AS_TYPED = 10 * _MAX_CHARACTERS  # white space and signs that nobody sees included
_OF_CODE = frozenset(("function", "program", "script", "python"))


def right_answer(question: str) -> Right | None:
    """Returns the right answer to a short question; None where no solver knows it, or two see different things in it.

    >>> right_answer("What is 3 + 4 * 5?"), right_answer("Who wrote Faust?")
    (Value(number=23.0), None)
    """
    return _worked_out(question) if len(question) <= _MAX_AS_TYPED else None


@lru_cache(maxsize=16)  # every answer to a question asks
def _worked_out(question: str) -> Right | None:
    plain = canonical(question)
    if len(plain) > _MAX_CHARACTERS or not words_in(plain).isdisjoint(_OF_CODE):
        return None
    found = [right for solve in SOLVERS if (right := solve(plain)) is not None]
    return found[0] if len(found) == 1 else None


__all__ = ["SOLVERS", "Right", "right_answer"]
