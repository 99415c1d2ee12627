"""The command `penstock`. Each subcommand is a module, loaded only when it is called."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Protocol

from ..backends import PenstockError, resolve

OK, FAILED, WRONG_USE = 0, 1, 2

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("the whole tour: make traces, train, evaluate, answer", "penstock.training.commands.demo:DemoCommand"),
    "check": ("validate models.yaml", "penstock.router.commands.check:CheckCommand"),
    "train": ("learn a router from labelled traces", "penstock.training.commands.train:TrainCommand"),
    "evaluate": ("figures of merit on labelled traces", "penstock.training.commands.evaluate:EvaluateCommand"),
    "predict": ("estimates for many queries", "penstock.training.commands.predict:PredictCommand"),
    "replay": ("the cascade over recorded answers", "penstock.training.commands.replay:ReplayCommand"),
    "route": ("the decision for a query and its reasons; calls nothing", "penstock.router.commands.route:RouteCommand"),
    "ask": ("a routed answer", "penstock.router.commands.ask:AskCommand"),
    "serve": ("the sidecar proxy", "penstock.router.commands.serve:ServeCommand"),
}


class Command(Protocol):
    """One subcommand. Built as `Type()`."""

    description: str
    example: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        ...

    def run(self, options: argparse.Namespace) -> int:
        """Does the work and returns the exit code."""
        ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 ok, 1 failed, 2 wrong use, 130 interrupted."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    try:
        options = parser.parse_args(words)
    except SystemExit as end:  # argparse has printed what was wrong, or the help
        return int(end.code or 0)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    command: Command = options.command
    try:
        return command.run(options)
    except PenstockError as error:
        print(f"penstock: error: {' '.join(str(error).split())}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("penstock: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone; a second error while closing would say nothing new
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser; only the subcommand that is called is loaded."""
    parser = argparse.ArgumentParser(
        prog="penstock",
        description="Sends each query to the cheapest language or reasoning model that will get it right.",
        epilog="`penstock COMMAND --help` tells more, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"penstock {metadata.version('penstock')}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    called = next((word for word in words if not word.startswith("-")), None)
    for name, (summary, target) in COMMANDS.items():
        if name != called:
            subparsers.add_parser(name, help=summary)
            continue
        command: Command = resolve(name, {name: target}, what="command")()
        subparser = subparsers.add_parser(
            name,
            help=summary,
            description=command.description,
            epilog=f"example:\n  {command.example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
