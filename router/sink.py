"""Where the running router leaves its traces: append-only JSONL files that survive crashes and full disks."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

import orjson

from .losses import EVERY_S, Losses
from .owner_only import OWNER_ONLY

logger = logging.getLogger(__name__)

_OPEN_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@runtime_checkable
class TraceSink(Protocol):
    """Takes one record for every call that the router made. Safe to share among threads."""

    def write(self, record: Mapping[str, object]) -> None:
        """Keeps a record, with the columns of a trace and any others; a loss is never an error."""
        ...

    def close(self) -> None:
        """Frees files; may be called twice."""
        ...


class NullSink:
    """Keeps nothing."""

    def write(self, record: Mapping[str, object]) -> None:
        """Forgets the record."""

    def close(self) -> None:
        """Has nothing to free."""


class JsonlSink:
    """Appends records as lines of JSON to `folder/traces.jsonl`, or to `path` where it ends in .jsonl.

    Every line is in the hands of the operating system when `write` returns, by one system call, so
    that several processes may share a file. Once a file has `max_bytes`, it is renamed to
    `traces-000001.jsonl` and so on; names sort in the order of writing. With `max_files`, the oldest
    are removed as soon as there are more, the current one included.

    What cannot be written is counted in `lost` and logged as `what`, at most once every `report_every_s`.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int = 64 * 2**20,
        max_files: int | None = None,
        what: str = "traces",
        report_every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_bytes < 1 or (max_files is not None and max_files < 1):
            raise ValueError(f"max_bytes={max_bytes}, max_files={max_files}: expected numbers from 1 up")
        path = Path(path)
        self.path = path if path.suffix == ".jsonl" and not path.is_dir() else path / "traces.jsonl"
        self.max_bytes = max_bytes
        self.max_files = max_files
        self._losses = Losses(what, every_s=report_every_s, clock=clock)
        self._lock = threading.Lock()
        self._file: int | None = None
        self._is_closed = False
        self._is_torn = False  # the file ends within a line
        self._is_rotation_reported = False

    @property
    def lost(self) -> int:
        """How many records could not be written."""
        return self._losses.total

    def write(self, record: Mapping[str, object]) -> None:
        """Appends the record; what the disk refuses is counted, not raised."""
        try:
            line = _line_of(record)
        except (TypeError, ValueError, RecursionError) as error:
            with self._lock:
                self._losses.see(f"a record is no JSON: {error}")
            return
        with self._lock:
            if self._is_closed:
                self._losses.see("the sink is closed")
                return
            try:
                self._append(line)
            except OSError as error:
                self._losses.see(f"{self.path}: {error.strerror or error}")

    def newest(self, n: int) -> list[Path]:
        """Returns the last so many files, the current one first, whether or not it is there yet."""
        try:
            rotated = self._rotated()
        except OSError:
            rotated = []
        return [self.path, *reversed(rotated)][:n]

    def close(self) -> None:
        """Closes the file and logs what was lost and not yet told; later records are lost."""
        with self._lock:
            self._is_closed = True
            self._close_file()
            self._losses.close()

    def _append(self, line: bytes) -> None:
        file, size = self._ready_file(len(line))
        if self._is_torn:
            line = b"\n" + line
        written = os.write(file, line)
        if written == len(line):
            self._is_torn = False
            return
        # The disk took a part. The rest would end up behind what another process writes meanwhile.
        self._is_torn = True
        if os.fstat(file).st_size == size + written:
            os.ftruncate(file, size)
            self._is_torn = _ends_within_line(file)
        raise OSError("only a part of the line could be written")

    def _ready_file(self, n_bytes: int) -> tuple[int, int]:
        """Returns an open file with room for that many bytes, and its size."""
        if self._file is None:
            self._file = self._open()
        status = os.fstat(self._file)
        is_gone = status.st_nlink == 0  # removed, or rotated away and removed, by someone else
        if is_gone or (status.st_size > 0 and status.st_size + n_bytes > self.max_bytes):
            self._close_file()
            if not is_gone:
                self._try_to_rotate((status.st_dev, status.st_ino))
            self._file = self._open()
            status = os.fstat(self._file)
        return self._file, status.st_size

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self.path, _OPEN_FLAGS, OWNER_ONLY)
        try:
            self._is_torn = _ends_within_line(file)
        except OSError:
            os.close(file)
            raise
        return file

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            try:
                os.close(file)
            except OSError as error:
                logger.warning("%s: %s", self.path, error.strerror or error)

    def _try_to_rotate(self, identity: tuple[int, int]) -> None:
        try:
            self._rotate(identity)
        except OSError as error:
            # A file that grows too long is better than records lost.
            if not self._is_rotation_reported:
                logger.warning("%s: cannot be rotated: %s", self.path, error.strerror or error)
            self._is_rotation_reported = True

    def _rotate(self, identity: tuple[int, int]) -> None:
        """Renames the current file, unless another process has done so already, and removes the oldest ones."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        if (status.st_dev, status.st_ino) != identity:
            return
        target = self._reserve_name()
        try:
            self.path.replace(target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)
            return
        except OSError:
            target.unlink(missing_ok=True)
            raise
        if self.max_files is not None:
            rotated = self._rotated()
            for old in rotated[: max(len(rotated) + 1 - self.max_files, 0)]:
                old.unlink(missing_ok=True)

    def _reserve_name(self) -> Path:
        """Returns the next free name, taken by an empty file so that no other process takes it too."""
        rotated = self._rotated()
        number = self._number(rotated[-1]) + 1 if rotated else 1
        while True:
            target = self.path.with_name(f"{self.path.stem}-{number:06}.jsonl")
            try:
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, OWNER_ONLY))
            except FileExistsError:
                number += 1
            else:
                return target

    def _rotated(self) -> list[Path]:
        """Returns the files rotated so far, oldest first."""
        found = [path for path in self.path.parent.iterdir() if self._number(path)]
        return sorted(found, key=self._number)

    def _number(self, path: Path) -> int:
        """Returns the number in the name of a rotated file, 0 for any other file."""
        stem, _, number = path.stem.rpartition("-")
        is_ours = stem == self.path.stem and path.suffix == ".jsonl" and number.isdecimal()
        return int(number) if is_ours else 0


def _ends_within_line(file: int) -> bool:
    """Returns whether the last byte is no line end, as after a crash in the middle of a write."""
    if os.lseek(file, 0, os.SEEK_END) == 0:
        return False
    os.lseek(file, -1, os.SEEK_END)
    return os.read(file, 1) != b"\n"


def _line_of(record: Mapping[str, object]) -> bytes:
    try:
        return orjson.dumps(dict(record), option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        # orjson refuses half a surrogate pair, which a client's JSON may hold, and very large numbers.
        text = json.dumps(dict(record), ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "replace") + b"\n"
