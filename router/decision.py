"""The decision: which backend to ask first, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import BackendSpec, Query
from ..backends.quick import maker, quick
from .by_name import BY_NAME
from .conversations import NO_PAST, Past, past_in_words, savings_usd, tier_drops, with_savings
from .errors import NoFeasibleBackend
from .feasible import needed_capabilities, wanted_tokens, why_excluded
from .flips import Flip
from .handover import CHECKS_ONLY, Drafts, checks_of, excluded_checkers
from .objectives import create_objective
from .objectives.utility import best_place
from .outlook import FloatArray, Outlook, make_outlook, with_greatest
from .policy import Policy
from .verdicts import can_be_judged, judge_of

if TYPE_CHECKING:
    from ..classifiers import Contribution, Escalation, Estimates, Neighbour

BY_PUBLIC_ANSWERS = "nothing was learned of answers: one that is a number is judged by what public answers show"


@quick
@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """What was decided before any call. `backend` is asked first; the cascade may go on from there."""

    policy: Policy
    backend: str
    outlook: Outlook
    estimates: Estimates
    excluded: Mapping[str, str]  # backend -> the wish that excludes it
    unavailable: Mapping[str, str] = field(default_factory=dict)  # those of the excluded that might be asked later
    past: Past = NO_PAST  # of the conversation
    saved_usd: Mapping[str, float] = field(default_factory=dict)  # by what backends have of it in their caches
    standard_error: FloatArray | None = None  # (n_backends,) of the estimated quality; NaN, or None: not known.
    # Filled by `Router.route`, and so are
    neighbours: tuple[Neighbour, ...] = ()
    flips: tuple[Flip, ...] = ()  # what would make another backend the first choice
    contributions: tuple[Contribution, ...] = ()  # what told most between it and this one
    notes: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """Why this backend, in a few words."""
        why = BY_NAME if self.estimates.source == BY_NAME else self._expectation
        if self.is_unsure:
            why += f"; unlike the training queries, so {_WHEN_UNSURE[self.policy.when_unsure or '']}"
        if self.past.last:
            why += f"; {past_in_words(self.past, self.backend, self.saved_usd)}"
        for name, reason in self.unavailable.items():
            why += f"; without {name}: {reason}"
        return why

    @property
    def _expectation(self) -> str:
        place = self.estimates.backends.index(self.backend)
        quality, cost = float(self.estimates.quality[place]), float(self.estimates.cost_usd[place])
        price = f"${cost:.6f}" if math.isfinite(cost) else "unknown cost"
        return f"{self.policy.objective}: estimated quality {quality:.2f} for {price} ({self.estimates.source})"

    @property
    def is_unsure(self) -> bool:
        """Whether the query is unlike the training queries, and the policy says what to do then."""
        return self.policy.when_unsure is not None and self.estimates.is_unfamiliar

    def expected(self, backend: str) -> float:
        """Returns P(correct) of a backend that may be asked, as the decision has it: where the query is unlike the
        training queries it may not be that of the estimates.
        """
        return float(self.outlook.quality[self.outlook.backends.index(backend)])

    def explain(self) -> str:
        """Returns the whole story as text: estimates, exclusions, what would flip it, nearest training queries."""
        return "\n".join(_explanation(self))

    def as_dict(self) -> dict[str, Any]:
        """Returns the decision as plain JSON values."""
        columns = self.estimates
        errors = [math.nan] * len(columns.backends) if self.standard_error is None else self.standard_error
        return {
            "backend": self.backend,
            "policy": self.policy.name,
            "reason": self.reason,
            "difficulty": plain(columns.difficulty),
            "familiarity": plain(columns.familiarity),
            "is_unfamiliar": columns.is_unfamiliar,
            "source": columns.source,
            "estimates": [
                {
                    "backend": name,
                    "quality": plain(columns.quality[place]),
                    "standard_error": plain(errors[place]),
                    "cost_usd": plain(columns.cost_usd[place]),
                    "output_tokens": plain(columns.output_tokens[place]),
                    "latency_s": plain(columns.latency_s[place]),
                    "excluded": self.excluded.get(name),
                    "checks": self.outlook.checks is not None and name in self.outlook.checks.backends,
                }
                for place, name in enumerate(columns.backends)
            ],
            "neighbours": [
                {
                    "query": neighbour.query,
                    "similarity": plain(neighbour.similarity),
                    "quality": {
                        name: plain(score) for name, score in zip(columns.backends, neighbour.quality, strict=True)
                    },
                }
                for neighbour in self.neighbours
            ],
            "contributions": [
                {
                    "kind": item.kind,
                    "name": item.name,
                    "quality": {
                        name: plain(change) for name, change in zip(columns.backends, item.quality, strict=True)
                    },
                }
                for item in self.contributions
            ],
            "flips": [flip.as_dict() for flip in self.flips],
            "notes": list(self.notes),
        }


make_decision = maker(Decision)


def decide(
    query: Query,
    estimates: Estimates,
    policy: Policy,
    *,
    specs: Mapping[str, BackendSpec],
    escalation: Escalation,
    unavailable: Mapping[str, str] | None = None,
    past: Past = NO_PAST,
    drafts: Drafts | None = None,
) -> Decision:
    """Returns where to start; pure.

    `escalation` has the backends of `estimates` in their order. `unavailable` says of those that cannot be asked now,
    why. `past` is what is known of the conversation. `drafts` says of backends that check answers whose they may be
    given; None: all that traces tell of.

    Raises:
        NoFeasibleBackend: the wishes exclude every backend.
    """
    unavailable = unavailable or {}
    saved_usd = savings_usd(past, specs, estimates.input_tokens) if past.cached_tokens else {}
    estimates = with_savings(estimates, saved_usd)
    unsure = policy.when_unsure if policy.when_unsure is not None and estimates.is_unfamiliar else None
    believed = estimates
    if unsure and estimates.mean_quality is not None:
        believed = replace(estimates, quality=estimates.mean_quality)
    excluded = why_excluded(
        specs,
        believed,
        policy,
        needed=needed_capabilities(query),
        max_tokens=wanted_tokens(query),
        original=query.original,
        unavailable=unavailable,
    )
    excluded |= excluded_checkers(query, specs, estimates.backends, escalation, excluded)
    excluded |= tier_drops(past, specs, excluded, unavailable)
    outlook = outlook_of(believed, escalation, policy, excluded)
    checks = checks_of(believed, escalation, excluded, drafts) if policy.max_calls > 1 else None
    may_judge = policy.judge and can_be_judged(query)
    judge = judge_of(policy, specs, believed, escalation, unavailable) if may_judge else None
    if checks is not None or judge is not None:
        outlook = replace(outlook, checks=checks, judge=judge)
    if len(outlook.backends) == 1:
        place = 0
    elif unsure:
        place = best_place(outlook.quality if unsure == "safe" else -outlook.cost_usd, outlook)
    else:
        place = create_objective(policy.objective).start(outlook, policy)
    return make_decision(
        policy=policy,
        backend=outlook.backends[place],
        outlook=outlook,
        estimates=estimates,
        excluded=excluded,
        unavailable={name: why for name, why in unavailable.items() if excluded.get(name) == why},
        past=past,
        saved_usd=saved_usd,
    )


def outlook_of(estimates: Estimates, escalation: Escalation, policy: Policy, excluded: Mapping[str, str]) -> Outlook:
    """Returns the outlook on the backends that are left."""
    names, quality, cost = estimates.backends, estimates.quality, estimates.cost_usd
    if excluded:
        places = [place for place, name in enumerate(names) if name not in excluded]
        if not places:
            raise NoFeasibleBackend(excluded)
        names = tuple(names[place] for place in places)
        quality, cost, escalation = quality[places], cost[places], escalation.take(places)
    return make_outlook(
        backends=names,
        quality=quality,
        cost_usd=with_greatest(cost),
        escalation=escalation,
        max_calls=policy.max_calls,
        budget_usd=math.inf if policy.max_cost_usd is None else policy.max_cost_usd,
    )


_WHEN_UNSURE = {"safe": "the best on average is asked", "cheap": "the cheapest is asked"}


def _explanation(decision: Decision) -> list[str]:
    estimates = decision.estimates
    width = max(len(name) for name in estimates.backends)
    errors = decision.standard_error
    lines = [
        f"{decision.backend}: {decision.reason}; policy {decision.policy.name},"
        f" difficulty {_shown(estimates.difficulty, '.2f')}",
        f"{'backend':<{width}}  {'quality' if errors is None else 'quality ± error'}   cost_usd  tokens  latency_s",
    ]
    for place, name in enumerate(estimates.backends):
        mark = (
            "<"
            if name == decision.backend
            else f"{'' if decision.excluded[name] == CHECKS_ONLY else 'excluded: '}{decision.excluded[name]}"
            if name in decision.excluded
            else ""
        )
        cost, tokens = _shown(estimates.cost_usd[place], "9.6f"), _shown(estimates.output_tokens[place], "6.0f")
        latency = _shown(estimates.latency_s[place], "9.2f")
        quality = _shown(estimates.quality[place], "7.3f")
        if errors is not None:
            quality += f" ± {_shown(errors[place], '5.3f')}"
        line = f"{name:<{width}}  {quality}  {cost}  {tokens}  {latency}  {mark}"
        lines.append(line.rstrip())
    if estimates.source == "cold start":
        lines.append(
            "cold start: no traces of these backends yet; quality is guessed from text, tier and price, by what public"
            " traces show"
        )
    if decision.outlook.escalation.is_by_public_answers and decision.policy.names_backend is None:
        lines.append(BY_PUBLIC_ANSWERS)
    if np.isfinite(estimates.familiarity):
        lines.append(f"familiarity {estimates.familiarity:.3f}: the share of training queries as far from the others")
    if estimates.is_unfamiliar:
        lines.append("unlike the training queries: these estimates are guesses")
    if decision.policy.certificate is not None:
        lines.append(decision.policy.certificate.sentence())
    if decision.policy.best:
        lines.append(
            f"near_best: nothing that stayed within {decision.policy.margin:g} of {decision.policy.best}, the best"
            " backend in training, cost less than it"
        )
    lines.extend(decision.notes)
    if decision.flips:
        lines.append("what would flip the decision, the rest being as it is:")
        for flip in decision.flips:
            of = "" if flip.figure == "lam" else f" of {decision.backend}"
            lines.append(f"  {flip.figure}{of} {flip.now:.4g} -> {flip.then:.4g}: {flip.backend}")
    if decision.contributions:
        lines.append("what told most (estimated quality with it, less quality without):")
        for item in decision.contributions:
            lines.append(f"  {item.kind} {item.name}: {_by_backend(estimates.backends, item.quality, '+.3f')}")
    if decision.neighbours:
        lines.append("nearest training queries (similarity; what each backend scored):")
        for neighbour in decision.neighbours:
            scores = _by_backend(estimates.backends, neighbour.quality, ".2g")
            beginning = " ".join(neighbour.query.split())[:80]
            lines.append(f"  {neighbour.similarity:.2f}  {beginning!r}: {scores}")
    return lines


def _by_backend(names: Sequence[str], values: FloatArray, form: str) -> str:
    """Returns the figures of those backends that have one."""
    figures = zip(names, values, strict=True)
    return ", ".join(f"{name} {format(value, form)}" for name, value in figures if np.isfinite(value))


def _shown(value: float, form: str) -> str:
    width = int(form.partition(".")[0] or 0)
    return format(value, form) if np.isfinite(value) else "?".rjust(width)


def plain(value: float) -> float | None:
    """Returns a number as JSON has it: None where it is not known."""
    return float(value) if math.isfinite(value) else None


def rounded(value: float) -> float | None:
    """Returns a number with six digits behind the point as JSON has it: None where it is not known."""
    return float(round(value, 6)) if math.isfinite(value) else None
