"""What every store of turns does, and that they are bounded."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.backends import ConfigError, PenstockError
from penstock.router.conversations import MemoryTurns, Turn, TurnStore, open_turns
from penstock.router.conversations.memory import MOST_TURNS_OF_ONE


def turn(mark: str, at: float = 0.0, backend: str = "small") -> Turn:
    return Turn(mark=mark, backend=backend, read_tokens={"small": 10, "lrm": 0}, at=at)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TurnStore]:
    """Yields an empty store."""
    store = open_turns(tmp_path / "turns.sqlite" if request.param == "sqlite" else None)
    yield store
    store.close()
    store.close()


def test_turns_come_back_as_they_were_in_order(store: TurnStore) -> None:
    for n in range(5):
        store.add("a", turn(f"m{n}", float(n)), since=0)
    store.add("b", turn("other", 9.0), since=0)
    assert store.turns("a", since=0) == [turn(f"m{n}", float(n)) for n in range(5)]
    assert store.turns("nobody", since=0) == []


def test_what_is_too_old_does_not_come_back(store: TurnStore) -> None:
    store.add("a", turn("old", 1.0), since=0)
    store.add("a", turn("new", 5.0), since=2.0)
    assert [one.mark for one in store.turns("a", since=2.0)] == ["new"]


def test_memory_forgets_the_conversations_that_were_left_longest_ago() -> None:
    store = MemoryTurns(most=3)
    for key in ("a", "b", "a", "c"):
        store.add(key, turn("m"), since=0)
    assert [len(store.turns(key, since=0)) for key in "abc"] == [2, 0, 1]
    store.add("d", turn("late", 9.0), since=5.0)
    assert [len(store.turns(key, since=0)) for key in "acd"] == [0, 0, 1]


def test_of_a_long_conversation_the_latest_turns_come_back(store: TurnStore) -> None:
    for n in range(MOST_TURNS_OF_ONE + 10):
        store.add("a", turn(f"m{n}"), since=0)
    kept = store.turns("a", since=0)
    assert (len(kept), kept[-1].mark) == (MOST_TURNS_OF_ONE, f"m{MOST_TURNS_OF_ONE + 9}")


def test_a_file_is_shared_survives_and_is_its_owners(tmp_path: Path) -> None:
    file = tmp_path / "turns.sqlite"
    one, other = open_turns(file), open_turns(file)
    one.add("a", turn("m"), since=0)
    assert [kept.mark for kept in other.turns("a", since=0)] == ["m"]
    one.close()
    other.close()
    again = open_turns(file)
    assert [kept.mark for kept in again.turns("a", since=0)] == ["m"]
    again.close()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_file_that_is_none_is_refused_with_its_name(tmp_path: Path) -> None:
    file = tmp_path / "turns.sqlite"
    file.write_text("no database, but long enough to look at" * 30)
    with pytest.raises(ConfigError, match=r"conversations\.file: .*turns\.sqlite: cannot be opened"):
        open_turns(file)
    with pytest.raises(ConfigError, match=r"conversations\.file: .*cannot be opened"):
        open_turns(tmp_path / "nowhere" / "turns.sqlite")


def test_a_file_that_fails_later_is_an_error_of_ours(tmp_path: Path) -> None:
    store = open_turns(tmp_path / "turns.sqlite")
    store.close()
    with pytest.raises(PenstockError, match=r"turns\.sqlite"):
        store.turns("a", since=0)
