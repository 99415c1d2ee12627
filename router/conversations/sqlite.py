"""Turns in a SQLite file: processes of one machine share them, and they survive a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson

from ..database import Database
from .memory import MOST_TURNS_OF_ONE
from .turn import Turn

_VERSION = 1
_EVERY = 256  # turns, after which those that are too old are removed
# What was noted last may be lost in a power cut; a conversation then counts as new, which costs little.
_SETUP = """
CREATE TABLE IF NOT EXISTS turns (
    key TEXT NOT NULL, at REAL NOT NULL, mark TEXT NOT NULL, backend TEXT NOT NULL, read_tokens TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_key ON turns (key, at);
CREATE INDEX IF NOT EXISTS by_age ON turns (at);
"""


class SqliteTurns:
    """Keeps turns in one file that only its owner can read; none of what was said is in it."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file, setting="conversations.file", setup=_SETUP, version=_VERSION)
        self._n_added = 0

    def turns(self, key: str, *, since: float) -> Sequence[Turn]:
        """Returns the turns of a conversation."""
        with self._database.reading() as database:
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
        with self._database.writing() as database:
            database.execute("INSERT INTO turns VALUES (?, ?, ?, ?, ?)", row)
            if self._n_added % _EVERY == 0:
                database.execute("DELETE FROM turns WHERE at < ?", (since,))
            self._n_added += 1

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._database.close()
