"""The part of the report that tells what routing is worth on queries unlike those learned from."""

from __future__ import annotations

from .evaluation import Evaluation
from .markup import NOTHING, Markup, paragraphs, per_cent_with_interval, table, with_interval
from .shift import CLASSIFIER


def shift_section(evaluation: Evaluation) -> Markup:
    """Returns each slice by what was learned with its like and without, side by side; nothing where not asked for."""
    if not evaluation.shift:
        return Markup("")
    headers = (
        "test queries of",
        "queries",
        "learned from",
        "AIQ, seen",
        "AIQ, unseen",
        "difference",
        "gap closed, seen",
        "gap closed, unseen",
        "unseen, over the random mix",
    )
    rows = [
        (
            part.name,
            f"{part.n_queries:,}",
            NOTHING if part.n_learned is None else f"{part.n_learned:,}",
            with_interval(part.aiq),
            with_interval(part.aiq_unseen),
            with_interval(part.aiq_difference),
            per_cent_with_interval(part.gap_closed),
            per_cent_with_interval(part.gap_closed_unseen),
            with_interval(part.gain_over_hull_unseen),
        )
        for part in evaluation.shift
    ]
    said = (
        f"The same test queries, routed by classifier {CLASSIFIER} with one call each: learned from all queries "
        "(seen), and learned anew without those like them (unseen). Both are of that quick classifier, so that they "
        "compare; the figures above are of the router itself."
    )
    return Markup("<h2>Unlike what was learned from</h2>\n" + paragraphs([said]) + table(headers, rows) + "\n\n")
