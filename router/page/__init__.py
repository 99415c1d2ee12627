"""The page at `/`: what the sidecar did lately, how its backends are, and a place to try a query."""

from __future__ import annotations

from .files import FILES
from .page import Page

ACTIVITY = "/v1/activity"
OPEN = ("/", FILES)  # to whoever can reach us, for they hold nothing

__all__ = ["ACTIVITY", "FILES", "OPEN", "Page"]
