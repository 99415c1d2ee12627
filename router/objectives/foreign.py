"""A third party's objective, held to the contract: a slip of its author's never costs more than a policy allows."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from ...backends import ConfigError, PenstockError
from ...backends.errors import FOREIGN_ERRORS
from ..outlook import Outlook, Tried
from ..policy import Policy


class ForeignObjective:
    """The inner objective; it stops where a limit of the policy would be broken, whatever the inner one says."""

    def __init__(self, name: str, kind: Callable[[], Any]) -> None:
        self._name = name
        try:
            self._inner = kind()
        except FOREIGN_ERRORS as error:
            told = f"{type(error).__name__}: {error}"
            raise ConfigError(f"objective: {name} cannot be made without arguments: {told}") from error

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the backend to ask first."""
        place = self._said("start", lambda: self._inner.start(outlook, policy))
        return self._place("start", place, len(outlook.backends))

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the place of the backend to ask next, or None to stop."""
        said = self._said("escalate", lambda: self._inner.escalate(outlook, policy, tried))
        if said is None:
            return None
        place = self._place("escalate", said, len(outlook.names))
        if place in [call.place for call in tried]:
            raise PenstockError(f"{self._told('escalate', said)}, which was tried; expected another place, or None")
        checks = outlook.checks.cost_usd.tolist() if outlook.checks else []
        left_usd = outlook.budget_usd - sum(call.cost_usd for call in tried)
        is_allowed = len(tried) < outlook.max_calls and [*outlook.cost_usd.tolist(), *checks][place] <= left_usd
        return place if is_allowed else None

    def _said(self, method: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except PenstockError:
            raise
        except FOREIGN_ERRORS as error:
            told = f"{type(error).__name__}: {error}"
            raise PenstockError(f"objective {self._name}: {method}() raised {told}") from error

    def _place(self, method: str, said: Any, n_places: int) -> int:
        try:
            place = operator.index(said)
        except TypeError:
            place = -1
        if not 0 <= place < n_places:
            raise PenstockError(f"{self._told(method, said)}; expected a place from 0 to {n_places - 1}")
        return place

    def _told(self, method: str, said: Any) -> str:
        return f"objective {self._name}: {method}() returned {said!r:.60}"
