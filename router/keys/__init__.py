"""Who may do what at the sidecar: API keys, what each of them may ask for, how often, and for how much money."""

from __future__ import annotations

from .cross_site import refuse_cross_site, refuse_from_afar
from .guard import Guard
from .key import ANYONE, Key, new_key
from .memory import MemoryStore
from .permission import check_scored, confined, decision_for, error_for, permitted
from .store import Claim, Store, open_store

__all__ = [
    "ANYONE",
    "Claim",
    "Guard",
    "Key",
    "MemoryStore",
    "Store",
    "check_scored",
    "confined",
    "decision_for",
    "error_for",
    "new_key",
    "open_store",
    "permitted",
    "refuse_cross_site",
    "refuse_from_afar",
]
