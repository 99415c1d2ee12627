"""`penstock collect`: prompts in, every backend asked, graded, traces out."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...backends import BackendSpec, ConfigError
from ...backends.retries import Retries
from ...router import Config, read_config
from ...router.cli import FAILED, INTERRUPTED, OK
from ...router.commands.shared import add_json, add_models, positive, print_json
from ..collect import Collector
from ..collecting.crew import Crew, run_collector
from ..collecting.judging import Judging
from ..collecting.trace_file import TraceFile, open_trace_file
from ..errors import BadRow, TraceError
from ..graders import GRADERS, Grader, create_grader, guess_grader, runs_code
from ..progress import Progress, quiet_or_shown
from ..prompts import Prompt, read_prompts
from ..traces import read_traces
from .shared import add_quiet


class CollectCommand:
    """Makes labelled traces."""

    description = (
        "Asks every backend every prompt, grades the answers, and appends them to --out as traces to train on.\n"
        "Run again after an interruption or a failure, it asks only for what is missing."
    )
    example = "penstock collect prompts.jsonl --models models.yaml --out traces.jsonl --grader numeric"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        parser.add_argument(
            "prompts", nargs="+", type=Path, metavar="PROMPTS", help="JSONL, CSV or Parquet files, or folders"
        )
        parser.add_argument("--out", type=Path, required=True, metavar="T", help="JSONL file to append traces to")
        add_models(parser)
        parser.add_argument("--backends", type=_names, metavar="A,B", help="only these (default: all of models.yaml)")
        parser.add_argument(
            "--drafts",
            type=_names,
            default=(),
            metavar="A,B",
            help="ask only the backends that check drafts, to check the answers of A and B that are in --out",
        )
        parser.add_argument(
            "--grader",
            action="append",
            default=[],
            metavar="G",
            help=f"for prompts that name none: {', '.join(GRADERS)}, or package.module:Name;"
            " repeat it to let rows name more graders that run code",
        )
        parser.add_argument("--draws", type=positive, default=1, metavar="N", help="answers to each (default: 1)")
        parser.add_argument(
            "--params", type=_params, default={}, metavar="JSON", help='request fields, as {"temperature": 0.7}'
        )
        parser.add_argument(
            "--judge", metavar="B", help="then ask this backend of every answer in T whether it is right, once"
        )
        parser.add_argument("--limit", type=positive, metavar="N", help="only the first N prompts")
        parser.add_argument("--retries", type=_count, default=5, metavar="N", help="after a failure (default: 5)")
        parser.add_argument("--concurrency", type=positive, metavar="N", help="most calls at once to one backend")
        parser.add_argument("--max-cost-usd", type=_amount, metavar="X", help="stop when this run has cost so much")
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Collects and says what came of it."""
        config = read_config(options.models)
        if options.judge and options.judge not in config.backends:
            raise ConfigError(f"--judge: unknown {options.judge!r}; expected one of {', '.join(config.backends)}")
        specs = _chosen(config, options.backends, options.drafts)
        prompts = read_prompts(options.prompts, leave_out=options.out)[: options.limit]
        crew = Crew(config, retries=Retries(most=options.retries), most_at_once=options.concurrency)
        names = grader_names(prompts, options.grader)
        graders = {name: create_grader(name, crew.judge) for name in dict.fromkeys(names.values())}
        check_prompts(prompts, names, graders)
        with open_trace_file(options.out) as out, quiet_or_shown(quiet=options.quiet) as progress:
            if out.n_torn_bytes:
                progress.stage(f"{out.path}: cut off {out.n_torn_bytes} bytes of a last line that was not whole")
            collector = Collector(
                prompts,
                {name: crew.asker(spec) for name, spec in specs.items()},
                out,
                grader_of=lambda prompt: graders[names[prompt.query_id]],
                judges=crew.judges,
                draws=options.draws,
                params=options.params,
                max_at_once=options.concurrency,
                max_cost_usd=options.max_cost_usd,
                drafters=options.drafts,
            )
            is_interrupted = run_collector(collector, crew, progress)
            judging = None
            if options.judge and not (is_interrupted or collector.is_spent):
                judging, is_interrupted = _judge(config, options, out, collector.spent_usd, progress)
        notes = _notes(collector, options, names, prompts)
        if judging is not None:
            notes.append(judging.note)
        if options.json:
            print_json(_summary(collector, options.out, is_interrupted, notes))
        else:
            _print(collector, options.out, notes)
        if is_interrupted:
            print("penstock: interrupted; run the same command again to go on from here", file=sys.stderr)
            return INTERRUPTED
        has_failed = any(each.n_failed or each.n_ungraded for each in collector.tallies.values())
        has_failed |= judging is not None and judging.n_failed > 0
        return FAILED if has_failed else OK


