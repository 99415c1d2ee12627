"""The part of the report that tells what a running router saved, where the traces are its log."""

from __future__ import annotations

from .bootstrap import Interval
from .evaluation import Evaluation
from .markup import NOTHING, Markup, escaped, paragraphs, per_cent_with_interval, table, usd_per_1k, with_interval
from .savings import Choice


def savings_section(evaluation: Evaluation) -> Markup:
    """Returns what was served and what other choices would have come to; nothing where no log tells."""
    found = evaluation.savings
    if found is None:
        return Markup("")
    headers = (
        "choice",
        "score",
        "cost, USD / 1k queries",
        "saved",
        "difference in score",
        "worth so many requests",
    )
    rows = [
        (
            choice.name,
            NOTHING if choice.score is None else with_interval(choice.score.best),
            usd_per_1k(choice.cost_usd.best.value),
            _or_nothing(choice.saving, is_share=True),
            _or_nothing(choice.gain, is_share=False),
            f"{_evidence(choice):,.0f}",
        )
        for choice in found.choices
    ]
    against = f", held against {found.reference}" if found.reference else ""
    said = (
        f"From the log of the running router: {found.n_requests:,} answered requests, {found.n_shadow_calls:,} shadow "
        f"calls, {found.n_graded:,} graded answers{against}. What was not asked is estimated from what was, by the "
        f"chance with which it was asked; where the last column is small, the log tells little."
    )
    head = f"<h2>What the log tells</h2><p>{escaped(said)}</p>"
    return Markup(head + table(headers, rows) + paragraphs(found.notes))


def _evidence(choice: Choice) -> float:
    return choice.cost_usd.evidence if choice.score is None else choice.score.evidence


def _or_nothing(figure: Interval | None, *, is_share: bool) -> str:
    if figure is None:
        return NOTHING
    return per_cent_with_interval(figure) if is_share else with_interval(figure)
