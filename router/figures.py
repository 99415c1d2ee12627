"""What one process has counted, as values that can be sent to another and added up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Rows = Mapping[tuple[str, ...], Sequence[float]]  # by name of the metric and the values of its labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What was counted, and what is so at the moment."""

    sums: Rows = field(default_factory=dict)  # that only grow; they outlive the process
    states: Rows = field(default_factory=dict)  # that end with it

    def encode(self) -> bytes:
        """Returns a line that `decode` reads."""
        # Not orjson, which has no word for a number that is none: what a backend of others costs may be one.
        told = [[*self.sums.items()], [*self.states.items()]]
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Figures:
    """Returns the figures that were encoded."""
    sums, states = ({tuple(key): row for key, row in rows} for rows in json.loads(line))
    return Figures(sums=sums, states=states)


def add_up(figures: Iterable[Figures]) -> Figures:
    """Returns the sum of each number."""
    each = list(figures)
    return Figures(sums=_sum([one.sums for one in each]), states=_sum([one.states for one in each]))


def _sum(parts: Sequence[Rows]) -> Rows:
    total: dict[tuple[str, ...], list[float]] = {}
    for part in parts:
        for key, row in part.items():
            before = total.get(key)
            total[key] = [*row] if before is None else [a + b for a, b in zip(before, row, strict=True)]
    return total
