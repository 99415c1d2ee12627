"""`penstock certify`: a promise on the quality lost, proved on held-out traces and stored in the artefact."""

from __future__ import annotations

import argparse
from dataclasses import replace

from ...classifiers import FitError, load_artefact, save_artefact
from ...router import Policy, Pool
from ...router.commands.shared import add_json, print_json
from ..certify import certify
from ..progress import quiet_or_shown
from .shared import (
    add_artefact,
    add_models,
    add_quiet,
    add_split,
    add_traces,
    match_pool,
    pick_split,
    read_dataset,
    read_models,
)

_DEFAULT = Policy(name="")


class CertifyCommand:
    """Certifies a trained router."""

    description = (
        "Finds how far the router may go from the best backend so that, with a chance of at least 1 - risk, the mean\n"
        "quality stays within the margin, and stores the certificate in the artefact, for `objective: within_of_best`."
    )
    example = "penstock certify artefacts/default traces/ --models models.yaml --margin 0.02 --risk 0.05"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        add_traces(parser)
        parser.add_argument(
            "--margin", type=_share, default=_DEFAULT.margin, metavar="X", help="quality to lose (default: 0.02)"
        )
        parser.add_argument(
            "--risk", type=_share, default=_DEFAULT.risk, metavar="X", help="chance to lose more (default: 0.05)"
        )
        add_split(parser, default="test")
        add_models(parser)
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Certifies, stores and says what."""
        config = read_models(options.models)
        trained, manifest = load_artefact(options.artefact)
        pool = Pool(config.backends if config else {}, trained)
        with quiet_or_shown(quiet=options.quiet) as progress:
            dataset, traces = read_dataset(options, config, progress, allow_missing=True)
            match_pool(pool, dataset)
            if options.split != "test" and traces.sha256 == manifest.training_data_sha256:
                raise FitError(f"--split {options.split}: these traces were trained on; expected test, or other traces")
            part, _ = pick_split(dataset, options.split, seed=manifest.seed)
            progress.stage(f"certifying on {part.n_queries} queries")
            certificate = certify(
                pool,
                part,
                trained.model.neighbours,
                margin=options.margin,
                risk=options.risk,
                traces_sha256=traces.sha256,
            )
        others = tuple(
            each for each in trained.certificates if (each.margin, each.risk) != (options.margin, options.risk)
        )
        save_artefact(
            replace(trained, certificates=(*others, certificate)),
            options.artefact,
            training_data_sha256=manifest.training_data_sha256,
            seed=manifest.seed,
            metrics=manifest.metrics,
        )
        if options.json:
            print_json(
                {
                    "margin": certificate.margin,
                    "risk": certificate.risk,
                    "backend": certificate.backend,
                    "slack": certificate.slack,
                    "n_queries": certificate.n_queries,
                    "loss": certificate.loss,
                    "saving": certificate.saving,
                    "p_values": certificate.p_values.tolist(),
                }
            )
        else:
            print(certificate.sentence())
        return 0


def _share(text: str) -> float:
    """Returns a number above 0, at most a half, as models.yaml takes it."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number <= 0.5:
        raise argparse.ArgumentTypeError(f"expected a number above 0, at most 0.5, got {text!r}")
    return number
