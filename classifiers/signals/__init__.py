"""What can be seen in an answer, one small file a kind of signal.

A signal reads a query and a completion and returns a few numbers; NaN where it does not apply. It costs no call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...backends import Completion, Query, resolve

SIGNALS = {
    "shape": "penstock.classifiers.signals.shape:ShapeSignal",
    "language": "penstock.classifiers.signals.language:LanguageSignal",
    "logprobs": "penstock.classifiers.signals.logprobs:LogprobSignal",
    "alternatives": "penstock.classifiers.signals.alternatives:AlternativesSignal",
    "sequence": "penstock.classifiers.signals.sequence:SequenceSignal",
    "reasoning": "penstock.classifiers.signals.reasoning:ReasoningSignal",
    "arithmetic": "penstock.classifiers.signals.arithmetic:ArithmeticVerifier",
    "asked": "penstock.classifiers.signals.asked:AskedVerifier",
    "reachable": "penstock.classifiers.signals.reachable:ReachableSignal",
    "equations": "penstock.classifiers.signals.equations:EquationVerifier",
    "units": "penstock.classifiers.signals.units:UnitVerifier",
    "stated": "penstock.classifiers.signals.stated:StatedSignal",
    "final_number": "penstock.classifiers.signals.final_number:FinalNumberSignal",
    "working": "penstock.classifiers.signals.working:WorkingSignal",
    "repetition": "penstock.classifiers.signals.repetition:RepetitionSignal",
    "wishes": "penstock.classifiers.signals.wishes:WishVerifier",
    "choices": "penstock.classifiers.signals.choices:ChoiceVerifier",
    "json": "penstock.classifiers.signals.json_form:JsonVerifier",
    "tool_calls": "penstock.classifiers.signals.tool_calls:ToolCallVerifier",
    "code": "penstock.classifiers.signals.code:CodeVerifier",
    "code_tests": "penstock.classifiers.signals.code_tests:CodeTestVerifier",
    "quotes": "penstock.classifiers.signals.quotes:QuoteVerifier",
}

# Those that tell something of an answer that has only begun; the others ask how it ends.
EARLY = ("shape", "logprobs", "alternatives", "sequence", "reasoning", "arithmetic", "working", "repetition")


class Signal(Protocol):
    """Turns one completion into the numbers called `names`. A verifier is a signal that checks a fact."""

    @property
    def names(self) -> tuple[str, ...]:
        """What its numbers are called; an attribute of the class will do."""
        ...

    @property
    def needs(self) -> str:
        """What a completion must have, "text" or "logprobs"; "sandbox": it runs code, where that is allowed."""
        ...

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns one number a name; NaN where the signal does not apply."""
        ...


@cache
def create_signals() -> Mapping[str, Signal]:
    """Returns the built-in signals by name, in the order of the table."""
    return {name: resolve(name, SIGNALS, what="signal")() for name in SIGNALS}


def signal_names(kinds: Iterable[str] = SIGNALS) -> tuple[str, ...]:
    """Returns the names of all numbers that `read_signals` gives, as `signal.number`."""
    signals = create_signals()
    return tuple(f"{kind}.{number}" for kind in kinds for number in signals[kind].names)


def read_signals(
    query: Query, completion: Completion, kinds: Iterable[str] = SIGNALS, *, run_code: bool = False
) -> NDArray[np.float64]:
    """Returns the numbers of the signals of these kinds, (n_numbers,), NaN where one does not apply.

    Signals that run what an answer holds are read with `run_code` only, and say nothing otherwise.
    """
    signals = create_signals()
    return np.array(values_of([signals[kind] for kind in kinds], query, completion, run_code=run_code))


def values_of(signals: Iterable[Signal], query: Query, completion: Completion, *, run_code: bool) -> list[float]:
    """Returns the numbers of these signals, one after the other, as `read_signals` does."""
    values: list[float] = []
    for signal in signals:
        may_read = run_code or signal.needs != "sandbox"
        values += signal.read(query, completion) if may_read else (math.nan,) * len(signal.names)
    return values


__all__ = ["EARLY", "SIGNALS", "Signal", "create_signals", "read_signals", "signal_names", "values_of"]
