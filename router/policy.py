"""What a caller asks for: a policy of models.yaml, and the wishes of one request on top of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from ..backends import TIERS, ConfigError, Tier

if TYPE_CHECKING:
    from ..classifiers.certificate import Certificate

WHEN_UNSURE = ("safe", "cheap")
ON_HOLD = ("buffer", "release")
DEFAULT_LAM = 20.0  # quality per US dollar
MAX_CALLS = 5
_MOST_TOKENS = 10_000_000
NEAR_BEST = "near_best"  # the objective that is `utility` at a lam which training found
NOBODY = "*"  # in `deny`: every backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The trade-off asked for. `options` are keys that only a third party's objective knows."""

    name: str
    objective: str = "utility"
    lam: float = DEFAULT_LAM  # quality given up for a dollar saved
    quality: float = 0.8  # the floor of `cheapest_above`
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    min_quality: float | None = None
    effort: str | None = None
    budget: int | None = None  # the most reasoning tokens to spend on one call
    floor: Tier | None = None  # no backend of a lower tier may answer
    floor_rule: str = ""  # the rule of models.yaml that raised the floor to this
    allow: tuple[str, ...] = ()  # empty: all
    deny: tuple[str, ...] = ()
    max_calls: int = MAX_CALLS
    deadline_s: float | None = None  # of all calls for one query together
    robust: bool = False  # decide by what a few words at one end of a query cannot move
    when_unsure: str | None = None  # `safe` or `cheap`: what to ask where a query is unlike the training queries
    on_hold: str = "buffer"  # of a streamed answer that may still be replaced: held back, or passed on unchecked
    judge: str = ""  # the backend that may be asked whether an answer is right
    speculate: bool = False  # begin the likely next call before the first has ended, to keep to `max_latency_s`
    margin: float = 0.02  # what `near_best` and `within_of_best` may lose, on average,
    risk: float = 0.05  # and `within_of_best` with at most this chance that it loses more
    best: str = field(default="", compare=False)  # of `near_best`: whom to ask where no lam saves, see `promise`
    certificate: Certificate | None = field(default=None, compare=False)  # of `within_of_best`, see `promise`
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names_backend(self) -> str | None:
        """The backend that it stands for, where a caller named one and nothing hangs on what is expected of it."""
        if self.allow != (self.name,):
            return None
        is_free = self.min_quality is None and self.max_cost_usd is None
        return self.name if is_free and self.max_latency_s is None and self.budget is None else None

    def at(self, lam: float) -> Policy:
        """Returns the policy with this lam, which it does not leave to training then."""
        return replace(self, lam=lam, objective="utility" if self.objective == NEAR_BEST else self.objective)

    def above(self, tier: Tier, *, rule: str) -> Policy:
        """Returns the policy with its floor raised to a tier by a rule; where it is as high already, as it is."""
        if higher_floor(self.floor, tier) == self.floor:
            return self
        return replace(self, floor=tier, floor_rule=rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """Per-request wishes; None leaves the policy's own."""

    lam: float | None = None
    min_quality: float | None = None
    max_cost_usd: float | None = None
    max_latency_s: float | None = None
    effort: str | None = None
    budget: int | None = None
    floor: Tier | None = None
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] | None = None
    conversation: str | None = None  # the caller's name for the conversation that the request is part of

    def __post_init__(self) -> None:
        """Refuses what is no wish.

        Raises:
            ConfigError: a number out of range, or names that are no list of texts.
        """
        for name in _NUMBERS:
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _number(value, where=f"wishes.{name}", most=_NUMBERS[name]))
        for name in ("allow", "deny"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _names(value, where=f"wishes.{name}"))
        if self.effort is not None and not isinstance(self.effort, str):
            raise ConfigError(f"wishes.effort: expected a name such as low, got {self.effort!r}")
        if self.budget is not None:
            object.__setattr__(self, "budget", _tokens(self.budget, where="wishes.budget"))
        if self.floor is not None:
            object.__setattr__(self, "floor", _tier(self.floor, where="wishes.floor"))
        if self.conversation is not None:
            object.__setattr__(self, "conversation", _label(self.conversation, where="wishes.conversation"))

    def over(self, others: Wishes) -> Wishes:
        """Returns the other wishes with these, where given, in their places."""
        if self is NO_WISHES:
            return others
        given = {name: value for name in WISH_NAMES if (value := getattr(self, name)) is not None}
        return replace(others, **given) if given else others

    def on(self, policy: Policy) -> Policy:
        """Returns the policy with these wishes in it; of two limits the tighter holds."""
        changes: dict[str, Any] = {}
        if self.lam is not None:
            policy = policy.at(self.lam)
        if self.effort is not None:
            changes["effort"] = self.effort
        for name, tighter in _TIGHTER.items():
            wished, given = getattr(self, name), getattr(policy, name)
            if wished is not None:
                changes[name] = wished if given is None else tighter(wished, given)
        if self.allow is not None:
            changes["allow"] = tuple(n for n in self.allow if n in policy.allow) if policy.allow else self.allow
            if not changes["allow"]:  # an empty `allow` stands for all, so nobody has to be said otherwise
                changes["deny"] = (*policy.deny, NOBODY)
        if policy.judge and (
            policy.judge in (self.deny or ()) or (self.allow is not None and policy.judge not in self.allow)
        ):
            changes["judge"] = ""
        if self.deny:
            changes["deny"] = (*changes.get("deny", policy.deny), *self.deny)
        return replace(policy, **changes) if changes else policy