def _judge(
    config: Config, options: argparse.Namespace, out: TraceFile, spent_usd: float, progress: Progress
) -> tuple[Judging, bool]:
    """Has the answers in the file judged; returns what came of it, and whether it was interrupted."""
    crew = Crew(config, retries=Retries(most=options.retries), most_at_once=options.concurrency)
    rows = read_traces([out.path]).rows if out.path.stat().st_size else ()
    left = None if options.max_cost_usd is None else options.max_cost_usd - spent_usd
    judging = Judging(
        rows, crew.asker(config.backends[options.judge]), out, max_at_once=options.concurrency, max_cost_usd=left
    )
    return judging, run_collector(judging, crew, progress, name="judging")


def grader_names(prompts: Sequence[Prompt], given: Sequence[str]) -> dict[str, str]:
    """Returns the grader of every prompt by its id: its own, else the first of those given, else a guess.

    Raises:
        TraceError: a row names a grader that runs code and was not given, or there is nothing to guess from.
    """
    names = {}
    for prompt in prompts:
        if prompt.grader and runs_code(prompt.grader) and prompt.grader not in given:
            raise TraceError(
                f"{prompt.where}: column grader: {prompt.grader!r} runs code, which a row alone may not ask for; "
                f"add --grader {prompt.grader}"
            )
        try:
            names[prompt.query_id] = prompt.grader or next(iter(given), "") or guess_grader(prompt)
        except BadRow as error:
            raise TraceError(f"{prompt.where}: {error}") from error
    return names


def check_prompts(prompts: Sequence[Prompt], names: Mapping[str, str], graders: Mapping[str, Grader]) -> None:
    """Accepts prompts whose answers can all be graded, before anything is asked.

    Raises:
        TraceError: one cannot; the text says which, why, and how many more.
    """
    problems = []
    for prompt in prompts:
        try:
            graders[names[prompt.query_id]].check(prompt)
        except BadRow as error:
            problems.append(f"{prompt.where}: {error}")
    if problems:
        more = f" (and {len(problems) - 1} more prompts that cannot be graded)" if len(problems) > 1 else ""
        raise TraceError(problems[0] + more)


def _chosen(config: Config, wanted: Sequence[str] | None, drafters: Sequence[str]) -> dict[str, BackendSpec]:
    """Returns the backends to ask: those that check drafts where these are to be checked, or else the others.

    Raises:
        ConfigError: a name is not known or of the wrong kind, or nobody checks drafts.
    """
    asked = {name: spec for name, spec in config.backends.items() if spec.checks_draft == bool(drafters)}
    others = [name for name in config.backends if name not in asked]
    if not asked:
        raise ConfigError("--drafts: no backend checks drafts; expected one of style check_draft in models.yaml")
    for name in wanted or ():
        if name not in config.backends:
            raise ConfigError(f"--backends: unknown {name!r}; expected some of {', '.join(asked)}")
        if name not in asked:
            how = "checks no drafts, as --drafts is for" if drafters else "needs --drafts A,B"
            raise ConfigError(f"--backends: {name} {how}; expected some of {', '.join(asked)}")
    for name in drafters:
        if name not in others:
            raise ConfigError(f"--drafts: {name!r} has no answers to check; expected some of {', '.join(others)}")
    return {name: spec for name, spec in asked.items() if wanted is None or name in wanted}


