"""`objective: near_best` where no trade-off is both near enough to the best backend and cheaper than it."""

from __future__ import annotations

from ..outlook import Outlook, Tried
from ..policy import Policy


class NearBest:
    """Asks the backend that was the best in training, once; where it cannot be asked, the one of the best estimate."""

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the best backend."""
        return place_of(policy.best, outlook)

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns None: whoever else would be asked costs more, and is no better."""
        return None


def place_of(backend: str, outlook: Outlook) -> int:
    """Returns the place of a backend; of the best estimate, where it is not there."""
    return outlook.backends.index(backend) if backend in outlook.backends else int(outlook.quality.argmax())
