"""How far long work has come, told to whoever listens: it need not pass through everybody who calls the work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

Listener = Callable[[str], None]

_Item = TypeVar("_Item")
_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


@contextmanager
def telling(listener: Listener) -> Iterator[None]:
    """Has `listener` told how far the work inside has come, and nobody else meanwhile."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def tell(said: str) -> None:
    """Tells whoever listens."""
    listener = _listener.get()
    if listener is not None:
        listener(said)


def counting(items: Collection[_Item], name: str) -> Iterator[_Item]:
    """Yields the items, telling of each that it is begun, and where that is of all that is told meanwhile.

    >>> with telling(print):
    ...     for fold in counting("ab", "fold"):
    ...         tell(f"fitting {fold}")
    fold 1 of 2
    fold 1 of 2: fitting a
    fold 2 of 2
    fold 2 of 2: fitting b
    """
    listener = _listener.get()
    if listener is None:
        yield from items
        return
    for place, item in enumerate(items, start=1):
        here = f"{name} {place} of {len(items)}"
        listener(here)
        with telling(partial(_tell_within, here, listener)):
            yield item


def _tell_within(here: str, listener: Listener, said: str) -> None:
    listener(f"{here}: {said}")
