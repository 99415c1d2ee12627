"""Whether to have an answer judged: pure, in the terms of the decision.

A verdict adds nothing by itself. It is worth what is done differently after it: going on where one would have stopped,
or stopping where one would have gone on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..backends import BackendSpec, Completion, Query, Usage, cost_usd
from ..classifiers import Escalation, Estimates
from ..classifiers.verdict import MOST_TOKENS, prompt_tokens
from .feasible import needed_capabilities
from .handover import best_check, offers_tools
from .lookahead import MIN_GAIN, gains
from .outlook import Judge, Outlook, Tried, told_odds
from .policy import Policy
from .readings import likeliest


def judge_of(
    policy: Policy,
    specs: Mapping[str, BackendSpec],
    estimates: Estimates,
    escalation: Escalation,
    unavailable: Mapping[str, str],
) -> Judge | None:
    """Returns the judge that a policy may ask, None where there is none, or nothing is known of what it tells."""
    name, jury = policy.judge, escalation.jury
    if not name or jury is None or name not in jury.judges or name in unavailable:
        return None
    row = jury.judges.index(name)
    if_right, if_wrong = jury.hits[row].tolist()
    expected = float(jury.mean_cost_usd[row])
    price = specs[name].price if name in specs else None
    if price is not None:
        known = estimates.output_tokens[np.isfinite(estimates.output_tokens)]
        sent = prompt_tokens(estimates.input_tokens, float(known.mean()) if len(known) else 0.0)
        expected = cost_usd(Usage(input_tokens=round(sent), output_tokens=MOST_TOKENS), price)
    if math.isnan(expected):
        return None
    return Judge(backend=name, yes_if_right=if_right, yes_if_wrong=if_wrong, cost_usd=expected, jury=jury)


def can_be_judged(query: Query) -> bool:
    """Returns whether a judge can be shown all that a query asks: neither tools nor images are."""
    return not offers_tools(query) and "vision" not in needed_capabilities(query)


def is_shown_whole(completion: Completion | None) -> bool:
    """Returns whether a judge who is shown the text of an answer is shown the answer."""
    return completion is not None and bool(completion.text.strip()) and not completion.tool_calls


def worth_judging(outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> int | None:
    """Returns the number of the answer to have judged now, None where no verdict is worth its cost.

    Of several answers it is the likeliest, once. Its verdict will be yes or no; after either, one does what is then
    best.
    """
    judge = outlook.judge
    if judge is None or policy.objective != "utility" or not tried or all(call.is_given_up for call in tried):
        return None
    if judge.cost_usd > outlook.budget_usd - sum(call.cost_usd for call in tried):
        return None
    number, together = likeliest(outlook, tried)
    if tried[number].is_judged:
        return None
    value = -policy.lam * judge.cost_usd - MIN_GAIN - _value(outlook, policy, tried)
    for chance, odds in judge.outcomes(together[number]):
        then = with_verdict(tried, number, odds=odds, cost_usd=judge.cost_usd)  # which the budget lacks afterwards
        value += chance * _value(outlook, policy, then)
    return number if value > 0 else None


def all_judged(outlook: Outlook, judge: Judge) -> Outlook:
    """Returns the outlook where every answer comes with a verdict, which tells more of it and costs more.

    The share of what is left open by looking at an answer that its verdict explains adds to the power of looking.
    """
    quality, known = outlook.quality, outlook.escalation
    explained = np.zeros(len(quality))
    for place, chance in enumerate(quality.tolist()):
        for likely, odds in judge.outcomes(chance):
            explained[place] += likely * (told_odds(chance, odds) - chance) ** 2 / max(chance * (1 - chance), 1e-9)
    power = 1 - (1 - known.power) * (1 - np.minimum(explained, 1.0))
    return replace(
        outlook, cost_usd=outlook.cost_usd + judge.cost_usd, escalation=replace(known, power=power), judge=None
    )


def with_verdict(tried: tuple[Tried, ...], number: int, *, odds: float, cost_usd: float = 0.0) -> tuple[Tried, ...]:
    """Returns the calls once the answer of this number was judged."""
    call = tried[number]
    judged = replace(call, odds=call.odds * odds, cost_usd=call.cost_usd + cost_usd, is_judged=True)
    return (*tried[:number], judged, *tried[number + 1 :])


def _value(outlook: Outlook, policy: Policy, tried: tuple[Tried, ...]) -> float:
    """Returns what stopping or going on, whichever is better, is worth from here."""
    number, together = likeliest(outlook, tried)
    best = 0.0
    if len(tried) < outlook.max_calls:
        best = max(best, float(gains(outlook, tried, lam=policy.lam, price=MIN_GAIN).max()))
        check = best_check(outlook, tried, lam=policy.lam, price=MIN_GAIN)
        best = max(best, check.gain if check is not None else 0.0)
    return together[number] + best
