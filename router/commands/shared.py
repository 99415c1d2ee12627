"""Arguments that several commands take, and how they print."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import Any

import orjson

from ...backends import ConfigError
from ..policy import Wishes, read_wishes

DEFAULT_MODELS = "models.yaml"

_WISHES = {
    "lam": ("X", "quality given up for a dollar saved"),
    "min_quality": ("X", "least estimated quality, 0 to 1"),
    "max_cost_usd": ("X", "most to spend on this query"),
    "max_latency_s": ("X", "longest expected latency"),
    "effort": ("E", "reasoning effort, where a backend has one"),
    "budget": ("N", "most reasoning tokens to spend on one call"),
    "floor": ("TIER", "no backend below this tier: small, mid or lrm"),
    "allow": ("A,B", "only these backends"),
    "deny": ("A,B", "not these backends"),
}


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds --models."""
    parser.add_argument("--models", default=DEFAULT_MODELS, metavar="FILE", help="configuration (default: models.yaml)")


def add_json(parser: argparse.ArgumentParser) -> None:
    """Adds --json."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs")


def add_question(parser: argparse.ArgumentParser) -> None:
    """Adds the query, the policy and the wishes of one request."""
    parser.add_argument("query", help="the question; - reads it from standard input")
    parser.add_argument("--policy", metavar="P", help="policy or backend of models.yaml (default: its default_policy)")
    for name, (shown, meaning) in _WISHES.items():
        parser.add_argument(f"--{name.replace('_', '-')}", metavar=shown, type=partial(_read_wish, name), help=meaning)


def question_of(options: argparse.Namespace) -> str:
    """Returns the query text.

    Raises:
        ConfigError: it is empty, or standard input is not text.
    """
    try:
        text: str = sys.stdin.read() if options.query == "-" else options.query
    except UnicodeDecodeError as error:
        raise ConfigError(f"query: standard input is not {error.encoding}: {error.reason}") from error
    if not text.strip():
        raise ConfigError("query: empty; expected a question")
    # A terminal's bytes that are no UTF-8 come as half surrogate pairs, which no JSON can carry.
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def wishes_of(options: argparse.Namespace) -> Wishes:
    """Returns the wishes given on the command line."""
    return Wishes(**{name: getattr(options, name) for name in _WISHES})


def positive(text: str) -> int:
    """Returns a whole number from 1 up, as the `type` of an argument."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, got {text!r}")
    return int(text)


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())


def _read_wish(name: str, text: str) -> Any:
    try:
        return getattr(read_wishes({name: text}, where="command line"), name)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix(f"command line.{name}: ")) from error
