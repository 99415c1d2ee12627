"""Keys and counters in a SQLite file: they survive a restart, and processes of one machine share them."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import orjson

from ..database import Database
from .key import Key
from .store import Claim

_VERSION = 1
_SETUP = """
CREATE TABLE IF NOT EXISTS keys (id TEXT PRIMARY KEY, created_at REAL NOT NULL, record TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, total REAL NOT NULL, expires_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS expiry ON counters (expires_at);
"""
_ADD = """
INSERT INTO counters VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET total = total + excluded.total
"""


class SqliteStore:
    """Keeps everything in one file that only its owner can read."""

    def __init__(self, file: Path) -> None:
        self._database = Database(file, setting="keys.file", setup=_SETUP, version=_VERSION)

    def find(self, id: str) -> Key | None:
        """Returns the key of an id."""
        with self._database.reading() as database:
            row = database.execute("SELECT record FROM keys WHERE id = ?", (id,)).fetchone()
        return _key_of(row[0]) if row else None

    def all_keys(self) -> list[Key]:
        """Returns every key, the oldest first."""
        with self._database.reading() as database:
            rows = database.execute("SELECT record FROM keys ORDER BY created_at, id").fetchall()
        return [_key_of(record) for (record,) in rows]

    def put(self, key: Key) -> None:
        """Keeps a key, in the place of the one with its id."""
        row = (key.id, key.created_at, orjson.dumps(asdict(key)).decode())
        with self._database.writing() as database:
            database.execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", row)

    def charge(self, claims: Sequence[Claim], *, now: float) -> tuple[float, ...]:
        """Returns the totals as they were; adds all amounts or none."""
        with self._database.writing() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                database.execute("DELETE FROM counters WHERE expires_at <= ?", (now,))
                totals = tuple(_total(database, claim.counter) for claim in claims)
                if all(total < claim.limit for total, claim in zip(totals, claims, strict=True)):
                    rows = [(claim.counter, claim.amount, claim.expires_at) for claim in claims if claim.amount]
                    database.executemany(_ADD, rows)
                database.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # of some failures SQLite has rolled back by itself
                    database.execute("ROLLBACK")
                raise
        return totals

    def close(self) -> None:
        """Frees the file; may be called twice."""
        self._database.close()


def _total(database: sqlite3.Connection, counter: str) -> float:
    row = database.execute("SELECT total FROM counters WHERE name = ?", (counter,)).fetchone()
    return float(row[0]) if row else 0.0


@functools.lru_cache(maxsize=1024)
def _key_of(record: str) -> Key:
    fields = orjson.loads(record)
    return Key(**fields | {name: tuple(fields[name]) for name in ("policies", "backends")})
