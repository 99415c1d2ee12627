"""Progress of long work: a bar on a terminal, plain lines elsewhere, nothing where it is not wanted."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

_Item = TypeVar("_Item")
_LINE_EVERY_S = 5.0


class Progress(Protocol):
    """Told what is being done."""

    def stage(self, name: str) -> None:
        """Begins the next stage."""
        ...

    def note(self, text: str) -> None:
        """Tells how far the present stage has come; said now and then at the most."""
        ...

    def over(self, items: Iterable[_Item], *, name: str, total: int) -> Iterator[_Item]:
        """Yields the items, showing how many are done."""
        ...


class Silent:
    """Shows nothing."""

    def stage(self, name: str) -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""

    def over(self, items: Iterable[_Item], *, name: str, total: int) -> Iterator[_Item]:
        """Yields the items."""
        yield from items


class Shown:
    """Writes to standard error: stages as lines; loops as tqdm's bar on a terminal, a line now and then elsewhere."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._started = self._told = time.monotonic()

    def note(self, text: str) -> None:
        """Writes the text, unless something was written a moment ago."""
        if time.monotonic() - self._told > _LINE_EVERY_S:
            self.stage(text)

    def stage(self, name: str) -> None:
        """Writes the stage with the seconds since the start."""
        self._told = time.monotonic()
        self._stream.write(f"[{self._told - self._started:6.1f} s] {name}\n")
        self._stream.flush()

    def over(self, items: Iterable[_Item], *, name: str, total: int) -> Iterator[_Item]:
        """Yields the items under a bar, or with a line now and then."""
        if self._stream.isatty():
            from tqdm import tqdm

            yield from tqdm(items, desc=name, total=total, file=self._stream, leave=False)
            return
        for done, item in enumerate(items, start=1):
            yield item
            self.note(f"{name}: {done} of {total}")


@contextmanager
def quiet_or_shown(*, quiet: bool) -> Iterator[Progress]:
    """Yields what a command shows its progress with."""
    yield Silent() if quiet else Shown()
