"""A sidecar that asks for keys, and one key to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penstock.backends import Backend
from penstock.router.keys import Claim, Key, MemoryStore, Store, new_key
from penstock.router.keys.limits import limits_of
from penstock.router.server import Sidecar

from ..serving import HELLO, Got, call, make_router

NOON = 1_700_000_000.0  # of a working day, 20 seconds into a minute


class Door:
    """A sidecar with one key, whose clock stands still; `small` and `lrm` take the place of its backends."""

    def __init__(
        self,
        folder: Path,
        *,
        store: Store | None = None,
        small: Backend | None = None,
        lrm: Backend | None = None,
        **limits: Any,
    ) -> None:
        self.store = store or MemoryStore()
        self.now = NOON
        self.key, self.text = new_key(Key(id="", name="me", digest="", created_at=0.0, **limits))
        self.store.put(self.key)
        given = {"small": small, "lrm": lrm}
        router = make_router(folder, **{name: backend for name, backend in given.items() if backend is not None})
        self.app = Sidecar(router, keys=self.store, clock=lambda: self.now)

    def call(self, path: str, body: Any = None, **headers: str) -> Got:
        """Returns the reply to a request with the key."""
        return call(self.app, path, body, headers={"x-api-key": self.text, **headers})

    def chat(self, **fields: Any) -> Got:
        """Returns the reply to a chat completion request with the key."""
        return self.call("/v1/chat/completions", {"messages": HELLO, **fields})

    @property
    def used(self) -> dict[str, float]:
        """What the counters of this moment hold, such as `usd a day`."""
        return used(self.store, self.key, self.now)


def used(store: Store, key: Key, now: float) -> dict[str, float]:
    """Returns what a key has used in the windows of a moment."""
    limits = limits_of(key, now)
    claims = [Claim(counter=limit.counter, amount=0.0, expires_at=limit.ends_at) for limit in limits]
    totals = store.charge(claims, now=now)
    return {f"{limit.unit} a {limit.window}": total for limit, total in zip(limits, totals, strict=True)}
