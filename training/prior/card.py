"""The card of the shipped prior: what it is, what it was made from, how to make it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ...backends.spec import TIERS
from ...classifiers.public_confidence import PUBLIC_SIGNALS, PublicConfidence
from ...classifiers.public_prior import PublicPrior
from .answers import PublicAnswers
from .fitting import PublicSet

PRIOR_FILE, CONFIDENCE_FILE = "prior.safetensors", "confidence.safetensors"

_SOURCES: Mapping[str, tuple[str, str]] = {  # project whose published results they are, its licence
    "farel_bench": ("farel-bench", "MIT"),
    "gsm_9": ("ZeroEval", "Apache-2.0"),
    "math_l5": ("ZeroEval", "Apache-2.0"),
    "mixed_9_open_models": ("LLMRouter", "MIT"),
    "routellm_gsm8k": ("RouteLLM", "Apache-2.0"),
    "routellm_mmlu": ("RouteLLM", "Apache-2.0"),
    "routellm_mt_bench": ("RouteLLM", "Apache-2.0"),
}


def prior_card(
    prior: PublicPrior,
    sets: Mapping[str, PublicSet],
    confidence: PublicConfidence,
    answers: Mapping[str, PublicAnswers],
    folder: Path,
    data: Path,
) -> str:
    """Returns the card as Markdown; the folder is that of the files it is about."""
    lines = [
        "# What public traces tell before there are traces of one's own",
        "",
        "`prior.safetensors` holds the difficulty of a text as a linear map over its surface counts (digits, cue",
        "words, length, ...), and the ability of a tier at its price: P(correct) = sigmoid(ability - difficulty), in",
        "logits. No prompt and no answer is in it. `classifiers/public_prior.py` reads it.",
        "",
        "| tier | ability at a usual price |",
        "|---|---|",
    ]
    lines += [f"| {tier} | {ability:.2f} |" for tier, ability in zip(TIERS, prior.ability, strict=True)]
    lines += [
        "",
        f"Within a tier, a price e times as high goes with {prior.price_slope:+.2f} logits of ability up to $0.40 per",
        "1M output tokens, and with a twentieth of that above. Backends spread around that with a standard deviation",
        f"of {prior.spread:.2f}.",
        "",
        "`confidence.safetensors` holds what the look of an answer that comes to a number adds to the log-odds of its",
        "being right: a weight for each of some signals, in standard deviations. `classifiers/public_confidence.py`",
        "reads it.",
        "",
        "| signal | weight |",
        "|---|---|",
    ]
    lines += [f"| `{name}` | {weight:+.2f} |" for name, weight in zip(PUBLIC_SIGNALS, confidence.weights, strict=True)]
    lines += [
        "",
        "## Data",
        "",
        "Published results of public models, without the queries that are marked test in any of these sets:",
        "",
        "| set | queries | backends | graded answers | project | licence | SHA-256 |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in sets.items():
        project, licence = _SOURCES[name]
        digest = hashlib.sha256((data / f"{name}.parquet").read_bytes()).hexdigest()[:16]
        n_answers = len(answers[name].labels) if name in answers else 0
        lines.append(
            f"| {name} | {len(each.texts)} | {len(each.specs)} | {n_answers} | {project} | {licence} | {digest} |"
        )
    lines += [
        "",
        "Both licences allow works that are derived from the material; these are tables of numbers fitted to it,",
        "under the licence of the package, Apache-2.0.",
        "",
        "## Making it again",
        "",
        "    python -m penstock.training.prior --data DATA --out classifiers/data/prior",
        "",
        *(
            f"SHA-256 of `{name}`: {hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n"
            for name in (PRIOR_FILE, CONFIDENCE_FILE)
        ),
        "## Limits",
        "",
        "English questions with one right answer, mostly mathematics, knowledge and logic, and models of 2023 to 2025.",
        "It tells harder from easier a little (`benchmarks/cold_start.py`), and nothing about one backend in",
        "particular. All published answers are to word problems and to questions of competitions in mathematics.",
        "",
    ]
    return "\n".join(lines)
