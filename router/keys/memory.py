"""Keys and counters of one process, forgotten with it."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .key import Key
from .store import Claim


class MemoryStore:
    """Keeps everything in dictionaries, for tests and for servers that make their keys themselves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[str, Key] = {}
        self._totals: dict[str, tuple[float, float]] = {}  # counter -> total, when it is forgotten

    def find(self, id: str) -> Key | None:
        """Returns the key of an id."""
        return self._keys.get(id)

    def all_keys(self) -> list[Key]:
        """Returns every key, the oldest first."""
        with self._lock:
            return sorted(self._keys.values(), key=lambda key: key.created_at)

    def put(self, key: Key) -> None:
        """Keeps a key, in the place of the one with its id."""
        with self._lock:
            self._keys[key.id] = key

    def charge(self, claims: Sequence[Claim], *, now: float) -> tuple[float, ...]:
        """Returns the totals as they were; adds all amounts or none."""
        with self._lock:
            for name in [name for name, (_, end) in self._totals.items() if end <= now]:
                del self._totals[name]
            totals = tuple(self._totals.get(claim.counter, (0.0,))[0] for claim in claims)
            if all(total < claim.limit for total, claim in zip(totals, claims, strict=True)):
                for total, claim in zip(totals, claims, strict=True):
                    if claim.amount:
                        self._totals[claim.counter] = (total + claim.amount, claim.expires_at)
        return totals

    def close(self) -> None:
        """Has nothing to free."""
