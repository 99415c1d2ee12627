"""Who may do what at the sidecar: API keys, what each of them may ask for, how often, and for how much money."""

from __future__ import annotations

from .bill import Bill
from .guard import Guard
from .key import ANYONE, Key, new_key
from .memory import MemoryStore
from .permission import confined, permitted
from .store import Claim, Store, open_store

__all__ = [
    "ANYONE",
    "Bill",
    "Claim",
    "Guard",
    "Key",
    "MemoryStore",
    "Store",
    "confined",
    "new_key",
    "open_store",
    "permitted",
]
