"""`penstock demo`: the whole tour on the embedded models, with no key and no network."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...backends import TIERS
from ...classifiers import save_artefact
from ...router import Answer, Router
from ...router.cli import INTERRUPTED
from ...router.commands.shared import positive
from ..dataset import RIGHT, Dataset, build_dataset
from ..embedded.prompts import MIXES
from ..embedded.tour import BACKENDS_YAML, check_installed, collect_answers, right_answers
from ..errors import TraceError
from ..evaluate import evaluate
from ..evaluation import Evaluation, PolicyOutcome
from ..fit import fit
from ..metrics import single_backends
from ..progress import Progress, quiet_or_shown
from ..report import write_report
from ..rows import Trace
from ..split import split_queries
from ..traces import Traces, read_traces, write_traces
from .shared import add_quiet, seed

_N_SHOWN = 6
_N_TEST = 400
_FIRST_LINE = "# Written by `penstock demo`"
_MODELS = """\
# Written by `penstock demo`: {about}.
version: 1
artefact: artefact
default_policy: auto
policies:
  auto:   {{objective: near_best, margin: 0.0025}}
  frugal: {{objective: cheapest_above, quality: 0.8}}
  best:   {{objective: utility, lam: 0}}
backends:
{backends}
"""
_BACKEND = """\
  {name}: {{type: replay, traces: {traces}, tier: {tier}, supports: [streaming, logprobs]{efforts}}}"""


class DemoCommand:
    """Collects answers, trains, evaluates, answers."""

    description = (
        "The whole tour, offline: asks five backends of three small models that ship with Penstock some questions,\n"
        "grades the answers (or takes your traces), trains a router on them, evaluates it on questions it has not\n"
        "seen, writes report.html, and answers a few of them. Run again, it asks only what it has not asked yet."
    )
    example = "penstock demo --out demo-out"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        parser.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="(default: demo-out)")
        parser.add_argument("--traces", type=Path, nargs="*", metavar="T", help="real traces with responses instead")
        parser.add_argument(
            "--n", type=positive, default=1200, metavar="N", help="questions to learn from (default: 1200)"
        )
        parser.add_argument(
            "--n-test", type=positive, default=_N_TEST, metavar="N", help=f"unseen questions (default: {_N_TEST})"
        )
        parser.add_argument(
            "--mix",
            choices=MIXES,
            default="easy",
            help="easy: the easier the more often (default); even: all levels alike",
        )
        parser.add_argument("--seed", type=seed, default=0, metavar="N", help="(default: 0)")
        add_quiet(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Runs the tour; every step is one that a user can take."""
        out: Path = options.out
        if not options.traces:
            check_installed()
        _refuse_foreign(out)
        out.mkdir(parents=True, exist_ok=True)
        models, questions = out / "models.yaml", out / "questions.jsonl"
        traces_path = out / ("recorded.jsonl" if options.traces else "traces.jsonl")
        with quiet_or_shown(quiet=options.quiet) as progress:
            if options.traces:
                _write_replayed(read_traces(options.traces).rows, models, traces_path)
            elif _collect(options, models, questions, traces_path, progress):
                print("penstock: interrupted; run the same command again to go on from here", file=sys.stderr)
                return INTERRUPTED
            traces = read_traces([traces_path])
            router, test, evaluation = _train(traces, options, out, progress)
        with router:
            _show_answers(router, test, {} if options.traces else right_answers(questions))
        _show_summary(evaluation)
        print(f"\nreport: {out / 'report.html'}")
        print("\nGo on with:")
        print(f"  penstock check {models}    # then put your own backends into one like it: docs/how-to/models-yaml.md")
        print(f"  penstock serve --models {models}")
        print("  penstock train YOUR_TRACES --models models.yaml --out artefacts/default")
        return 0


def _collect(options: argparse.Namespace, models: Path, questions: Path, traces: Path, progress: Progress) -> bool:
    """Writes the embedded models.yaml and the answers of its backends; returns whether it was interrupted."""
    about = "three embedded models, five backends"
    models.write_text(_MODELS.format(about=about, backends=BACKENDS_YAML), encoding="utf-8")
    progress.stage(f"asking five backends {options.n + options.n_test} questions")
    return collect_answers(
        models,
        questions,
        traces,
        n=options.n,
        n_test=options.n_test,
        mix=options.mix,
        seed=options.seed,
        progress=progress,
    )


def _write_replayed(rows: Sequence[Trace], models: Path, traces_path: Path) -> None:
    """Writes traces and a models.yaml whose backends replay them."""
    write_traces(rows, traces_path)
    models.write_text(_replaying(build_dataset(read_traces([traces_path])), traces_path), encoding="utf-8")


