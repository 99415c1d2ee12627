"""What must outlive one process and be shared by several: keys, and counters of what was used of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .key import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An amount for one counter, which is to be added only while its total is below a limit."""

    counter: str
    amount: float
    expires_at: float  # from then on the counter is forgotten
    limit: float = math.inf


class Store(Protocol):
    """Keeps keys and counters. Safe to share among threads, and among processes where it is on disk or a server.

    All of it are single atomic operations, each a transaction of SQLite or a script of Redis. They are short and
    called on the event loop.

    Raises:
        PenstockError: from every method, where the store cannot be reached.
    """

    def find(self, id: str) -> Key | None:
        """Returns the key of an id."""
        ...

    def all_keys(self) -> list[Key]:
        """Returns every key, revoked ones too, the oldest first."""
        ...

    def put(self, key: Key) -> None:
        """Keeps a key, in the place of the one with its id."""
        ...

    def charge(self, claims: Sequence[Claim], *, now: float) -> tuple[float, ...]:
        """Returns the totals as they were. Adds all amounts where every total is below its limit, else none."""
        ...

    def close(self) -> None:
        """Frees files and connections; may be called twice."""
        ...


def open_store(file: Path) -> Store:
    """Returns the store in a file, which is made where it is not there yet.

    Raises:
        ConfigError: it cannot be opened.
    """
    from .sqlite import SqliteStore  # only where there are keys

    return SqliteStore(file)