def higher_floor(floor: Tier | None, other: Tier) -> Tier:
    """Returns the higher of two floors, of which there may be but one.

    >>> higher_floor(None, "mid"), higher_floor("lrm", "mid")
    ('mid', 'lrm')
    """
    return other if floor is None else max(floor, other, key=TIERS.index)


_TIGHTER: Mapping[str, Callable[[Any, Any], Any]] = {
    "max_cost_usd": min,
    "max_latency_s": min,
    "min_quality": max,
    "budget": min,
    "floor": lambda wished, given: higher_floor(given, wished),
}
_MOST_SIGNS = 200  # of the name of a conversation
_NUMBERS = {"lam": math.inf, "min_quality": 1.0, "max_cost_usd": math.inf, "max_latency_s": math.inf}
WISH_NAMES = tuple(field.name for field in fields(Wishes))
NO_WISHES = Wishes()


def read_wishes(values: Mapping[str, Any], *, where: str) -> Wishes:
    """Returns the wishes in a JSON object; numbers and lists may also come as text, as they do in headers.

    Raises:
        ConfigError: an unknown wish or a value of the wrong kind.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected an object with some of {', '.join(WISH_NAMES)}")
    if not values:
        return NO_WISHES
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in WISH_NAMES:
            raise ConfigError(f"{where}: unknown wish {name!r}; expected one of {', '.join(WISH_NAMES)}")
        if value is None:
            continue
        if name in ("allow", "deny"):
            names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
            read[name] = tuple(part for part in _names(names, where=f"{where}.{name}") if part)
        elif name == "effort":
            if not isinstance(value, str):
                raise ConfigError(f"{where}.effort: expected a name such as low, got {value!r}")
            read[name] = value.strip() or None
        elif name == "budget":
            read[name] = _tokens(value, where=f"{where}.budget")
        elif name == "floor":
            read[name] = _tier(value, where=f"{where}.floor")
        elif name == "conversation":
            read[name] = _label(value, where=f"{where}.conversation")
        else:
            read[name] = _number(value, where=f"{where}.{name}", most=_NUMBERS[name])
    return Wishes(**read)


def _names(value: Any, *, where: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(part, str) for part in value):
        raise ConfigError(f"{where}: expected a list of backend names, got {value!r}")
    return tuple(value)


def _tokens(value: Any, *, where: str) -> int:
    number = _number(value, where=where, most=_MOST_TOKENS)
    if number != int(number):
        raise ConfigError(f"{where}: expected a whole number of tokens, got {value!r}")
    return int(number)


def _label(value: Any, *, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value.strip()) <= _MOST_SIGNS:
        raise ConfigError(f"{where}: expected a text of 1 to {_MOST_SIGNS} signs, got {value!r:.60}")
    return value.strip()


def _tier(value: Any, *, where: str) -> Tier:
    for tier in TIERS:
        if value == tier:
            return tier
    raise ConfigError(f"{where}: unknown tier {value!r:.60}; expected one of {', '.join(TIERS)}")


def _number(value: Any, *, where: str, most: float) -> float:
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    # A lam without end times a price of 0 is no number.
    if not (0 <= number <= most and math.isfinite(number)):
        allowed = f"from 0 to {most:g}" if math.isfinite(most) else "of 0 or more"
        raise ConfigError(f"{where}: expected a number {allowed}, got {value!r}")
    return number
