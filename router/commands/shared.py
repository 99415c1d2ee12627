"""Arguments that several commands take, and how they print."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import orjson

from ..policy import Wishes, read_wishes

DEFAULT_MODELS = "models.yaml"


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
    parser.add_argument("--lam", metavar="X", help="quality given up for a dollar saved")
    parser.add_argument("--min-quality", metavar="X", help="least estimated quality, 0 to 1")
    parser.add_argument("--max-cost-usd", metavar="X", help="most to spend on this query")
    parser.add_argument("--max-latency-s", metavar="X", help="longest expected latency")
    parser.add_argument("--effort", metavar="E", help="reasoning effort, where a backend has one")
    parser.add_argument("--allow", metavar="A,B", help="only these backends")
    parser.add_argument("--deny", metavar="A,B", help="not these backends")


def question_of(options: argparse.Namespace) -> str:
    """Returns the query text."""
    text: str = sys.stdin.read() if options.query == "-" else options.query
    return text


def wishes_of(options: argparse.Namespace) -> Wishes:
    """Returns the wishes given on the command line."""
    names = ("lam", "min_quality", "max_cost_usd", "max_latency_s", "effort", "allow", "deny")
    given = {name: value for name in names if (value := getattr(options, name)) is not None}
    return read_wishes(given, where="command line")


def print_json(value: Any) -> None:
    """Prints one JSON document."""
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY).decode())