def _notes(
    collector: Collector, options: argparse.Namespace, names: Mapping[str, str], prompts: Sequence[Prompt]
) -> list[str]:
    """Returns sentences on what a reader of the figures should know."""
    notes = []
    if not options.grader:
        guessed = Counter(names[prompt.query_id] for prompt in prompts if not prompt.grader)
        for name, n_prompts in guessed.items():
            notes.append(f"grader guessed from the columns: {name} for {n_prompts} prompts; --grader says otherwise")
    if options.draws > 1 and not options.params.get("temperature"):
        notes.append("no temperature in --params: draws may all be alike; try --params '{\"temperature\": 0.7}'")
    if options.drafts and not any(each.n_skipped or each.n_asked or each.n_left for each in collector.tallies.values()):
        notes.append("nothing to check: --out holds no answer of these backends; collect without --drafts first")
    for name, tally in collector.tallies.items():
        if tally.n_estimated:
            notes.append(f"{name}: tokens and cost of {tally.n_estimated} answers are estimated from their text")
        if tally.given_up:
            notes.append(f"{name}: given up, {tally.given_up}")
        notes += [f"{name}: {reason}" for reason in tally.reasons]
    if collector.is_spent:
        notes.append(f"stopped: ${collector.spent_usd:.6f} spent of ${options.max_cost_usd:g}")
    unfinished = sum(each.n_failed + each.n_left + each.n_ungraded for each in collector.tallies.values())
    if unfinished:
        notes.append(f"{unfinished} are missing or not graded: run the same command again to ask for these only")
    return notes


def _summary(collector: Collector, out: Path, is_interrupted: bool, notes: Sequence[str]) -> dict[str, object]:
    return {
        "traces": str(out),
        "backends": [tally.as_dict() for tally in collector.tallies.values()],
        "cost_usd": collector.spent_usd,
        "judge_cost_usd": collector.judge_cost_usd,
        "is_interrupted": is_interrupted,
        "notes": list(notes),
    }


def _print(collector: Collector, out: Path, notes: Sequence[str]) -> None:
    width = max(len("backend"), *map(len, collector.tallies))
    print(f"{'backend':<{width}}   asked skipped  failed    left ungraded retries  score        cost")
    for name, tally in collector.tallies.items():
        score = "     -" if tally.mean_score is None else f"{tally.mean_score:6.3f}"
        counts = (tally.n_asked, tally.n_skipped, tally.n_failed, tally.n_left, tally.n_ungraded, tally.n_retries)
        print(f"{name:<{width}} " + "".join(f"{count:8}" for count in counts) + f" {score} ${tally.cost_usd:10.6f}")
    if collector.judge_cost_usd:
        print(f"grading by judges: ${collector.judge_cost_usd:.6f}")
    for note in notes:
        print(f"note: {note}")
    print(f"traces: {out}")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"expected names of backends, got {text!r}")
    return names


def _params(text: str) -> dict[str, object]:
    try:
        params = json.loads(text)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise argparse.ArgumentTypeError(f"expected a JSON object, got {text!r}")
    for key in ("model", "messages", "stream"):
        if key in params:
            raise argparse.ArgumentTypeError(f"{key} is not for you to set: each backend and prompt has its own")
    return params


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected a whole number of 0 or more, got {text!r}")
    return int(text)


def _amount(text: str) -> float:
    try:
        amount = float(text)
    except ValueError:
        amount = -1.0
    if not 0 < amount < float("inf"):
        raise argparse.ArgumentTypeError(f"expected US dollars above 0, got {text!r}")
    return amount
