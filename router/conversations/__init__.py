"""Conversations: who answered what, so that the next request of one is decided with its past in view."""

from .conversations import CACHED_S, KEPT_S, Conversations
from .memory import MemoryTurns
from .staying import past_in_words, savings_usd, tier_drops, with_savings
from .store import TurnStore, open_turns
from .turn import NO_PAST, Past, Turn

__all__ = [
    "CACHED_S",
    "KEPT_S",
    "NO_PAST",
    "Conversations",
    "MemoryTurns",
    "Past",
    "Turn",
    "TurnStore",
    "open_turns",
    "past_in_words",
    "savings_usd",
    "tier_drops",
    "with_savings",
]
