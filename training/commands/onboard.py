"""`penstock onboard`: a new backend joins a trained router by a few graded answers, picked for what they tell."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ...backends import BackendSpec, ConfigError
from ...backends.retries import Retries
from ...classifiers import FitError, QueryModel, check_folder, load_artefact, question_of, save_artefact
from ...router import Config, read_config
from ...router.cli import FAILED, INTERRUPTED, OK
from ...router.commands.shared import add_json, positive, print_json
from ..collect import Collector
from ..collecting.crew import Crew, run_collector
from ..collecting.trace_file import TraceFile, open_trace_file
from ..dataset import Dataset, build_dataset
from ..graders import GRADERS, create_grader
from ..newcomer import Newcomer, choose_queries
from ..onboarding import known_logits, onboard
from ..progress import Progress, quiet_or_shown
from ..prompts import Prompt, read_prompts
from ..traces import read_traces
from .collect import check_prompts, grader_names
from .shared import add_artefact, add_models, add_quiet

_AT_ONCE = 10  # queries that are picked before their answers teach which to pick next


class OnboardCommand:
    """Lets a backend join."""

    description = (
        "Asks a new backend the prompts that tell most of it, grades the answers, and writes the router that it has\n"
        "joined to --out; the other backends stay as they are. Run again after an interruption, it goes on from there."
    )
    example = "penstock onboard artefacts/default prompts.jsonl --models models.yaml --backend new --out artefacts/new"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        parser.add_argument(
            "prompts", nargs="*", type=Path, metavar="PROMPTS", help="JSONL, CSV or Parquet files, or folders"
        )
        parser.add_argument("--backend", required=True, metavar="NAME", help="the one that joins")
        parser.add_argument("--out", type=Path, metavar="DIR2", help="folder of the new artefact")
        parser.add_argument("--n", type=positive, default=50, metavar="N", help="prompts to ask (default: 50)")
        parser.add_argument(
            "--labels", type=Path, metavar="T", help="JSONL file that answers are appended to (default: DIR2.jsonl)"
        )
        parser.add_argument(
            "--traces", nargs="+", type=Path, metavar="T", help="place it by these graded answers, and ask nothing"
        )
        parser.add_argument("--pick-only", action="store_true", help="print the prompts to ask, and ask nothing")
        parser.add_argument("--grader", metavar="G", help=f"for prompts that name none: {', '.join(GRADERS)}")
        add_models(parser)
        add_quiet(parser)
        add_json(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Picks, asks, places and saves."""
        trained, manifest = load_artefact(options.artefact)
        if options.backend in trained.model.backends:
            raise FitError(f"--backend: {options.backend!r} is in the router already; train again to change it")
        prompts = read_prompts(options.prompts, leave_out=options.labels) if options.prompts else ()
        if not prompts and (options.traces is None or options.pick_only):
            raise ConfigError("PROMPTS: expected files of prompts to pick from")
        candidates = _Candidates(trained.model, prompts)
        if options.pick_only:
            _print_picked(candidates.pick([], [], options.n), as_json=options.json)
            return OK
        if options.out is None:
            raise ConfigError("--out: expected a folder for the new artefact")
        check_folder(options.out)
        with quiet_or_shown(quiet=options.quiet) as progress:
            config = read_config(options.models) if options.models else None
            if options.traces is None:
                labels = [options.labels or options.out.with_name(options.out.name + ".jsonl")]
                if _ask(candidates, options, config, labels[0], progress):
                    print("penstock: interrupted; run the same command again to go on from here", file=sys.stderr)
                    return INTERRUPTED
            else:
                labels = options.traces
            dataset = _dataset(labels, options.backend, config)
            progress.stage(f"placing {options.backend} by {dataset.n_queries} graded queries")
            joined = onboard(trained, dataset, options.backend, candidates.texts)
        save_artefact(
            joined,
            options.out,
            training_data_sha256=manifest.training_data_sha256,
            seed=manifest.seed,
            metrics={**manifest.metrics, "joined": joined.model.joined},
        )
        (options.out / "report.html").unlink(missing_ok=True)  # one of the router that was there tells of another pool
        mean = float(np.nanmean(dataset.quality))
        expected = float(joined.model.mean_quality[-1])
        if options.json:
            told = {"artefact": str(options.out), "backend": options.backend, "n_labels": dataset.n_queries}
            print_json({**told, "labelled_score": mean, "mean_quality": expected})
        else:
            print(
                f"{options.backend}: scored {mean:.3f} on {dataset.n_queries} queries, expected {expected:.3f} on all"
            )
            if trained.certificates:
                print("note: certificates are left behind, as they are about the pool without it; certify again")
            print(f"artefact: {options.out}")
        return FAILED if options.traces is None and dataset.n_queries < min(options.n, len(prompts)) else OK


