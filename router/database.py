"""A SQLite file that processes of one machine share."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from ..backends import ConfigError, PenstockError
from .owner_only import make_owner_only

_WAIT_S = 2.0  # for another process that writes


class Database:
    """A file that only its owner can read; `setup` makes the tables where it is new, and `setting` names it in errors.

    Of its log, SQLite syncs only when it is folded into the file: what was committed survives the end of the process,
    the last moments may not survive a power cut. A sync a request would cost more than everything else we do.

    It is used on the event loop. So where somebody else keeps the file locked, one change waits for that and fails, and
    those that come after it fail at once, until one succeeds.

    Raises:
        ConfigError: the file cannot be opened, or is of another version.
    """

    def __init__(self, file: Path, *, setting: str, setup: str, version: int) -> None:
        self._name = f"{setting}: {file}"
        self._lock = threading.Lock()
        self._is_waited_for = True
        try:
            make_owner_only(file)
            self._database = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"{self._name}: cannot be opened: {error}") from error
        try:
            self._database.execute("PRAGMA synchronous = NORMAL")
            (found,) = self._database.execute("PRAGMA user_version").fetchone()
            if found not in (0, version):
                raise ConfigError(f"{self._name}: of version {found}; expected {version}")
            if found == 0:
                self._database.executescript(f"PRAGMA journal_mode = WAL; {setup} PRAGMA user_version = {version};")
        except sqlite3.Error as error:
            self._database.close()
            raise ConfigError(f"{self._name}: cannot be opened: {error}") from error
        except ConfigError:
            self._database.close()
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Yields the database to one thread at a time, to look something up: nobody keeps it from that.

        Raises:
            PenstockError: what is done with it fails.
        """
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise PenstockError(f"{self._name}: {error}") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Yields the database as `reading` does, to change something."""
        with self.reading() as database:
            try:
                yield database
            except sqlite3.Error:
                self._wait(False)
                raise
            self._wait(True)

    def close(self) -> None:
        """Frees the file; may be called twice."""
        with self._lock:
            self._database.close()

    def _wait(self, is_waited_for: bool) -> None:
        """Has the next changes wait for others, or not."""
        if is_waited_for is self._is_waited_for:
            return
        self._is_waited_for = is_waited_for
        with contextlib.suppress(sqlite3.Error):  # it may be closed
            self._database.execute(f"PRAGMA busy_timeout = {int(is_waited_for * _WAIT_S * 1000)}")
