"""Turns in a SQLite file: processes of one machine share them, and they survive a restart."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from ...backends import ConfigError, PenstockError
from ..owner_only import make_owner_only
from .memory import MOST_TURNS_OF_ONE
from .turn import Turn

_WAIT_S = 2.0  # for another process that writes
_VERSION = 1
_EVERY = 256  # turns, after which those that are too old are removed
# What was noted last may be lost in a power cut; a conversation then counts as new, which costs little.
_SETUP = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS turns (
    key TEXT NOT NULL, at REAL NOT NULL, mark TEXT NOT NULL, backend TEXT NOT NULL, read_tokens TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON turns (key, at);
CREATE INDEX IF NOT EXISTS by_age ON turns (at);
PRAGMA user_version = {_VERSION};
"""


class SqliteTurns:
    """Keeps turns in one file that only its owner can read; none of what was said is in it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._n_added = 0
        try:
            make_owner_only(file)
            self._database = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.executescript(_SETUP)
            self._database.execute("PRAGMA synchronous = NORMAL")
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"conversations.file: {file}: cannot be opened: {error}") from error
        if version not in (0, _VERSION):
            self._database.close()
            raise ConfigError(f"conversations.file: {file}: of version {version}; expected {_VERSION}")

    def turns(self, key: str, *, since: float) -> Sequence[Turn]:
        """Returns the turns of a conversation."""
        with self._opened() as database:
            rows = database.execute(
                "SELECT mark, backend, read_tokens, at FROM turns WHERE key = ? AND at >= ?"
                " ORDER BY at DESC, rowid DESC LIMIT ?",
                (key, since, MOST_TURNS_OF_ONE),
            ).fetchall()
        return [
            Turn(mark=mark, backend=backend, read_tokens=orjson.loads(read_tokens), at=at)
            for mark, backend, read_tokens, at in reversed(rows)
        ]

    def add(self, key: str, turn: Turn, *, since: float) -> None:
        """Keeps a turn."""
        row = (key, turn.at, turn.mark, turn.backend, orjson.dumps(dict(turn.read_tokens)).decode())
        with self._opened() as database:
            database.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", row)
            if self._n_added % _EVERY == 0:
                database.execute("DELETE FROM turns WHERE at < ?", (since,))
            self._n_added += 1

    def close(self) -> None:
        """Frees the file; may be called twice."""
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise PenstockError(f"conversations.file: {self._file}: {error}") from error
