"""The command `penstock`. Each subcommand is a module, loaded only when it is called."""

from __future__ import annotations

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from ..backends import PenstockError, resolve

OK, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("the whole tour: make traces, train, evaluate, answer", "penstock.training.commands.demo:DemoCommand"),
    "check": ("validate models.yaml", "penstock.router.commands.check:CheckCommand"),
    "collect": ("ask every backend, grade, write traces", "penstock.training.commands.collect:CollectCommand"),
    "train": ("learn a router from labelled traces", "penstock.training.commands.train:TrainCommand"),
    "onboard": ("let a backend join a trained router", "penstock.training.commands.onboard:OnboardCommand"),
    "certify": ("prove a bound on the quality lost", "penstock.training.commands.certify:CertifyCommand"),
    "evaluate": ("figures of merit on labelled traces", "penstock.training.commands.evaluate:EvaluateCommand"),
    "predict": ("estimates for many queries", "penstock.training.commands.predict:PredictCommand"),
    "replay": ("the cascade over recorded answers", "penstock.training.commands.replay:ReplayCommand"),
    "redteam": ("how far words can push the decision", "penstock.training.commands.redteam:RedTeamCommand"),
    "savings": ("what the router saved, from its log", "penstock.training.commands.savings:SavingsCommand"),
    "route": ("the decision for a query and its reasons; calls nothing", "penstock.router.commands.route:RouteCommand"),
    "ask": ("a routed answer", "penstock.router.commands.ask:AskCommand"),
    "keys": ("API keys of the sidecar: create, list, revoke", "penstock.router.commands.keys:KeysCommand"),
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
    _open_streams()
    try:
        options, unknown = _parser(words).parse_known_args(words)
        if unknown:  # `parse_args` would send to the help of all commands
            options.parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
        command: Command = options.command
        code = command.run(options)
        sys.stdout.flush()  # here, where a reader that has gone is no traceback
        return code
    except SystemExit as end:  # argparse has printed what was wrong, or the help
        return int(end.code or 0)
    except BrokenPipeError:  # a second error while closing would say nothing new
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (PenstockError, OSError) as error:
        print(f"penstock: error: {_told(error)}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("penstock: interrupted", file=sys.stderr)
        return INTERRUPTED


def _open_streams() -> None:
    """Opens what stands in for standard streams that are closed, where Python has None, and lets the others show what
    their encoding cannot as `\\xe9`: a terminal that is not UTF-8 is no reason to lose an answer that was paid for."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  # to the end of the process
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _told(error: PenstockError | OSError) -> str:
    """Returns what went wrong in one line; of the system's errors what and where, not the number."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the usage is what --help is for."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: error: {message}; see `{self.prog} --help`\n")


class _Version(argparse.Action):
    """Prints the version; looked up only then, for it takes longer than all other parsing."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            version = metadata.version("penstock")
        except metadata.PackageNotFoundError:
            version = "(not installed)"
        print(f"penstock {version}")
        parser.exit()


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """Returns the parser; only the subcommand that is called is loaded."""
    parser = _Parser(
        prog="penstock",
        description="Sends each query to the cheapest language or reasoning model that will get it right.",
        epilog="`penstock COMMAND --help` tells more, with an example.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
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
        subparser.set_defaults(command=command, parser=subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
