"""Turns of one process, forgotten with it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from .turn import Turn

MOST_TURNS = 20_000  # of all conversations together, about 15 MB
MOST_TURNS_OF_ONE = 256


class MemoryTurns:
    """Keeps turns in a dictionary; of too many, the conversations that were left longest ago are forgotten."""

    def __init__(self, *, most: int = MOST_TURNS) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._turns: OrderedDict[str, tuple[Turn, ...]] = OrderedDict()
        self._n_turns = 0

    def turns(self, key: str, *, since: float) -> Sequence[Turn]:
        """Returns the turns of a conversation."""
        return [turn for turn in self._turns.get(key, ()) if turn.at >= since]

    def add(self, key: str, turn: Turn, *, since: float) -> None:
        """Keeps a turn."""
        with self._lock:
            before = self._turns.pop(key, ())
            self._turns[key] = kept = (*before[1 - MOST_TURNS_OF_ONE :], turn)
            self._n_turns += len(kept) - len(before)
            while self._turns and (self._n_turns > self._most or self._oldest().at < since):
                _, forgotten = self._turns.popitem(last=False)
                self._n_turns -= len(forgotten)

    def close(self) -> None:
        """Has nothing to free."""

    def _oldest(self) -> Turn:
        """Returns the last turn of the conversation that was left longest ago."""
        return next(iter(self._turns.values()))[-1]
