"""Instructions carried out one after the other on one number."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import add, mul, sub, truediv

from .right import Value
from .wording import NUMBER, in_digits

_IT = r"(?:(?:it|this|that|the (?:result|number|answer|total)) )?"
_VERBS: tuple[tuple[str, Callable[[float, float], float]], ...] = (
    (rf"add ({NUMBER})(?: to (?:it|this|that|the result))?", add),
    (rf"(?:increase|raise) {_IT}by ({NUMBER})", add),
    (rf"(?:subtract|take away|remove) ({NUMBER})(?: from (?:it|this|that|the result))?", sub),
    (rf"(?:decrease|reduce|lower) {_IT}by ({NUMBER})", sub),
    (rf"multiply {_IT}by ({NUMBER})", mul),
    (rf"take {_IT}({NUMBER}) times", mul),
    (rf"divide {_IT}by ({NUMBER})", truediv),
)
_THEN = r"(?:[,.;]? (?:and |then |next |now |after that,? |finally,? )*)"
_STEP = re.compile("|".join(rf"{_THEN}{form}(?!\w|\.\d| ?%)" for form, _ in _VERBS), re.ASCII)
_START = re.compile(rf"\b(?:start|begin) (?:with|from|at) (?:the number )?({NUMBER})(?!\w|\.\d| ?%)", re.ASCII)
_END = re.compile(r"[.,;:]? (?:and )?(?:what|where|which|tell|give|say)\b([^?.]*)")
_OTHERWISE = re.compile(r"\b(?:square|root|half|double|twice|times|plus|minus|subtract|add|start|begin)\b")


def end_of_steps(question: str) -> Value | None:
    """Returns what the only chain of instructions in a question comes to.

    >>> end_of_steps("start with 5, then add 3, multiply by 2. what do you get?")
    Value(number=16.0)
    """
    if "start" not in question and "begin" not in question:
        return None
    text = in_digits(question)
    starts = list(_START.finditer(text))
    if len(starts) != 1:
        return None
    value, place, n_steps = float(starts[0][1]), starts[0].end(), 0
    while step := _STEP.match(text, place):
        number = float(step[step.lastindex or 0])
        operation = _VERBS[(step.lastindex or 1) - 1][1]
        if operation is truediv and not number:
            return None
        value, place, n_steps = operation(value, number), step.end(), n_steps + 1
    asked = _END.match(text, place)
    is_plain = asked is not None and not _OTHERWISE.search(asked[1])
    return Value(number=value) if n_steps and is_plain and abs(value) < 1e15 else None
