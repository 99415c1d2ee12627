"""How long one backend has taken lately."""

from __future__ import annotations

import math
from collections import deque

_MOST = 128  # times that are kept; the older ones say little about now
_ENOUGH = 20  # times before a high quantile means anything
_USUAL = 0.95


class Times:
    """The last so many times of one kind, in seconds."""

    def __init__(self) -> None:
        self._seen: deque[float] = deque(maxlen=_MOST)

    def see(self, seconds: float) -> None:
        """Takes a time."""
        self._seen.append(seconds)

    def quantile(self, share: float) -> float | None:
        """Returns the time that this share of calls did not exceed; None while too few were seen.

        >>> times = Times()
        >>> for n in range(100): times.see(n / 10)
        >>> times.quantile(0.95)
        9.4
        """
        return self._quantile(share) if len(self._seen) >= _ENOUGH else None

    def are_exceeded_by(self, seconds: float) -> bool:
        """Returns whether a time is longer than is usual; any is where nothing is known."""
        return not self._seen or seconds > self._quantile(_USUAL)

    def _quantile(self, share: float) -> float:
        return sorted(self._seen)[max(math.ceil(share * len(self._seen)) - 1, 0)]


class Pace:
    """The times of one backend's calls, waiting for a turn left out."""

    def __init__(self) -> None:
        self.first = Times()  # to the first piece of a stream
        self.whole = Times()  # to the whole answer, where it is not streamed
