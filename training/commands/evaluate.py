"""`penstock evaluate`: figures of merit of an artefact on labelled traces."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from ...classifiers.whole_file import whole_file
from ...router.commands.shared import print_json
from ..bootstrap import curve_figures, mean_interval, probability_intervals
from ..errors import TraceError
from ..evaluate import evaluate
from ..evaluation import Evaluation
from ..log import read_log
from ..metrics import single_backends
from ..progress import quiet_or_shown
from ..report import write_report
from ..rows import Trace
from ..savings import savings
from ..shift import BUDGET_S, ShiftedSlice, measure_shift
from .savings import savings_as_dict, savings_lines
from .shared import (
    add_artefact,
    add_models,
    add_quiet,
    add_seed,
    add_split,
    add_traces,
    check_file,
    open_artefact,
    policies_of,
    read_part,
    seconds,
)


class EvaluateCommand:
    """Measures a router."""

    description = "Replays a trained router over labelled traces and prints its figures of merit with 95 % intervals."
    example = "penstock evaluate artefacts/default traces/ --split test --report report.html"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        add_traces(parser)
        add_split(parser, default="test")
        add_models(parser)
        parser.add_argument("--json", nargs="?", const="-", metavar="F", help="write the figures as JSON (default: -)")
        parser.add_argument("--report", type=Path, metavar="F.html", help="write the report")
        add_seed(parser)
        parser.add_argument(
            "--shift",
            nargs="?",
            type=seconds,
            const=BUDGET_S,
            metavar="TIME",
            help=f"also learn without each task, and without long queries, within this time (default: {BUDGET_S:g}s)",
        )
        add_quiet(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Evaluates and prints."""
        for out in (options.report, options.json):
            if out and out != "-":
                check_file(Path(out), options, read=options.traces)
        opened = open_artefact(options)
        policies, default = policies_of(opened.config)
        with quiet_or_shown(quiet=options.quiet) as progress:
            dataset, tested, split = read_part(options, opened, progress)
            if split is None and options.shift is not None:
                raise TraceError("--shift: with --split all there is no query to judge by; expected --split test")
            train = None if split is None else dataset.take(split.learned)
            notes = list(dataset.notes)
            if options.split != "test":
                notes.append(f"Split {options.split} holds queries that training looks at: its figures flatter.")
            evaluation = evaluate(
                opened.pool,
                tested,
                policies=policies,
                default_policy=default,
                split=options.split,
                title=", ".join(path.name for path in options.traces),
                train=train,
                notes=notes,
                progress=progress,
            )
            recorded: list[Trace | None] = dataset.answers.ravel().tolist()
            if any(trace is not None and trace.propensity is not None for trace in recorded):
                log = read_log(options.traces, skip_bad_rows=options.skip_bad_rows)
                if train is not None and options.split == "test":  # what was learned from would flatter itself
                    log = log.without(train.query_ids)
                found = savings(log, opened.pool, policies=list(policies.values()))
                evaluation = replace(evaluation, savings=found)
            if options.shift is not None and split is not None:
                shift, told = measure_shift(
                    dataset,
                    split,
                    encoder=opened.manifest.encoder,
                    seed=opened.manifest.seed,
                    budget_s=options.shift,
                    progress=progress,
                )
                evaluation = replace(evaluation, shift=shift, notes=(*evaluation.notes, *told))
            if options.report:
                progress.stage("writing the report")
                write_report(evaluation, options.report)
        figures = figures_of(evaluation) | {"notes": list(evaluation.notes)}
        if options.shift is not None:
            figures["shift"] = [_slice(part) for part in evaluation.shift]
        if evaluation.savings is not None:
            figures["savings"] = savings_as_dict(evaluation.savings)
        if options.json == "-":
            print_json(figures)
        else:
            if options.json:
                _write_json(figures, Path(options.json))
            for line in (*_lines(figures), *(savings_lines(evaluation.savings) if evaluation.savings else ())):
                print(line)
            if options.report:
                print(f"report: {options.report}")
        return 0


