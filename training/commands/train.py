"""`penstock train`: labelled traces in, an artefact and a report out."""

from __future__ import annotations

import argparse
from pathlib import Path

from ...classifiers import HEADS, check_folder, save_artefact
from ...router.commands.shared import add_json, print_json
from ..evaluate import evaluate
from ..fit import check_names, fit
from ..progress import quiet_or_shown
from ..report import write_report
from ..report_efforts import efforts_lines
from ..split import split_queries
from .shared import add_models, add_quiet, add_traces, policies_of, pool_of, read_dataset, read_models, seconds, seed


class TrainCommand:
    """Learns a router."""

    description = (
        "Learns a router from labelled traces and writes it to --out, with report.html beside the weights.\n"
        "Rows whose `split` is test are never learned from; they are what the report is about."
    )
    example = "penstock train traces/ --models models.yaml --out artefacts/default"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_traces(parser)
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the artefact")
        add_models(parser)
        parser.add_argument("--encoder", default="static", metavar="E", help="static, or hf:<folder or hub id>")
        parser.add_argument("--classifier", default="auto", metavar="C", help=f"auto, {', '.join(HEADS)}:<folder>")
        parser.add_argument(
            "--budget",
            type=seconds,
            metavar="TIME",
            help="time for the classifiers of `auto` to be begun in, as in 60s or 5m",
        )
        parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of splits and folds (default: 0)")
        parser.add_argument("--no-report", action="store_true", help="write no report.html")
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Trains, saves and says what was learned."""
        check_folder(options.out)
        check_names(options.encoder, options.classifier)
        config = read_models(options.models)
        with quiet_or_shown(quiet=options.quiet) as progress:
            dataset, traces = read_dataset(options, config, progress)
            split = split_queries(dataset, seed=options.seed)
            fitted = fit(
                dataset,
                split,
                encoder=options.encoder,
                classifier=options.classifier,
                seed=options.seed,
                budget_s=options.budget,
                run_code=config is not None and config.run_code,
                progress=progress,
            )
            save_artefact(
                fitted.trained,
                options.out,
                training_data_sha256=traces.sha256,
                seed=options.seed,
                metrics=fitted.metrics,
            )
            written = options.out / "report.html"
            written.unlink(missing_ok=True)  # one of an earlier training tells of another router
            report = None
            notes = list(fitted.notes)
            if not len(split.test):
                notes.append(
                    "No report: no query is marked for test, and figures on what was learned from would flatter."
                )
            elif not options.no_report:
                policies, default = policies_of(config)
                evaluation = evaluate(
                    pool_of(config, fitted.trained),
                    dataset.take(split.test),
                    policies=policies,
                    default_policy=default,
                    split="test",
                    title=", ".join(path.name for path in options.traces),
                    train=dataset.take(split.learned),
                    trials=fitted.trials,
                    signals=fitted.signals,
                    efforts=fitted.efforts,
                    notes=notes,
                    progress=progress,
                )
                progress.stage("writing the report")
                write_report(evaluation, written)
                report = written
        if options.json:
            print_json({"artefact": str(options.out), "report": str(report) if report else None, **fitted.metrics})
            return 0
        for trial in fitted.trials:
            mark = "<- chosen" if trial.is_chosen else ""
            interval = f"[{trial.low:.4f}, {trial.high:.4f}]"
            print(
                f"{trial.name:<10} {trial.metric} {trial.value:.4f} {interval}  {trial.fit_s:5.1f} s  {mark}".rstrip()
            )
        for curve in fitted.efforts:
            for line in efforts_lines(curve):
                print(line)
        for note in notes:
            print(f"note: {note}")
        print(f"artefact: {options.out}")
        if report:
            print(f"report: {report}")
        return 0