class _Candidates:
    """The prompts that may be asked, and what is expected of the known backends on them."""

    def __init__(self, model: QueryModel, prompts: Sequence[Prompt]) -> None:
        self.prompts = prompts
        self.texts = [question_of(prompt.as_query({})) for prompt in prompts]
        self._logits = known_logits(model.estimate_all(self.texts)) if prompts else None

    def pick(self, tried: Sequence[int], scores: Sequence[float | None], n: int) -> list[Prompt]:
        """Returns the prompts to ask next, those tried left out; `scores` are theirs, None = not graded."""
        assert self._logits is not None  # or there is nothing to pick from
        graded = [(row, score) for row, score in zip(tried, scores, strict=True) if score is not None]
        newcomer = Newcomer.expect(self._logits)
        if graded:
            rows = [row for row, _ in graded]
            newcomer = newcomer.learn(self._logits[rows], np.array([score for _, score in graded]))
        return [self.prompts[row] for row in choose_queries(newcomer, self._logits, n, without=tried)]


def _ask(
    candidates: _Candidates, options: argparse.Namespace, config: Config | None, labels: Path, progress: Progress
) -> bool:
    """Asks, a few prompts at a time, until n of them were tried; returns whether it was interrupted."""
    if config is None:
        raise ConfigError("--models: expected models.yaml, which says how to reach the backend; or --traces")
    if options.backend not in config.backends:
        raise ConfigError(f"--backend: unknown {options.backend!r}; expected one of {', '.join(config.backends)}")
    if config.backends[options.backend].checks_draft:
        raise ConfigError(
            f"--backend: {options.backend} checks the answers of others; `penstock train` learns what that is worth"
            " from traces of `penstock collect --drafts`"
        )
    names = grader_names(candidates.prompts, [options.grader] if options.grader else [])
    ids = [prompt.query_id for prompt in candidates.prompts]
    failed: set[str] = set()
    labels.parent.mkdir(parents=True, exist_ok=True)
    with open_trace_file(labels) as out:
        while True:
            rows = out.rows(candidates.prompts)
            found = {query_id: trace.score for (query_id, name, _), trace in rows.items() if name == options.backend}
            tried = [row for row, query_id in enumerate(ids) if query_id in found or query_id in failed]
            left = min(options.n, len(ids)) - len(tried)
            if left <= 0:
                return False
            picked = candidates.pick(tried, [found.get(ids[row]) for row in tried], min(left, _AT_ONCE))
            if _ask_these(picked, names, config.backends[options.backend], config, out, progress):
                return True
            failed.update(prompt.query_id for prompt in picked)


def _ask_these(
    picked: Sequence[Prompt],
    names: Mapping[str, str],
    spec: BackendSpec,
    config: Config,
    out: TraceFile,
    progress: Progress,
) -> bool:
    """Asks the backend the prompts; returns whether it was interrupted."""
    crew = Crew(config, retries=Retries(most=5), most_at_once=None)
    graders = {name: create_grader(name, crew.judge) for name in {names[prompt.query_id] for prompt in picked}}
    check_prompts(picked, names, graders)
    collector = Collector(
        picked,
        {spec.name: crew.asker(spec)},
        out,
        grader_of=lambda prompt: graders[names[prompt.query_id]],
        judges=crew.judges,
    )
    return run_collector(collector, crew, progress)


def _dataset(labels: Sequence[Path], backend: str, config: Config | None) -> Dataset:
    """Returns the graded answers of the backend; what others answered is left out."""
    rows = [row for row in read_traces(labels).rows if row.backend == backend]
    if not rows:
        raise FitError(f"{', '.join(map(str, labels))}: no answer of backend {backend!r}; expected graded ones")
    return build_dataset(rows, specs=config.backends if config else None, backends=[backend])


def _print_picked(picked: Sequence[Prompt], *, as_json: bool) -> None:
    if as_json:
        print_json({"picked": [{"query_id": prompt.query_id, "query": prompt.query} for prompt in picked]})
        return
    for prompt in picked:
        print(f"{prompt.query_id}  {' '.join(prompt.query.split())[:100]}")
