"""`penstock savings`: what a running router saved, and what other choices would have, from its own log."""

from __future__ import annotations

import argparse
from typing import Any

from ...backends import ConfigError
from ...router import read_config
from ...router.commands.shared import add_json, add_models, print_json
from ...router.settings import open_pool
from ..bootstrap import Interval
from ..log import read_log
from ..off_policy import Estimated
from ..progress import quiet_or_shown
from ..savings import Choice, Savings, savings
from .shared import add_quiet, add_traces


class SavingsCommand:
    """Tells what routing was worth."""

    description = (
        "Estimates from the log of a running router, shadow calls and feedback among it, what the router saved\n"
        "against always asking one backend, and what other choices would have cost and scored."
    )
    example = "penstock savings logs/ --models models.yaml --policy frugal"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_traces(parser)
        add_models(parser)
        parser.add_argument(
            "--against", metavar="B", help="hold against always asking B (default: the best in the log)"
        )
        parser.add_argument("--policy", action="append", default=[], metavar="P", help="also this policy; repeatable")
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Prints the estimates."""
        config = read_config(options.models)
        for name in options.policy:
            if name not in config.policies:
                raise ConfigError(f"--policy: unknown {name!r}; expected one of {', '.join(config.policies)}")
        with quiet_or_shown(quiet=options.quiet) as progress:
            log = read_log(
                options.traces,
                skip_bad_rows=options.skip_bad_rows,
                progress=lambda path, n_rows: progress.note(f"{path}: {n_rows} rows read"),
            )
            progress.stage(f"estimating from {len(log.requests)} requests")
            policies = [config.policies[name] for name in options.policy]
            found = savings(log, open_pool(config), policies=policies, against=options.against)
        if options.json:
            print_json(savings_as_dict(found))
            return 0
        for line in savings_lines(found):
            print(line)
        return 0


def savings_as_dict(found: Savings) -> dict[str, Any]:
    """Returns the estimates as plain JSON values."""
    return {
        "requests": found.n_requests,
        "unanswered": found.n_unanswered,
        "graded": found.n_graded,
        "shadow_calls": found.n_shadow_calls,
        "shadow_usd": found.shadow_usd,
        "against": found.reference,
        "choices": {choice.name: _choice(choice) for choice in found.choices},
        "notes": list(found.notes),
    }


def _choice(choice: Choice) -> dict[str, Any]:
    return {
        "cost_usd": _estimated(choice.cost_usd),
        "score": None if choice.score is None else _estimated(choice.score),
        "saving": _interval(choice.saving),
        "gain": _interval(choice.gain),
    }


def _estimated(found: Estimated) -> dict[str, Any]:
    return {
        "inverse": _interval(found.inverse),
        "normalised": _interval(found.normalised),
        "doubly_robust": _interval(found.doubly_robust),
        "evidence": found.evidence,
        "support": found.support,
    }


def _interval(figure: Interval | None) -> dict[str, float | None] | None:
    return None if figure is None else figure.as_dict()


def savings_lines(found: Savings) -> list[str]:
    """Returns the estimates as lines to print."""
    lines = [
        f"{found.n_requests} requests answered, {found.n_unanswered} not; {found.n_graded} answers graded;"
        f" {found.n_shadow_calls} shadow calls for ${found.shadow_usd:.6f}"
    ]
    for choice in found.choices:
        score = "score unknown" if choice.score is None else f"score {choice.score.best}"
        evidence = choice.cost_usd.evidence if choice.score is None else choice.score.evidence
        cost = choice.cost_usd.best
        lines.append(
            f"{choice.name}: {score}, ${cost.value:.6f} [{cost.low:.6f}, {cost.high:.6f}] a request;"
            f" worth {evidence:.0f} requests"
        )
    served = found.choices[0]
    if served.saving is not None:
        gain = "unknown" if served.gain is None else str(served.gain)
        lines.append(f"saved against {found.reference}: {served.saving} of its cost; difference in score: {gain}")
    else:
        lines.append("saved: unknown, since no backend was asked often enough to hold it against")
    lines.extend(f"note: {note}" for note in found.notes)
    return lines
