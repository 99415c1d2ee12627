"""Progress of long work: in place on a terminal, plain lines elsewhere, nothing where it is not wanted."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

from ..classifiers.telling import telling

_Item = TypeVar("_Item")
_LINE_EVERY_S, _IN_PLACE_EVERY_S = 5.0, 0.1


class Progress(Protocol):
    """Told what is being done."""

    def stage(self, name: str) -> None:
        """Begins the next stage."""
        ...

    def note(self, text: str) -> None:
        """Tells how far the present stage has come; shown now and then at the most."""
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
    """Writes to standard error: a line a stage, and beneath it how far it has come: on a terminal in place, notes as a
    line that gives way to the next and loops as tqdm's bar; elsewhere as a line now and then.
    """

    def __init__(self, stream: TextIO | None = None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._is_terminal = self._stream.isatty()
        self._every_s = _IN_PLACE_EVERY_S if self._is_terminal else _LINE_EVERY_S
        self._started = self._told = clock()
        self._width = 0  # of the note that stands in place

    def stage(self, name: str) -> None:
        """Writes the stage with the seconds since the start."""
        self.clear()
        self._told = self._clock()
        self._write(f"{self._stamp()}{name}\n")

    def note(self, text: str) -> None:
        """Writes the text, unless something was written a moment ago."""
        now = self._clock()
        if now - self._told <= self._every_s:
            return
        self._told = now
        line = f"{self._stamp()}  {text}"
        if not self._is_terminal:
            self._write(f"{line}\n")
            return
        line = line[: shutil.get_terminal_size().columns - 1]  # what wraps cannot be written over
        self._write("\r" + line.ljust(self._width))
        self._width = len(line)

    def over(self, items: Iterable[_Item], *, name: str, total: int) -> Iterator[_Item]:
        """Yields the items under a bar, or with a line now and then."""
        if self._is_terminal:
            from tqdm import tqdm

            self.clear()
            yield from tqdm(items, desc=name, total=total, file=self._stream, leave=False)
            return
        for done, item in enumerate(items, start=1):
            yield item
            self.note(f"{name}: {done} of {total}")

    def clear(self) -> None:
        """Takes away a note that stands in place."""
        if self._width:
            self._write("\r" + " " * self._width + "\r")
            self._width = 0

    def _stamp(self) -> str:
        return f"[{self._told - self._started:6.1f} s] "

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def quiet_or_shown(*, quiet: bool) -> Iterator[Progress]:
    """Yields what a command shows its progress with."""
    if quiet:
        yield Silent()
        return
    shown = Shown()
    try:
        with telling(shown.note):
            yield shown
    finally:
        shown.clear()
