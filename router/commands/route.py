"""`penstock route`: what would be asked, and why."""

from __future__ import annotations

import argparse

from ..router import Router
from .shared import add_json, add_models, add_question, print_json, question_of, wishes_of


class RouteCommand:
    """Decides without calling anything."""

    description = "Prints the decision for a query: estimates of every backend, exclusions, nearest training queries."
    example = 'penstock route "Prove that sqrt(2) is irrational." --policy frugal'

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_question(parser)
        add_models(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Prints the decision."""
        with Router.from_config(options.models) as router:
            decision = router.route(question_of(options), policy=options.policy, wishes=wishes_of(options))
        if options.json:
            print_json(decision.as_dict())
        else:
            print(decision.explain())
        return 0