def figures_of(evaluation: Evaluation) -> dict[str, Any]:
    """Returns the figures of merit as plain JSON values."""
    quality, cost = evaluation.quality, evaluation.cost_usd
    single = single_backends(quality, cost)
    families = evaluation.families
    curves = curve_figures(evaluation.curves, quality, cost, families=families)
    seen = np.isfinite(quality)
    rows = np.broadcast_to(np.arange(len(quality))[:, None], quality.shape)[seen]
    probabilities = probability_intervals(
        evaluation.estimated_quality[seen], quality[seen], rows, n_queries=len(quality), families=families
    )
    figures: dict[str, Any] = {
        "title": evaluation.title,
        "split": evaluation.split,
        "n_queries": len(evaluation.query_ids),
        "always_cheapest": _backend(evaluation, single.cheapest),
        "always_best": _backend(evaluation, single.best),
        "curves": {
            curve.name: {
                "aiq": curve.aiq.as_dict(),
                "gain_over_hull": curve.gain_over_hull.as_dict(),
                "gap_closed": curve.gap_closed.as_dict(),
                "saving_at_best": curve.saving_at_best.as_dict(),
            }
            for curve in curves
        },
        "policies": {
            outcome.policy: {
                "score": mean_interval(outcome.score, families=families).as_dict(),
                "cost_usd": mean_interval(outcome.cost_usd, families=families).as_dict(),
                "calls": float(outcome.n_calls[outcome.n_calls > 0].mean()) if outcome.n_calls.any() else 0.0,
                "refused": int((outcome.n_calls == 0).sum()),
            }
            for outcome in evaluation.policies
        },
        "estimates": {name: getattr(probabilities, name).as_dict() for name in ("brier", "ece", "auroc")},
    }
    if evaluation.confidences is not None:
        seen_calls = evaluation.confidences
        judged = probability_intervals(
            seen_calls.confidence,
            seen_calls.score,
            seen_calls.query if seen_calls.query is not None else np.arange(len(seen_calls.score)),
            n_queries=len(quality),
            families=families,
        )
        figures["confidences"] = {name: getattr(judged, name).as_dict() for name in ("brier", "ece", "auroc")}
    return figures


def _slice(part: ShiftedSlice) -> dict[str, Any]:
    intervals = ("aiq", "aiq_unseen", "aiq_difference", "gap_closed", "gap_closed_unseen", "gain_over_hull_unseen")
    return {
        "name": part.name,
        "n_queries": part.n_queries,
        "n_learned": part.n_learned,
        **{name: getattr(part, name).as_dict() for name in intervals},
    }


def _backend(evaluation: Evaluation, column: int) -> dict[str, Any]:
    return {
        "backend": evaluation.backends[column],
        "score": float(np.nanmean(evaluation.quality[:, column])),
        "cost_usd": float(np.nanmean(evaluation.cost_usd[:, column])),
    }


def _lines(figures: dict[str, Any]) -> list[str]:
    lines = [f"{figures['title']}, split {figures['split']}: {figures['n_queries']} queries"]
    for name in ("always_cheapest", "always_best"):
        row = figures[name]
        lines.append(f"{name.replace('_', '-')}: {row['backend']} scores {row['score']:.4f} for ${row['cost_usd']:.6f}")
    for name, curve in figures["curves"].items():
        shown = ", ".join(f"{key} {_shown(value)}" for key, value in curve.items() if key != "gain_over_hull")
        lines.append(f"{name}: {shown}")
    for name, row in figures["policies"].items():
        refused = f"; refused {row['refused']} queries" if row["refused"] else ""
        cost = "nothing" if row["cost_usd"]["value"] is None else f"${row['cost_usd']['value']:.6f}"
        lines.append(f"policy {name}: score {_shown(row['score'])} for {cost}, {row['calls']:.2f} calls{refused}")
    for part in figures.get("shift", ()):
        shown = ", ".join(f"{key} {_shown(value)}" for key, value in part.items() if isinstance(value, dict))
        lines.append(f"unseen: {part['name']}, {part['n_queries']} queries: {shown}")
    lines.extend(f"note: {note}" for note in figures["notes"])
    for kind in ("estimates", "confidences"):
        if kind in figures:
            lines.append(f"{kind}: " + ", ".join(f"{key} {_shown(value)}" for key, value in figures[kind].items()))
    return lines


def _shown(figure: dict[str, float | None]) -> str:
    if figure["value"] is None:
        return "undefined"
    bounds = "" if figure["low"] is None else f" [{figure['low']:.4f}, {figure['high']:.4f}]"
    return f"{figure['value']:.4f}{bounds}"


def _write_json(figures: dict[str, Any], path: Path) -> None:
    with whole_file(path) as scratch:
        scratch.write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2) + b"\n")
