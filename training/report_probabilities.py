"""The parts of the report on probabilities: estimates before a call and confidences after it."""

from __future__ import annotations

import numpy as np

from .bootstrap import ProbabilityFigures
from .evaluation import Evaluation, FloatArray
from .findings import Findings
from .markup import Markup, table, with_interval
from .plots import Point, Series, figure, unit_axis
from .probability_metrics import ece_equal_mass, equal_width_bins, observed_pairs, risk_coverage

MAX_CURVE_POINTS = 200


def probabilities_table(evaluation: Evaluation, found: Findings) -> Markup:
    """Returns Brier, ECE, AUROC and AURC of estimates and confidences."""
    rows = []
    if found.estimates is not None:
        pairs = observed_pairs(evaluation.estimated_quality, evaluation.quality)
        rows.append(_row("estimates before a call, all backends", found.estimates, *pairs))
    if evaluation.confidences is not None and found.confidences is not None:
        pairs = observed_pairs(evaluation.confidences.confidence, evaluation.confidences.score)
        rows.append(_row("confidences after a call", found.confidences, *pairs))
    if not rows:
        return Markup("<p>Neither estimates nor confidences could be held against scores.</p>")
    headers = ("probability", "rows", "Brier", "ECE", "ECE, equal mass", "AUROC", "AURC")
    return table(headers, rows)


def signals_table(evaluation: Evaluation) -> Markup:
    """Returns what each signal adds to confidence; '' where the router was not trained just now."""
    if not evaluation.signals:
        return Markup("")
    ordered = sorted(evaluation.signals, key=lambda signal: signal.auroc_without)
    rows = [(s.name, f"{s.share:.0%}", f"{s.auroc_without:.3f}", f"{s.auroc - s.auroc_without:+.3f}") for s in ordered]
    said = (
        f"<p>What each signal adds to confidence: AUROC over training answers, out of fold, is {ordered[0].auroc:.3f} "
        "with all of them. Those that see the same stand in for each other.</p>"
    )
    return Markup(said + table(("signal", "applies to", "AUROC without it", "adds"), rows))


def reliability_figures(evaluation: Evaluation) -> Markup:
    """Returns reliability diagrams of estimates and confidences, and the risk-coverage curve of the latter."""
    parts = []
    if (np.isfinite(evaluation.estimated_quality) & np.isfinite(evaluation.quality)).any():
        pairs = observed_pairs(evaluation.estimated_quality, evaluation.quality)
        caption = "Estimates before a call, all backends pooled. Bars are 95 % Wilson intervals."
        parts.append(_reliability("reliability-estimates", *pairs, x_title="estimated quality", caption=caption))
    confidences = evaluation.confidences
    if confidences is not None:
        pairs = observed_pairs(confidences.confidence, confidences.score)
        if len(pairs[0]):
            caption = "Confidences after a call. On the diagonal they are as true as they claim."
            parts.append(_reliability("reliability-confidences", *pairs, x_title="confidence", caption=caption))
            parts.append(_risk_coverage(*pairs))
    return Markup(f'<div class="figures">{"".join(parts)}</div>' if parts else "")


def _row(name: str, figures: ProbabilityFigures, probability: FloatArray, score: FloatArray) -> tuple[str, ...]:
    """Returns one row of the table."""
    return (
        name,
        f"{len(score):,}",
        with_interval(figures.brier),
        with_interval(figures.ece),
        f"{ece_equal_mass(probability, score):.3f}",
        with_interval(figures.auroc),
        with_interval(figures.aurc),
    )


def _reliability(name: str, probability: FloatArray, score: FloatArray, *, x_title: str, caption: str) -> Markup:
    """Returns mean score against mean probability in fifteen bins; the larger the dot the more rows in the bin."""
    bins = equal_width_bins(probability)
    counts = np.bincount(bins)
    points: list[Point] = []
    bars: list[Point | None] = []
    sizes, hints = [], []
    for number in np.flatnonzero(counts):
        inside = bins == number
        x, y, n = float(probability[inside].mean()), float(score[inside].mean()), int(counts[number])
        low, high = _wilson(y, n)
        points.append((x, y))
        bars += [(x, low), (x, high), None]
        sizes.append(3 + 8 * float(np.sqrt(n / counts.max())))
        hints.append(f"{n:,} rows: says {x:.3f}, is {y:.3f}")
    series = [
        Series(title="perfectly calibrated", color="var(--mix)", points=[(0, 0), (1, 1)], line_width=1.5, dashes="6,5"),
        Series(title="", color="var(--router)", points=bars, line_width=1.2),
        Series(
            title="bin, sized by its rows",
            color="var(--router)",
            points=points,
            hints=hints,
            sizes=sizes,
            has_dots=True,
        ),
    ]
    return figure(name, series, unit_axis(x_title), unit_axis("mean score"), caption=caption, is_small=True)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Returns the 95 % bounds of a share seen among `n` (Wilson 1927), which hold for few rows too."""
    z_squared = 1.96**2
    middle = (share + z_squared / (2 * n)) / (1 + z_squared / n)
    half = (z_squared * (share * (1 - share) / n + z_squared / (4 * n**2))) ** 0.5 / (1 + z_squared / n)
    return middle - half, middle + half


def _risk_coverage(confidence: FloatArray, score: FloatArray) -> Markup:
    """Returns the share of wrong answers among the most confident ones, against how many of them are kept."""
    coverage, risk = risk_coverage(confidence, score)
    kept = np.unique(np.linspace(0, len(coverage) - 1, MAX_CURVE_POINTS).round().astype(np.int64))
    points: list[Point] = list(zip(coverage[kept].tolist(), risk[kept].tolist(), strict=True))
    mean_risk = float(risk[-1])
    series = [
        Series(
            title="no ranking",
            color="var(--mix)",
            points=[(0, mean_risk), (1, mean_risk)],
            line_width=1.5,
            dashes="6,5",
        ),
        Series(
            title="most confident first",
            color="var(--router)",
            points=points,
            line_width=2.5,
            has_dots=len(points) == 1,
        ),
    ]
    caption = "How wrong the answers are that are kept when only the most confident ones are."
    return figure(
        "risk-coverage",
        series,
        unit_axis("share of answers kept"),
        unit_axis("1 − mean score"),
        caption=caption,
        is_small=True,
    )
