"""Trade-offs: each turns an outlook into the backend to start with and the one to go on with."""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol

from ...backends import resolve
from ..outlook import Outlook, Tried
from ..policy import Policy
from .foreign import ForeignObjective

OBJECTIVES = {
    "utility": "penstock.router.objectives.utility:Utility",
    "near_best": "penstock.router.objectives.near_best:NearBest",  # only where training found no lam, see `promise`
    "cheapest_above": "penstock.router.objectives.cheapest_above:CheapestAbove",
    "within_of_best": "penstock.router.objectives.within_of_best:WithinOfBest",
}
OBJECTIVE_METHODS = ("start", "escalate")


class Objective(Protocol):
    """Decides; pure. Built as `Type()`."""

    def start(self, outlook: Outlook, policy: Policy) -> int:
        """Returns the place of the backend to ask first."""
        ...

    def escalate(self, outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
        """Returns the place of the backend to ask next, or None to stop with the most confident answer."""
        ...


@cache
def create_objective(name: str) -> Objective:
    """Returns the objective by its built-in name or `package.module:Class`.

    Raises:
        ConfigError: the name is unknown, or what it stands for cannot be made.
    """
    kind: Any = resolve(name, OBJECTIVES, what="objective", methods=OBJECTIVE_METHODS)
    objective: Objective = kind() if name in OBJECTIVES else ForeignObjective(name, kind)
    return objective


__all__ = ["OBJECTIVES", "OBJECTIVE_METHODS", "Objective", "create_objective"]