def _train(
    traces: Traces, options: argparse.Namespace, out: Path, progress: Progress
) -> tuple[Router, Dataset, Evaluation]:
    """Trains, evaluates, writes artefact and report; returns the router, the unseen questions, the figures.

    Raises:
        TraceError: no query is left to judge by.
    """
    dataset = build_dataset(traces)
    split = split_queries(dataset, seed=options.seed)
    if not len(split.test):
        raise TraceError("no query is marked for test, so there is nothing unseen to show")
    fitted = fit(dataset, split, seed=options.seed, progress=progress)
    save_artefact(
        fitted.trained,
        out / "artefact",
        training_data_sha256=traces.sha256,
        seed=options.seed,
        metrics=fitted.metrics,
    )
    test, learned = dataset.take(split.test), dataset.take(split.learned)
    router = Router.from_config(out / "models.yaml")
    evaluation = evaluate(
        router.pool,
        test,
        policies=router.config.policies,
        default_policy=router.config.default_policy,
        split="test",
        title="demo" if not options.traces else ", ".join(path.name for path in options.traces),
        train=learned,
        trials=fitted.trials,
        signals=fitted.signals,
        efforts=fitted.efforts,
        notes=fitted.notes,
        progress=progress,
    )
    write_report(evaluation, out / "report.html")
    return router, test, evaluation


def _refuse_foreign(out: Path) -> None:
    """Refuses a folder with files that an earlier demo did not write.

    Raises:
        TraceError: it is such a folder.
    """
    models = out / "models.yaml"
    is_ours = models.is_file() and models.read_text(encoding="utf-8", errors="replace").startswith(_FIRST_LINE)
    if out.exists() and not is_ours and (not out.is_dir() or any(out.iterdir())):
        raise TraceError(f"{out}: exists and was not written by the demo; choose an empty or a new folder with --out")


def _replaying(dataset: Dataset, traces: Path) -> str:
    """Returns a models.yaml whose backends replay the traces."""
    efforts: dict[str, list[str]] = {}
    for name in dataset.backends:
        model, _, effort = name.partition("@")
        efforts.setdefault(model, []).extend([effort] if effort else [])
    lines = [
        _BACKEND.format(
            name=f'"{model}"',
            traces=traces.name,
            tier=next((tier for tier in TIERS if model.startswith(tier)), "lrm" if listed else "mid"),
            efforts=f", efforts: [{', '.join(listed)}]" if listed else "",
        )
        for model, listed in efforts.items()
    ]
    return _MODELS.format(
        about="backends that answer from recorded traces",
        backends="\n".join(lines),
    )


def _show_answers(router: Router, test: Dataset, right: Mapping[str, str]) -> None:
    """Asks a few unseen questions and shows what happened to each; `right` holds the right answers, by query_id."""
    print("\nUnseen questions, answered:")
    easiest_first = np.argsort([router.pool.estimate(text).difficulty for text in test.texts], kind="stable")
    picked = easiest_first[np.linspace(0, len(easiest_first) - 1, min(_N_SHOWN, len(easiest_first))).astype(int)]
    for row in picked:
        question = " ".join(test.texts[row].split())
        print(f"\n  {question[:110]}{'...' if len(question) > 110 else ''}")
        answer = router.ask(test.texts[row])
        known = right.get(test.query_ids[row])
        recorded = test.quality[row, test.backends.index(answer.backend)]
        is_right = recorded >= RIGHT if known is None else answer.text.strip() == known
        for line in _story(answer, is_right=is_right):
            print(f"    {line}")


def _story(answer: Answer, *, is_right: bool) -> list[str]:
    """Returns what happened to one question, in three lines; tokens and time where they are known."""
    decision = answer.decision
    completions = [step.completion for step in answer.steps if step.completion]
    tokens = sum(each.usage.input_tokens + each.usage.output_tokens for each in completions)
    latency_s = sum(each.latency_s for each in completions)
    text = " ".join(answer.text.split())
    told = [f"path {answer.path.replace('>', ' > ')}", f"confidence {answer.confidence:.2f}"]
    told += [f"{tokens} tokens"] * bool(tokens) + [f"${answer.cost_usd:.6f}"] + [f"{latency_s:.2f} s"] * bool(latency_s)
    return [
        f"difficulty {decision.estimates.difficulty:.2f}; start with {decision.backend}: {decision.reason}",
        ", ".join(told),
        f"{'right' if is_right else 'wrong'}: {text[:90]}{'...' if len(text) > 90 else ''}",
    ]


def _show_summary(evaluation: Evaluation) -> None:
    """Prints the default policy against always asking the cheapest and the best backend."""
    single = single_backends(evaluation.quality, evaluation.cost_usd)
    routed: PolicyOutcome = evaluation.policies[0]
    rows = [
        (
            f"always {evaluation.backends[single.cheapest]}",
            single.mean_score[single.cheapest],
            single.mean_cost_usd[single.cheapest],
        ),
        (
            f"always {evaluation.backends[single.best]}",
            single.mean_score[single.best],
            single.mean_cost_usd[single.best],
        ),
        (f"routed ({routed.policy})", float(np.nanmean(routed.score)), float(np.nanmean(routed.cost_usd))),
    ]
    best_cost = rows[1][2]
    print(f"\n{len(evaluation.query_ids)} unseen questions:")
    for name, score, cost in rows:
        share = f"{cost / best_cost:6.1%} of the best backend's cost" if best_cost else ""
        print(f"  {name:<24} accuracy {score:.3f}  ${cost:.6f} a question  {share}")
