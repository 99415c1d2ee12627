"""Every store keeps the same promises."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.backends import ConfigError, PenstockError
from penstock.router.keys import Claim, Key, MemoryStore, Store, new_key, open_store
from penstock.router.keys.sqlite import SqliteStore

from ..serving import PATIENCE_S
from ..test_server_command import ENVIRONMENT

KEY = Key(
    id="1",
    name="one",
    digest="ab",
    created_at=5.0,
    policies=("auto",),
    backends=("small", "lrm@low"),
    rpm=3,
    tpm=None,
    budget_usd_day=0.5,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else open_store(tmp_path / "keys.db")
    yield store
    store.close()
    store.close()


def claim(amount: float, *, counter: str = "c", limit: float = math.inf, expires_at: float = 100.0) -> Claim:
    return Claim(counter=counter, amount=amount, limit=limit, expires_at=expires_at)


def test_a_key_comes_back_as_it_was_put(store: Store) -> None:
    store.put(KEY)
    assert store.find("1") == KEY
    assert store.find("2") is None


def test_a_key_takes_the_place_of_the_one_with_its_id(store: Store) -> None:
    store.put(KEY)
    store.put(replace(KEY, revoked_at=9.0))
    assert store.find("1") == replace(KEY, revoked_at=9.0)
    assert len(store.all_keys()) == 1


def test_keys_are_listed_the_oldest_first(store: Store) -> None:
    for place in (3, 1, 2):
        store.put(replace(KEY, id=str(place), created_at=float(place)))
    assert [key.id for key in store.all_keys()] == ["1", "2", "3"]


def test_a_charge_tells_the_totals_before_it(store: Store) -> None:
    assert store.charge([claim(2.0), claim(0.5, counter="d")], now=0.0) == (0.0, 0.0)
    assert store.charge([claim(0.0), claim(0.0, counter="d")], now=0.0) == (2.0, 0.5)


def test_one_counter_at_its_limit_keeps_all_from_being_charged(store: Store) -> None:
    store.charge([claim(2.0)], now=0.0)
    assert store.charge([claim(1.0, counter="d"), claim(1.0, limit=2.0)], now=0.0) == (0.0, 2.0)
    assert store.charge([claim(0.0), claim(0.0, counter="d")], now=0.0) == (2.0, 0.0)


def test_a_counter_is_forgotten_when_it_ends(store: Store) -> None:
    store.charge([claim(2.0, expires_at=60.0)], now=0.0)
    assert store.charge([claim(0.0, expires_at=60.0)], now=59.9) == (2.0,)
    assert store.charge([claim(0.0)], now=60.0) == (0.0,)


def test_threads_that_charge_at_once_never_pass_a_limit(store: Store) -> None:
    def charge(_: int) -> bool:
        return store.charge([claim(1.0, limit=50.0)], now=0.0)[0] < 50

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(charge, range(80))) == 50
    assert store.charge([claim(0.0)], now=0.0) == (50.0,)


def test_a_file_survives_its_process_and_is_shared(tmp_path: Path) -> None:
    first, second = open_store(tmp_path / "keys.db"), open_store(tmp_path / "keys.db")
    first.put(KEY)
    first.charge([claim(2.0)], now=0.0)
    assert second.find("1") == KEY
    assert second.charge([claim(1.0)], now=0.0) == (2.0,)
    first.close()
    second.close()
    third = open_store(tmp_path / "keys.db")
    assert third.charge([claim(0.0)], now=0.0) == (3.0,)
    third.close()


def test_what_another_process_writes_is_seen_where_one_has_opened_the_file_twice(tmp_path: Path) -> None:
    file = tmp_path / "keys.db"
    script = f"""
import sys
from pathlib import Path
from penstock.router.keys import Key, open_store
store = open_store(Path({str(file)!r}))
store.put(Key(id=sys.argv[1], name="n", digest="ab", created_at=1.0))
store.close()
"""

    def put_elsewhere(id: str) -> None:
        subprocess.run([sys.executable, "-c", script, id], env=ENVIRONMENT, check=True, timeout=PATIENCE_S)

    with contextlib.closing(open_store(file)) as store:
        store.put(KEY)
        with contextlib.closing(open_store(file)):  # as the sidecar does, for its keys and for what shadow calls cost
            for id in ("2", "3"):
                put_elsewhere(id)
                assert store.find(id) is not None
            store.charge([claim(5.0)], now=1.0)
            put_elsewhere("4")
    with contextlib.closing(open_store(file)) as store:
        assert store.charge([claim(1.0)], now=1.0) == (5.0,)


def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    store = open_store(tmp_path / "keys.db")
    store.put(KEY)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    store.close()
    assert "keys.db-wal" in modes
    assert set(modes.values()) == {0o600}


def test_only_the_owner_can_read_a_file_that_a_link_stands_for(tmp_path: Path) -> None:
    (tmp_path / "keys.db").symlink_to(tmp_path / "real.db")
    open_store(tmp_path / "keys.db").close()
    assert stat.S_IMODE((tmp_path / "real.db").stat().st_mode) == 0o600


def test_the_key_itself_is_in_no_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "keys.db")
    key, text = new_key(KEY)
    store.put(key)
    contents = [path.read_bytes() for path in tmp_path.iterdir()]
    store.close()
    secret = text.rpartition(f"{key.id}_")[2].encode()
    assert any(key.digest.encode() in content for content in contents)
    assert not any(secret in content for content in contents)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.db").write_text("keys, keys, keys " * 100)
    with pytest.raises(ConfigError, match=r"keys\.file: .*keys\.db: cannot be opened: file is not a database"):
        open_store(tmp_path / "keys.db")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"keys\.file: .*cannot be opened"):
        open_store(tmp_path / "none" / "keys.db")


def test_a_file_of_a_later_version_is_refused(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "keys.db")
    database.execute("PRAGMA user_version = 2")
    database.close()
    with pytest.raises(ConfigError, match="of version 2; expected 1"):
        open_store(tmp_path / "keys.db")


def test_where_the_file_stays_locked_only_the_first_change_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.router.database._WAIT_S", 0.05)
    store = SqliteStore(tmp_path / "keys.db")

    def wait_ms() -> int:
        with store._database.reading() as database:
            (found,) = database.execute("PRAGMA busy_timeout").fetchone()
        return int(found)

    with contextlib.closing(sqlite3.connect(tmp_path / "keys.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert wait_ms() == 50
        for _ in range(2):
            with pytest.raises(PenstockError, match="locked"):
                store.charge([claim(1)], now=1.0)
            assert store.find("1") is None
            assert wait_ms() == 0
        other.execute("ROLLBACK")
    assert store.charge([claim(1)], now=1.0) == (0.0,)
    assert wait_ms() == 50
    store.close()


def test_a_store_that_was_closed_says_so_as_an_error_of_ours(tmp_path: Path) -> None:
    store = open_store(tmp_path / "keys.db")
    store.close()
    with pytest.raises(PenstockError, match=r"keys\.file: .*closed"):
        store.find("1")
