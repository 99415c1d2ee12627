"""What models.yaml says of shadow calls: which share of requests another backend is asked too, at what cost."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .document import Section

SHADOW_KEYS = ("share", "max_usd_per_day", "backends", "concurrency")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowShare:
    """A share of the answered requests, drawn at random."""

    share: float
    max_usd_per_day: float  # days are those of UTC
    backends: tuple[str, ...] = ()  # that may be asked; empty: all
    concurrency: int = 4  # shadow calls at once


def read_shadow(section: Section, *, backends: Iterable[str], is_logged: bool) -> ShadowShare | None:
    """Returns what stands under `shadow`, None where nothing does."""
    if not list(section):
        return None
    section.only(SHADOW_KEYS)
    share = section.number("share", required=True, least=0.0, most=1.0)
    if share and not is_logged:
        raise section.error("share", "its answers go to the trace log only; expected `traces: {folder: ...}` too")
    known = tuple(backends)
    for name in section.names("backends"):
        if name not in known:
            raise section.error("backends", f"unknown backend {name!r}; expected some of {', '.join(known)}")
    return ShadowShare(
        share=share,
        max_usd_per_day=section.number("max_usd_per_day", required=True, above=0.0),
        backends=section.names("backends"),
        concurrency=section.integer("concurrency", default=4, least=1),
    )
