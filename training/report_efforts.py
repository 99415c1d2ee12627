"""What a model's efforts are worth, as lines on a terminal and as a section of the report."""

from __future__ import annotations

from collections.abc import Iterator

from .evaluation import Effort, EffortCurve, Evaluation
from .markup import Markup, escaped, number, table, usd_per_1k

_HEADERS = ("effort", "graded answers", "mean output tokens", "USD a thousand", "mean score")
_IGNORED = 0.05  # of a weight, below which it changes nothing that can be seen


def efforts_lines(curve: EffortCurve) -> Iterator[str]:
    """Yields the curve of one model, a line an effort, and what was made of it."""
    yield f"efforts of {curve.model}:"
    for effort in curve.efforts:
        _, graded, tokens, usd, score = _cells(effort)
        yield f"  {effort.backend:<16} {tokens:>7} tokens {usd:>10} USD a thousand  score {score}  {graded} graded"
    yield f"  {_said(curve)}"


def efforts_section(evaluation: Evaluation) -> Markup:
    """Returns a table of each model's efforts; '' where no model has several, or none was trained just now."""
    return Markup(
        "".join(
            f"<p>Efforts of {escaped(curve.model)}: {_said(curve)}</p>" + table(_HEADERS, map(_cells, curve.efforts))
            for curve in evaluation.efforts
        )
    )


def _cells(effort: Effort) -> tuple[str, str, str, str, str]:
    return (
        effort.backend,
        f"{effort.n_labels:,}",
        number(effort.output_tokens, 0),
        usd_per_1k(effort.cost_usd),
        number(effort.quality),
    )


def _said(curve: EffortCurve) -> str:
    """Returns what training made of the curve, in a sentence."""
    if curve.weight < _IGNORED:
        return "longer thinking hurts where the estimates say so: each effort goes by its own results."
    return f"estimates are drawn {curve.weight:.0%} of the way towards longer thinking never hurting."
