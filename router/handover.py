"""What handing an answer over is worth: giving it to another backend as a draft to check. Pure.

The answer of the one who checks takes the place of the draft, right or wrong, so that going on gains the difference of
their chances. Further calls after that are not looked ahead to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ..backends import BackendSpec, Query
from ..classifiers import Escalation, Estimates
from .outlook import Checks, FloatArray, Outlook, Tried, with_greatest
from .readings import likeliest

CHECKS_ONLY = "asked only to check the answer of another"
UNTOLD = "checks the answers of others, and no trace tells how well"

Drafts = Mapping[str, Collection[str]]  # of backends that check: whose answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """The best call to hand an answer over to."""

    place: int
    gain: float  # in quality, less what it costs


def best_check(outlook: Outlook, tried: tuple[Tried, ...], *, lam: float, price: float) -> Check | None:
    """Returns whom to give the likeliest answer so far to, and what that adds to stopping now; None: nobody."""
    checks, n_backends = outlook.checks, len(outlook.backends)
    if checks is None or len(tried) >= outlook.max_calls:
        return None
    if all(call.is_given_up for call in tried):
        return None
    number, together = likeliest(outlook, tried)
    draft = tried[number]
    if draft.place >= n_backends:  # it is the answer of one who has checked already
        return None
    asked = {call.place for call in tried}
    may_be_asked = checks.may_check[:, draft.place] & (
        checks.cost_usd <= outlook.budget_usd - sum(call.cost_usd for call in tried)
    )
    may_be_asked &= [n_backends + row not in asked for row in range(len(checks.backends))]
    chance = checks.chance(np.array([together[number]]))[:, 0]
    gain = np.where(may_be_asked, chance - together[number] - lam * checks.cost_usd - price, -np.inf)
    best = int(gain.argmax())
    return Check(place=n_backends + best, gain=float(gain[best])) if may_be_asked[best] else None


def gains_with_check(outlook: Outlook, checks: Checks, *, lam: float, price: float) -> FloatArray:
    """Returns what asking each backend, and having its answer checked where it looks as if that were worth it, adds to
    asking nobody, (n,).

    As in `lookahead`, an answer will look bad or good, with the chances and confidences of its power.
    """
    quality, told = outlook.quality, np.sqrt(outlook.escalation.power)
    may_follow = checks.may_check & (checks.cost_usd[:, None] + outlook.cost_usd <= outlook.budget_usd)
    charge = (lam * checks.cost_usd + price)[:, None]
    value = -lam * outlook.cost_usd
    for seen, confidence in ((1 - quality, quality * (1 - told)), (quality, quality + told * (1 - quality))):
        checked = np.where(may_follow, checks.chance(confidence) - charge, -np.inf).max(axis=0)
        value = value + seen * np.maximum(confidence, checked)
    return value


def why_not_handed_over(query: Query) -> str:
    """Returns why no answer to a query may be given to another backend to check, "" where one may."""
    if offers_tools(query):
        return f"{CHECKS_ONLY}, and with tools in the request there may be none to check"
    if query.params.get("n") not in (None, 1):
        return f"{CHECKS_ONLY}, and the request asks for several"
    if query.messages[-1]["role"] != "user":
        return f"{CHECKS_ONLY}, which goes where the last message is a user's"
    return ""


def offers_tools(query: Query) -> bool:
    """Returns whether an answer to a query may be a call of a tool."""
    bodies = (query.params, query.original.body if query.original is not None else {})
    return any(body.get(field) for body in bodies for field in ("tools", "functions"))  # the latter of old clients


def excluded_checkers(
    query: Query,
    specs: Mapping[str, BackendSpec],
    backends: tuple[str, ...],
    escalation: Escalation,
    excluded: Mapping[str, str],
) -> dict[str, str]:
    """Returns the backends that check the answers of others and why they may not be asked first, in so far as nothing
    else excludes them.
    """
    learned = escalation.handover.checkers if escalation.handover else ()
    names = [name for name in backends if name in learned or (name in specs and specs[name].checks_draft)]
    if not names:
        return {}
    return {
        name: UNTOLD if name not in learned else why_not_handed_over(query) or CHECKS_ONLY
        for name in names
        if name not in excluded
    }


def checks_of(
    estimates: Estimates, escalation: Escalation, excluded: Mapping[str, str], drafts: Drafts | None
) -> Checks | None:
    """Returns those of the excluded that may be asked to check, None where nobody may.

    `drafts` says whose answers each may be given; None: all those that traces tell of.
    """
    handover = escalation.handover
    if handover is None:
        return None
    names = [name for name in handover.checkers if excluded.get(name) == CHECKS_ONLY]
    askable = [name for name in estimates.backends if name not in excluded]
    may_check = np.zeros((len(names), len(askable)), dtype=np.bool_)
    for row, name in enumerate(names):
        told = handover.is_seen[handover.checkers.index(name)]
        may_check[row] = [
            drafter in handover.drafters
            and told[handover.drafters.index(drafter)]
            and (drafts is None or drafter in drafts.get(name, ()))
            for drafter in askable
        ]
    if not may_check.any():
        return None
    places = [estimates.backends.index(name) for name in names]
    return Checks(
        backends=tuple(names),
        quality=estimates.quality[places],
        cost_usd=with_greatest(estimates.cost_usd)[places],
        may_check=may_check,
        handover=handover,
        rows=tuple(handover.checkers.index(name) for name in names),
        difficulty=estimates.difficulty,
    )
