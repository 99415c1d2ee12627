"""The report: one HTML file that stands alone, with no script and nothing fetched."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from ..classifiers.whole_file import whole_file
from .bootstrap import Interval, mean_interval
from .evaluation import Evaluation
from .findings import Findings, findings, relative_cost
from .markup import Markup, escaped, number, paragraphs, per_cent, per_cent_with_interval, usd_per_1k, with_interval
from .metrics import mean_cost_usd
from .report_breakdowns import backends_table, difficulty_table, tasks_table, wins_and_losses
from .report_efforts import efforts_section
from .report_probabilities import probabilities_table, reliability_figures, signals_table
from .report_savings import savings_section
from .report_shift import shift_section
from .report_strategies import comparison_table, cost_quality_figure, pair_table, policies_table, trials_table

TEMPLATE = "report_template.html"
FEW_QUERIES = 50


def write_report(evaluation: Evaluation, path: Path) -> None:
    """Writes the report; a file that was there is replaced only once the new one is whole.

    Raises:
        ValueError: no backend has an observed score and cost.
        PenstockError: the file cannot be written.
    """
    page = render_report(evaluation)
    with whole_file(path) as scratch:
        scratch.write_text(page, encoding="utf-8")


def render_report(evaluation: Evaluation) -> str:
    """Returns the report as HTML.

    Raises:
        ValueError: no backend has an observed score and cost.
    """
    found = findings(evaluation)
    template = Template(files(__package__ or "").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.substitute(
        title=escaped(evaluation.title),
        split=escaped(evaluation.split),
        summary=paragraphs(_summary(evaluation, found)),
        comparison=comparison_table(found),
        cost_quality=cost_quality_figure(evaluation, found),
        pair=pair_table(evaluation, found),
        policies=policies_table(evaluation, found),
        savings=savings_section(evaluation),
        probabilities=Markup(probabilities_table(evaluation, found) + signals_table(evaluation)),
        reliability=reliability_figures(evaluation),
        backends=Markup(backends_table(evaluation, found) + efforts_section(evaluation)),
        tasks=tasks_table(evaluation, found),
        shift=shift_section(evaluation),
        difficulty=difficulty_table(evaluation, found),
        examples=wins_and_losses(evaluation, found),
        trials=trials_table(evaluation),
        notes=paragraphs(evaluation.notes) or Markup("<p>Nothing to note.</p>"),
    )


def _summary(evaluation: Evaluation, found: Findings) -> list[str]:
    """Returns what the figures say, in plain sentences, each no stronger than its interval."""
    single = found.single
    missing = float(np.isnan(evaluation.quality).mean())
    best, cheapest = evaluation.backends[single.best], evaluation.backends[single.cheapest]
    sentences = [
        f"{_counted(len(evaluation.queries), 'query', 'queries')} and"
        f" {_counted(len(evaluation.backends), 'backend', 'backends')}"
        + (f"; {per_cent(missing)} of the answers were not observed." if missing else ", every answer observed."),
        f"Always the best backend ({best}) scores {number(single.best_score)} for {usd_per_1k(single.high_usd)} USD a "
        f"thousand queries; always the cheapest ({cheapest}) scores "
        f"{number(float(single.mean_score[single.cheapest]))} for {usd_per_1k(single.low_usd)} USD.",
    ]
    if len(evaluation.queries) < FEW_QUERIES:
        sentences.append(f"With fewer than {FEW_QUERIES} queries the intervals are rough, and tend to be too narrow.")
    if found.figures:
        sentences += _router_sentences(found, best)
        if missing:
            sentences.append(
                "As answers are missing, the single backends, the router and hindsight are measured on different"
                " queries: how they compare is rough."
            )
    if evaluation.policies:
        sentences.append(_policy_sentence(evaluation, found, best))
    if found.estimates is not None:
        sentences.append(_probability_sentence("Before a call, estimates", found.estimates.auroc, found.estimates.ece))
    if found.confidences is not None:
        confidences = found.confidences
        sentences.append(_probability_sentence("After a call, confidences", confidences.auroc, confidences.ece))
    return sentences


def _counted(n: int, one: str, several: str) -> str:
    return f"{n:,} {one if n == 1 else several}"


def _router_sentences(found: Findings, best: str) -> list[str]:
    """Returns what the router's sweep is worth against mixing and hindsight."""
    router = found.figures[0]
    area = (
        f"Averaged over every budget between those two, {escaped(router.name)} scores {with_interval(router.aiq)}, a "
        f"random mix of single backends {number(found.hull_aiq.value)}, hindsight {number(found.oracle_aiq.value)}"
    )
    if np.isnan(router.gap_closed.value):
        area += "; hindsight is no better than mixing, so there is no gap to close."
    else:
        area += f": it closes {per_cent_with_interval(router.gap_closed)} of the gap. {_verdict(router.gain_over_hull)}"
    saving = router.saving_at_best
    if np.isnan(saving.value):
        reached = f"At no setting does it reach the mean score of {escaped(best)}."
    else:
        amount = per_cent_with_interval(saving)
        reached = f"It reaches the mean score of {escaped(best)} with a saving of {amount} of its cost"
        share = f", in {per_cent(saving.share_defined)} of the resamples" if saving.share_defined < 0.995 else ""
        reached += f"{share}."
    return [Markup(area), Markup(reached)]


def _verdict(gain: Interval) -> str:
    """Returns whether a gain over mixing is more than chance."""
    if gain.low > 0:
        return "That is better than mixing by more than chance explains."
    if gain.high < 0:
        return "That is worse than mixing by more than chance explains."
    return "That cannot be told from mixing on this many queries."


def _policy_sentence(evaluation: Evaluation, found: Findings, best: str) -> Markup:
    """Returns what the default policy scores and costs against always-best."""
    policy = evaluation.policies[0]
    scored = mean_interval(policy.score, families=evaluation.families)
    difference = mean_interval(policy.score - evaluation.quality[:, found.single.best], families=evaluation.families)
    share = relative_cost(policy.cost_usd, found.single)
    cost = f"{usd_per_1k(mean_cost_usd(policy.cost_usd))} USD a thousand queries"
    against = "" if np.isnan(share) else f", {per_cent(share)} of what {escaped(best)} costs"
    return Markup(
        f"Policy {escaped(policy.policy)} scores {with_interval(scored)} for {cost}{against}; "
        f"its score differs from that of {escaped(best)} by {with_interval(difference)}."
    )


def _probability_sentence(what: str, ranking: Interval, error: Interval) -> Markup:
    """Returns how well probabilities tell right from wrong, and how far off they are."""
    told = (
        "cannot be ranked, as all answers are alike"
        if np.isnan(ranking.value)
        else f"tell right from wrong answers with an AUROC of {with_interval(ranking)}"
    )
    return Markup(f"{what} {told}; they are off by {with_interval(error)} on average (ECE).")
