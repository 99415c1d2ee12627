"""What a key is, and in which windows of time it is held to its limits."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from penstock.router.keys import Key, new_key
from penstock.router.keys.key import id_in
from penstock.router.keys.limits import limits_of

KEY = Key(id="", name="me", digest="", created_at=0.0)


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp()


def test_a_new_key_is_held_by_its_text_only() -> None:
    key, text = new_key(KEY)
    assert key.is_held_by(text)
    assert not key.is_held_by(text + "x")
    assert not key.is_held_by(text[:-1])
    assert not key.is_held_by("")
    assert not key.is_held_by("größer\udc80")


def test_a_revoked_key_is_held_by_nobody() -> None:
    key, text = new_key(KEY)
    assert not replace(key, revoked_at=1.0).is_held_by(text)


def test_keys_are_long_and_never_the_same() -> None:
    texts = {new_key(KEY)[1] for _ in range(50)}
    assert len(texts) == 50
    assert all(len(text.split("_", 2)[2]) >= 43 for text in texts)


def test_what_is_kept_of_a_key_does_not_hold_its_secret() -> None:
    key, text = new_key(KEY)
    assert text.split("_", 2)[2] not in repr(key)
    assert id_in(text) == key.id


@pytest.mark.parametrize("text", ["", "sk-proj-1", "penstock", "penstock_", "penstock_1", "penstock_1_", "other_1_2"])
def test_what_is_no_key_of_ours_names_no_id(text: str) -> None:
    assert id_in(text) == ""


@pytest.mark.parametrize(
    ("now", "minute", "day", "month"),
    [
        ("2026-11-21T10:30:59", "2026-11-21T10:31:00", "2026-11-22", "2026-12-01"),
        ("2026-12-31T23:59:59", "2027-01-01", "2027-01-01", "2027-01-01"),
        ("2028-02-29T00:00:00", "2028-02-29T00:01:00", "2028-03-01", "2028-03-01"),
        ("2026-01-31T12:00:00", "2026-01-31T12:01:00", "2026-02-01", "2026-02-01"),
    ],
)
def test_windows_end_with_the_clock_and_the_calendar(now: str, minute: str, day: str, month: str) -> None:
    ends = [limit.ends_at for limit in limits_of(KEY, at(now))]
    assert ends == [at(minute), at(minute), at(day), at(month)]


def test_every_window_has_a_counter_of_its_own() -> None:
    key = replace(KEY, id="a")
    now = {limit.counter for limit in limits_of(key, at("2026-11-30T23:59:59"))}
    later = {limit.counter for limit in limits_of(key, at("2026-12-01"))}
    others = {limit.counter for limit in limits_of(replace(key, id="b"), at("2026-12-01"))}
    assert len(now | later | others) == 12
