"""`penstock redteam`: how far the words of a query can push the decision, and what that costs."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from ...backends import ConfigError
from ...router.commands.shared import add_json, print_json
from ..gadgets import N_ROUNDS
from ..progress import quiet_or_shown
from ..red_team import Damage, RedTeam
from .shared import (
    add_artefact,
    add_models,
    add_quiet,
    add_seed,
    add_split,
    add_traces,
    open_artefact,
    policies_of,
    read_part,
)

N_QUERIES = 500


class RedTeamCommand:
    """Attacks a trained router."""

    description = (
        "Changes the words of recorded queries without changing what they ask, and tells how often the decision\n"
        "flips, how much dearer queries get and how the score changes: by case, white space, padding, typing errors,\n"
        "look-alike letters, paraphrase, another language, and by gadgets, words found to make the router pay more."
    )
    example = "penstock redteam artefacts/default traces/ --policy auto --robust"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        add_traces(parser)
        parser.add_argument("--policy", metavar="P", help="the policy to attack (default: the default policy)")
        parser.add_argument("--lam", type=float, metavar="X", help="with this lam in place of the policy's")
        parser.add_argument("--robust", action="store_true", help="with the policy's `robust` on")
        parser.add_argument(
            "--rounds",
            type=int,
            default=N_ROUNDS,
            metavar="N",
            help=f"to look for gadgets (default: {N_ROUNDS}; 0: none)",
        )
        parser.add_argument(
            "--n", type=int, default=N_QUERIES, metavar="N", help=f"queries to attack at most (default: {N_QUERIES})"
        )
        add_split(parser, default="test")
        add_seed(parser)
        add_models(parser)
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Attacks and prints a line an attack."""
        for name, least in (("rounds", 0), ("n", 1), ("lam", 0)):
            given = getattr(options, name)
            if given is not None and not given >= least:
                raise ConfigError(f"--{name}: expected a number of {least} or more, got {given}")
        opened = open_artefact(options)
        policies, default = policies_of(opened.config)
        name = options.policy or default
        if name not in policies:
            raise ConfigError(f"--policy: unknown {name!r}; expected one of {', '.join(policies)}")
        policy = policies[name]
        policy = replace(policy, robust=policy.robust or options.robust)
        if options.lam is not None:
            policy = replace(policy, objective="utility", lam=options.lam)
        with quiet_or_shown(quiet=options.quiet) as progress:
            dataset, attacked, split = read_part(options, opened, progress)
            drawn = opened.manifest.seed if options.seed is None else options.seed
            rows = np.random.default_rng(drawn).permutation(attacked.n_queries)[: options.n]
            known = dataset if split is None else dataset.take(split.learned)
            team = RedTeam(opened.pool, attacked.take(np.sort(rows)), policy, seed=drawn)
            damages = team.all_damages(known.queries, n_rounds=options.rounds, progress=progress)
        if options.json:
            print_json(
                {
                    "policy": policy.name,
                    "robust": policy.robust,
                    "n_queries": len(rows),
                    "cost_usd": team.cost_usd,
                    "score": team.score,
                    "attacks": [_as_json(damage) for damage in damages],
                }
            )
            return 0
        robust = " (robust)" if policy.robust else ""
        print(
            f"policy {policy.name}{robust}, {len(rows)} queries:"
            f" mean cost ${team.cost_usd:.6f}, mean score {team.score:.4f} when nobody attacks"
        )
        print(f"{'attack':<18} {'flips':>20} {'cost':>24} {'score':>28}")
        for damage in damages:
            cost, score = damage.cost, damage.score
            print(
                f"{damage.attack:<18} {damage.flips.value:>5.1%} [{damage.flips.low:.1%}, {damage.flips.high:.1%}]"
                f"  x{cost.value:.3f} [{cost.low:.3f}, {cost.high:.3f}]"
                f"  {score.value:+.4f} [{score.low:+.4f}, {score.high:+.4f}]"
                + (f"  {damage.gadget!r}" if damage.gadget else "")
            )
        return 0


def _as_json(damage: Damage) -> dict[str, Any]:
    return {
        "attack": damage.attack,
        "flips": damage.flips.as_dict(),
        "cost": damage.cost.as_dict(),
        "score": damage.score.as_dict(),
        "gadget": damage.gadget,
    }
