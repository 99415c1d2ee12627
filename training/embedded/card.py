"""The model card of an embedded model: what it is, what it was taught, what it gets right, what it cannot do."""

from __future__ import annotations

from collections.abc import Sequence

from .exam import Cell, means
from .example import LEVELS
from .questions import TASKS
from .tiers import Tier

_ABOUT = {
    "small": "It answers at once.",
    "mid": "It first writes a compact draft, intermediate results only, where a question has any.",
    "lrm": "It thinks in writing and obeys `reasoning_effort`: `low` answers at once, `medium` drafts, `high` (which is"
    " what it does when nothing is said) works in full steps.",
}


def model_card(
    tier: Tier, cells: Sequence[Cell], *, n_parameters: int, n_examples: int, seed: int, per_cell: int
) -> str:
    """Returns the card as Markdown, with the accuracy of every task and level."""
    lines = [
        "---",
        "license: apache-2.0",
        "library_name: transformers",
        "language: en",
        "---",
        "",
        f"# Penstock embedded `{tier.name}`",
        "",
        f"A Llama of {n_parameters:,} parameters ({tier.layers} layers of width {tier.width}) over a byte-level BPE of"
        f" its own. {_ABOUT[tier.name]}",
        "With its two siblings it makes a router's demo, tutorial and tests real; it is of no use for anything else.",
        "",
        "## Training",
        "",
        f"From scratch on {n_examples:,} generated questions with computed answers (seed {seed}), no other text:",
        "",
        "    python -m penstock.training.embedded --out DIR",
        "",
        f"Tasks: {', '.join(TASKS)}; levels {LEVELS[0]} to {LEVELS[-1]}. Stored as float16.",
        "",
        "## What it gets right",
        "",
        f"Exact answers to {per_cell} new questions a cell, greedy. Tokens are those written, thinking and the"
        " token that ends the answer included.",
        "",
    ]
    for effort, (accuracy, tokens_written) in means(cells).items():
        at = f" at effort `{effort}`" if effort else ""
        lines += [
            f"Mean over tasks and levels{at}: accuracy **{accuracy:.3f}**, {tokens_written:.1f} tokens.",
            "",
            "| task | " + " | ".join(f"level {level}" for level in LEVELS) + " | tokens |",
            "|---|" + "---|" * (len(LEVELS) + 1),
        ]
        for task in TASKS:
            row = [cell for cell in cells if cell.task == task and cell.effort == effort]
            mean_tokens = sum(cell.output_tokens for cell in row) / len(row)
            lines.append(
                f"| {task} | " + " | ".join(f"{cell.accuracy:.2f}" for cell in row) + f" | {mean_tokens:.1f} |"
            )
        lines.append("")
    lines += [
        "## Limits",
        "",
        "It knows the eleven tasks in the words that it was taught, whole numbers up to six digits, fifty capitals and"
        " twenty-five pairs of opposites. Asked anything else it says that it is sorry or writes nonsense. It was"
        " taught single questions: a system message or an earlier turn is read as more text, and it knows no tools.",
        "",
    ]
    return "\n".join(lines)
