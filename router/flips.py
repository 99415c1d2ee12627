"""What would flip a decision: the least change of one figure that makes another backend the first choice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import NoFeasibleBackend
from .policy import Policy

if TYPE_CHECKING:
    from ..classifiers import Contribution, Estimates
    from .decision import Decision

DecideAgain = Callable[["Estimates", Policy], "Decision"]
_Choose = Callable[[float], str]  # the first choice at a value of the figure, "" where nobody can be asked

_FIRST_STEP = 1 / 256  # of the figure's own size; each step is twice as long as the one before
_LAST_STEP = 4096
_N_HALVINGS = 16
_N_TELLING = 6
_LEAST_TELLING = 0.001  # of quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One figure, what it is, and the value nearest to that at which another backend is asked first."""

    figure: str  # `lam`; or `cost_usd` or `quality`, as estimated of the backend that is asked first
    now: float
    then: float
    backend: str  # asked first then

    def as_dict(self) -> dict[str, Any]:
        """Returns the flip as plain JSON values."""
        return {"figure": self.figure, "now": self.now, "then": self.then, "backend": self.backend}


def find_flips(decision: Decision, estimates: Estimates, again: DecideAgain) -> tuple[Flip, ...]:
    """Returns what would flip a decision: of lam the nearest value above and below, of the estimated cost and quality
    of the backend that is asked first the nearest value on either side.

    `again` decides as it was decided, from other estimates or by another policy, and `estimates` are what it was
    decided from. It is called about a hundred times. What flips the decision between two steps and flips it back is not
    seen.
    """
    if len(decision.outlook.backends) == 1:
        return ()

    def with_lam(value: float) -> str:
        return _first(again, estimates, replace(decision.policy, lam=value))

    place = decision.estimates.backends.index(decision.backend)
    quality, cost = float(decision.estimates.quality[place]), float(decision.estimates.cost_usd[place])

    def with_quality(value: float) -> str:
        moved = _moved(estimates.quality, place, value - quality)
        return _first(again, replace(estimates, quality=moved), decision.policy)

    def with_cost(value: float) -> str:
        moved = _moved(estimates.cost_usd, place, value - cost)
        return _first(again, replace(estimates, cost_usd=moved), decision.policy)

    dearest = float(np.nanmax(np.append(decision.estimates.cost_usd, 0.0)))
    lam = decision.policy.lam
    lam_size = lam or (1 / dearest if dearest > 0 else 0.0)  # quality is at most 1, so that lam * cost matters there
    lams = (_nearest("lam", decision.backend, with_lam, lam, steps) for steps in _both_ways(lam, lam_size, np.inf))
    costs = (
        _nearest("cost_usd", decision.backend, with_cost, cost, steps)
        for steps in _both_ways(cost, cost or dearest, np.inf)
    )
    qualities = (
        _nearest("quality", decision.backend, with_quality, quality, steps) for steps in _both_ways(quality, 1.0, 1.0)
    )
    return tuple(flip for flip in (*lams, *costs, *qualities) if flip is not None)


def telling(
    contributions: Sequence[Contribution], decision: Decision, flips: Sequence[Flip]
) -> tuple[Contribution, ...]:
    """Returns the few contributions that move most the lead in quality of the backend that is asked first over the one
    that the last of the flips would put in its place; over nothing, where none would.
    """
    names = decision.estimates.backends
    first = names.index(decision.backend)
    rival = names.index(flips[-1].backend) if flips else None

    def lead(item: Contribution) -> float:
        return abs(float(item.quality[first] - (0.0 if rival is None else item.quality[rival])))

    found = [item for item in contributions if lead(item) >= _LEAST_TELLING]
    return tuple(sorted(found, key=lead, reverse=True)[:_N_TELLING])


def _first(again: DecideAgain, estimates: Estimates, policy: Policy) -> str:
    try:
        return again(estimates, policy).backend
    except NoFeasibleBackend:
        return ""


def _moved(values: np.ndarray[Any, np.dtype[np.float64]], place: int, by: float) -> Any:
    moved = values.copy()
    moved[place] += by
    return moved


def _both_ways(now: float, size: float, most: float) -> tuple[Iterator[float], ...]:
    """Returns the values to try above and below a figure; none where it is not known."""
    if not (np.isfinite(now) and size > 0):
        return ()
    return _steps(now, size, least=0.0, most=most), _steps(now, -size, least=0.0, most=most)


def _steps(now: float, size: float, *, least: float, most: float) -> Iterator[float]:
    """Yields values further and further from `now`, the last of them a bound where that is reached."""
    share, value = _FIRST_STEP, now
    while share <= _LAST_STEP and (least < value if size < 0 else value < most):
        value = min(max(now + share * size, least), most)
        yield value
        share *= 2


def _nearest(figure: str, backend: str, choose: _Choose, now: float, values: Iterable[float]) -> Flip | None:
    """Returns the flip between the last value that leaves the choice as it is and the first that does not."""
    last = now
    for value in values:
        found = choose(value)
        if found not in ("", backend):
            then = value
            for _ in range(_N_HALVINGS):
                middle = (last + then) / 2
                other = choose(middle)
                if other in ("", backend):
                    last = middle
                else:
                    then, found = middle, other
            return Flip(figure=figure, now=now, then=then, backend=found)
        last = value
    return None
