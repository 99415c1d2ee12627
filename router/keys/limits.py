"""The limits of a key, each with the window of time that it holds for and the counter that it is held against."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .key import Key

_MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A most, in a window that ends; `most` None: counted, but not limited."""

    unit: str  # requests, tokens or usd
    window: str  # minute, day or month; by the clock, days and months those of UTC
    most: float | None
    counter: str
    ends_at: float


def limits_of(key: Key, now: float) -> tuple[Limit, ...]:
    """Returns what a key is held to in the windows of this moment."""
    windows = _windows_of(int(now // _MINUTE_S))
    rows = (
        ("requests", "minute", key.rpm),
        ("tokens", "minute", key.tpm),
        ("usd", "day", key.budget_usd_day),
        ("usd", "month", key.budget_usd_month),
    )
    return tuple(
        Limit(unit=unit, window=window, most=most, counter=f"{key.id}:{unit}:{window}:{label}", ends_at=ends_at)
        for unit, window, most in rows
        for label, ends_at in (windows[window],)
    )


def day_of(now: float) -> tuple[str, float]:
    """Returns the name of the day of UTC that a moment is in, and its end."""
    return _windows_of(int(now // _MINUTE_S))["day"]


@functools.lru_cache(maxsize=2)
def _windows_of(minute: int) -> Mapping[str, tuple[str, float]]:
    """Returns the label and the end of every window that a minute since 1970 is in."""
    day = datetime.fromtimestamp(minute * _MINUTE_S, UTC).replace(hour=0, minute=0)
    next_month = (day.replace(day=28) + timedelta(days=4)).replace(day=1)
    return {
        "minute": (str(minute), float((minute + 1) * _MINUTE_S)),
        "day": (day.date().isoformat(), (day + timedelta(days=1)).timestamp()),
        "month": (day.strftime("%Y-%m"), next_month.timestamp()),
    }
