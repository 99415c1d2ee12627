"""`penstock replay`: what every policy would have done on recorded answers, call by call."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...backends import ConfigError
from ...router import Policy
from ..curves import sweep_lams
from ..progress import Progress, quiet_or_shown
from ..replay import Replayed, Replayer, estimate_matrices, lam_label
from ..tables import write_table
from .shared import (
    add_artefact,
    add_models,
    add_quiet,
    add_seed,
    add_split,
    add_traces,
    check_table,
    open_artefact,
    policies_of,
    read_part,
)

COLUMNS = ("query_id", "policy", "step", "backend", "confidence", "cost_usd", "final")
STREAMED = ("given_up", "released_after")
JUDGED = ("judged",)  # where a policy has a judge


Replay = Callable[[Policy], Iterable[Replayed]]


class ReplayCommand:
    """Runs the cascade over traces."""

    description = (
        "Replays policies over recorded answers and writes one row a call.\n"
        "`final` is true on the one row of each query and policy whose answer is returned."
    )
    example = "penstock replay artefacts/default traces/ --out calls.csv --policy auto --sweep 20"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        add_traces(parser)
        parser.add_argument("--out", type=Path, required=True, metavar="F", help="CSV, JSONL or Parquet file to write")
        parser.add_argument("--policy", action="append", metavar="P", help="repeatable (default: the default policy)")
        parser.add_argument(
            "--sweep", type=int, default=0, metavar="N", help="also the default policy at N values of lam"
        )
        parser.add_argument(
            "--streamed",
            action="store_true",
            help="as streamed requests: also what was given up, and after how many characters an answer was released",
        )
        add_split(parser, default="all")
        add_seed(parser)
        add_models(parser)
        add_quiet(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Writes the calls and says how many."""
        if options.sweep < 0 or options.sweep == 1:
            raise ConfigError(f"--sweep: expected 0, or 2 and more, got {options.sweep}")
        check_table(options.out, options, read=options.traces)
        opened = open_artefact(options)
        known, default = policies_of(opened.config)
        for name in options.policy or ():
            if name not in known:
                raise ConfigError(f"--policy: unknown {name!r}; expected one of {', '.join(known)}")
        with quiet_or_shown(quiet=options.quiet) as progress:
            _, dataset, _ = read_part(options, opened, progress)
            replayer = Replayer(opened.pool, dataset)
            policies = {name: known[name] for name in options.policy or [default]}
            if options.sweep:
                quality, cost = estimate_matrices(replayer.estimates, dataset.backends)
                base = replace(known[default], objective="utility")
                for lam in sweep_lams(quality, cost, options.sweep):
                    label = lam_label(float(lam))
                    policies[label] = replace(base, name=label, lam=float(lam))
            streamed = STREAMED if options.streamed else ()
            columns = (*COLUMNS, *streamed, *(JUDGED if any(policy.judge for policy in policies.values()) else ()))
            replay = replayer.run_streamed if options.streamed else replayer.run
            n_rows = write_table(_rows(replayer, replay, list(policies.values()), progress), columns, options.out)
        print(f"{options.out}: {n_rows} calls, {dataset.n_queries} queries, {len(policies)} policies")
        return 0


def _rows(
    replayer: Replayer, replay: Replay, policies: Sequence[Policy], progress: Progress
) -> Iterator[dict[str, Any]]:
    for policy in progress.over(policies, name="replaying policies", total=len(policies)):
        for replayed in replay(policy):
            outcome = replayed.outcome
            for place, step in enumerate(outcome.steps):
                yield {
                    "query_id": replayer.dataset.query_ids[replayed.query],
                    "policy": policy.name,
                    "step": place,
                    "backend": step.backend,
                    "confidence": step.confidence,
                    "cost_usd": step.cost_usd,
                    "final": place == outcome.chosen,
                    "judged": step.judged,
                    "given_up": step.is_given_up,
                    "released_after": replayed.released_after if place == outcome.chosen else None,
                }
