"""Fits what ships for the cold start, and writes its card beside it.

    python -m penstock.training.prior --data ../shared/data --out classifiers/data/prior

Queries marked test in any of the sets are left out of all, so that what is measured on them stays unseen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection
from pathlib import Path

from ...classifiers.public_confidence import save_public_confidence
from ...classifiers.public_prior import save_prior
from ..dataset import Dataset, build_dataset
from ..split import normalised, split_queries
from ..traces import read_traces
from .answers import fit_public_confidence, public_answers
from .card import CONFIDENCE_FILE, PRIOR_FILE, prior_card
from .fitting import PublicSet, fit_prior
from .models import spec_of

# Those whose answers are published in full.
ANSWERED = ("gsm_9", "math_l5", "routellm_gsm8k")
SETS = (
    "farel_bench",
    "gsm_9",
    "math_l5",
    "mixed_9_open_models",
    "routellm_gsm8k",
    "routellm_mmlu",
    "routellm_mt_bench",
)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m penstock.training.prior", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the public traces")
    parser.add_argument("--out", type=Path, required=True, help="folder to write both and their card to")
    options = parser.parse_args(arguments)
    datasets = {name: build_dataset(read_traces([options.data / f"{name}.parquet"])) for name in SETS}
    tested = {
        normalised(text)
        for dataset in datasets.values()
        for text in dataset.take(split_queries(dataset, seed=0).test).texts
    }
    learned = {name: learned_part(dataset, without=tested) for name, dataset in datasets.items()}
    sets = {name: public_set(part, name) for name, part in learned.items()}
    prior = fit_prior(list(sets.values()))
    options.out.mkdir(parents=True, exist_ok=True)
    answers = {name: public_answers(learned[name], name, prior) for name in ANSWERED}
    confidence = fit_public_confidence(list(answers.values()))
    save_prior(prior, options.out / PRIOR_FILE)
    save_public_confidence(confidence, options.out / CONFIDENCE_FILE)
    card = prior_card(prior, sets, confidence, answers, options.out, options.data)
    (options.out / "README.md").write_text(card, encoding="utf-8")
    for name in (PRIOR_FILE, CONFIDENCE_FILE):
        path = options.out / name
        print(f"{path}: {path.stat().st_size / 1e3:.1f} kB")  # noqa: T201 a command says what it wrote
    return 0


def learned_part(dataset: Dataset, *, without: Collection[str] = ()) -> Dataset:
    """Returns the queries of a set that may be learned from, but for those whose folded text is among `without`."""
    part = dataset.take(split_queries(dataset, seed=0).learned)
    return part.take([row for row, text in enumerate(part.texts) if normalised(text) not in without])


def public_set(part: Dataset, name: str) -> PublicSet:
    """Returns queries of the set of that name as the prior learns from them."""
    specs = [spec_of(backend, name) for backend in part.backends]
    return PublicSet(texts=part.texts, specs=specs, quality=part.quality)


if __name__ == "__main__":
    sys.exit(main())
