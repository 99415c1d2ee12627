"""An entry under `policies` of models.yaml, read into the policy that it stands for."""

from __future__ import annotations

from collections.abc import Mapping

from ..backends import TIERS, BackendSpec
from .document import Section
from .objectives import OBJECTIVE_METHODS, OBJECTIVES
from .policy import NEAR_BEST, ON_HOLD, WHEN_UNSURE, Policy
from .targets import resolve_in

POLICY_KEYS = (
    "objective", "lam", "quality", "max_calls",
    "max_cost_usd", "max_latency_s", "min_quality", "effort", "budget", "floor", "allow", "deny", "deadline_s",
    "robust", "when_unsure", "margin", "risk", "on_hold", "speculate", "judge",
)  # fmt: skip
# What a certificate knows nothing of.
_UNCERTIFIED = (
    "lam", "quality", "max_calls", "max_cost_usd", "max_latency_s", "min_quality", "effort", "budget", "floor", "allow",
    "deny", "robust", "when_unsure", "speculate", "judge",
)  # fmt: skip


def read_policy(name: str, section: Section, backends: Mapping[str, BackendSpec]) -> Policy:
    """Returns the policy; `backends` are those that it may name."""
    objective = section.text("objective", default="utility")
    resolve_in(section, "objective", objective, OBJECTIVES, methods=OBJECTIVE_METHODS)
    if objective in OBJECTIVES:
        section.only(POLICY_KEYS)
    if section.raw("allow") == []:
        raise section.error("allow", f"allows nobody; expected some of {', '.join(backends)}")
    for key in ("allow", "deny"):
        for backend in section.names(key):
            if backend not in backends:
                raise section.error(key, f"unknown backend {backend!r}; expected some of {', '.join(backends)}")
    if objective == "within_of_best":
        for key in _UNCERTIFIED:
            if section.has(key):
                raise section.error(key, "does not go with within_of_best, whose certificate holds without it only")
    if objective == NEAR_BEST and section.has("lam"):
        raise section.error("lam", "does not go with near_best, whose lam is found in training; expected margin")
    base = Policy(name=name)
    return Policy(
        name=name,
        objective=objective,
        lam=section.number("lam", default=base.lam, least=0.0),
        quality=section.number("quality", default=base.quality, least=0.0, most=1.0),
        max_cost_usd=section.number("max_cost_usd", above=0.0) if section.has("max_cost_usd") else None,
        max_latency_s=section.number("max_latency_s", above=0.0) if section.has("max_latency_s") else None,
        min_quality=section.number("min_quality", least=0.0, most=1.0) if section.has("min_quality") else None,
        deadline_s=section.number("deadline_s", above=0.0) if section.has("deadline_s") else None,
        effort=section.text("effort") or None,
        budget=section.integer("budget", least=0),
        floor=section.choice("floor", TIERS, default="small") if section.has("floor") else None,
        allow=section.names("allow"),
        deny=section.names("deny"),
        max_calls=section.integer("max_calls", default=base.max_calls, least=1),
        robust=section.flag("robust", default=False),
        when_unsure=section.choice("when_unsure", WHEN_UNSURE, default="") if section.has("when_unsure") else None,
        speculate=section.flag("speculate", default=base.speculate),
        judge=_read_judge(section, objective, backends),
        on_hold=section.choice("on_hold", ON_HOLD, default=base.on_hold),
        margin=section.number("margin", default=base.margin, above=0.0, most=0.5),
        risk=section.number("risk", default=base.risk, above=0.0, most=0.5),
        options={key: section.raw(key) for key in section if key not in POLICY_KEYS},
    )


def _read_judge(section: Section, objective: str, backends: Mapping[str, BackendSpec]) -> str:
    name = section.text("judge")
    if name and (name not in backends or backends[name].checks_draft):
        raise section.error("judge", f"unknown backend {name!r}; expected one of {', '.join(backends)}")
    if name and objective not in ("utility", NEAR_BEST):
        raise section.error("judge", f"does not go with {objective}; expected objective utility or {NEAR_BEST}")
    return name
