"""Where the turns of conversations are kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from .memory import MemoryTurns
from .turn import Turn


class TurnStore(Protocol):
    """Keeps the latest turns of the latest conversations. Safe to share among threads, and among processes where it is
    on disk or a server. Calls are short and made on the event loop.

    Raises:
        PenstockError: where the store cannot be reached; a conversation then counts as new.
    """

    def turns(self, key: str, *, since: float) -> Sequence[Turn]:
        """Returns the turns of a conversation, the oldest first, without those from before `since`."""
        ...

    def add(self, key: str, turn: Turn, *, since: float) -> None:
        """Keeps a turn; those from before `since` may be forgotten."""
        ...

    def close(self) -> None:
        """Frees files and connections; may be called twice."""
        ...


def open_turns(file: Path | None) -> TurnStore:
    """Returns the store in a file, which is made where it is not there yet; None: in memory.

    Raises:
        ConfigError: it cannot be opened.
    """
    if file is None:
        return MemoryTurns()
    from .sqlite import SqliteTurns  # only where there is a file

    return SqliteTurns(file)
