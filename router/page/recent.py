"""The latest requests, kept for the page: what they cost and how they went, never what was asked or answered unless
models.yaml says that content may be kept.
"""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from dataclasses import astuple, dataclass

from ...backends.quick import maker, quick
from ..exchange import GONE, Exchange
from ..figures import Figures, Rows
from ..formats import FORMATS
from ..keys import Key

MOST = 300  # requests that are kept
_TOTALS = "totals of a key"  # under which they stand among the figures


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that asked for an answer, and its number."""

    number: int
    exchange: Exchange
    key: Key  # of the exchange


make_request = maker(Request)


@dataclass(slots=True, kw_only=True)
class Totals:
    """Sums over all requests of a key since the start."""

    requests: int = 0
    failed: int = 0
    left: int = 0  # the client went first
    escalated: int = 0
    cost_usd: float = 0.0  # of all calls; a guess of those broken off
    best_cost_usd: float = 0.0  # that of the best backend, for those answered

    def add(self, exchange: Exchange) -> None:
        """Counts a request."""
        self.requests += 1
        self.failed += exchange.status >= 400 and exchange.status != GONE
        self.left += exchange.status == GONE
        self.cost_usd += exchange.cost_usd
        if exchange.chosen is not None:
            self.escalated += exchange.is_escalated
            self.best_cost_usd += exchange.best_cost_usd


class Recent:
    """An observer that keeps the last requests for an answer that were let in, and sums for every key."""

    def __init__(self, *, most: int = MOST) -> None:
        self._requests: deque[Request] = deque(maxlen=most)
        self._totals: defaultdict[str, Totals] = defaultdict(Totals)  # by the key's id
        self._numbers = itertools.count(1)

    def see(self, exchange: Exchange) -> None:
        """Keeps a request."""
        key = exchange.key
        if key is None or exchange.path not in FORMATS:
            return
        self._requests.append(make_request(number=next(self._numbers), exchange=exchange, key=key))
        self._totals[key.id].add(exchange)

    def requests_for(self, key: Key) -> list[Request]:
        """Returns the requests that a key may see, the oldest first."""
        return [request for request in self._requests if key.sees_all or request.key.id == key.id]

    def rows(self) -> Rows:
        """Returns the sums of every key, to be added to those of other processes."""
        return {(_TOTALS, key_id): astuple(totals) for key_id, totals in self._totals.items()}


def totals_for(key: Key, figures: Figures) -> Totals:
    """Returns the sums that a key may see."""
    seen = [row for (name, *of), row in figures.sums.items() if name == _TOTALS and (key.sees_all or of == [key.id])]
    return Totals(**dict(zip(Totals.__slots__, map(sum, zip(*seen, strict=True)), strict=False)))
