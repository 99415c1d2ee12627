"""What could not be written: counted, and told in the log now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

logger = logging.getLogger(__name__)

EVERY_S = 60.0


class Losses:
    """Counts losses of `what`, and logs them at most once every `every_s`. Not safe to share among threads."""

    def __init__(self, what: str, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = 0
        self._what = what
        self._every_s = every_s
        self._clock = clock
        self._untold = 0
        self._told_at: float | None = None

    def see(self, reason: str) -> None:
        """Counts one loss."""
        self.total += 1
        self._untold += 1
        now = self._clock()
        if self._told_at is None or now - self._told_at >= self._every_s:
            self._tell(f": {reason}")
            self._told_at = now

    def close(self) -> None:
        """Logs what was not told yet."""
        if self._untold:
            self._tell("")

    def _tell(self, reason: str) -> None:
        logger.error("%s lost: %d more, %d in all%s", self._what, self._untold, self.total, reason)
        self._untold = 0
