"""What the offline commands share: reading traces, the artefact, the configuration."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...classifiers import Manifest, Trained, load_artefact
from ...classifiers.artefact import files_of
from ...classifiers.encoders.static import load_static
from ...router import Config, Policy, Pool, read_config
from ...router.config import DEFAULT_POLICIES
from ..dataset import Dataset, build_dataset
from ..errors import TraceError
from ..progress import Progress
from ..readers import spare_inputs
from ..split import Split, split_queries
from ..tables import ending_of
from ..traces import Traces, read_traces

SPLITS = ("train", "val", "test", "all")


def add_artefact(parser: argparse.ArgumentParser) -> None:
    """Adds the trained router."""
    parser.add_argument("artefact", type=Path, metavar="DIR", help="trained router")


def add_traces(parser: argparse.ArgumentParser) -> None:
    """Adds the traces and how bad rows are treated."""
    parser.add_argument("traces", nargs="+", type=Path, metavar="T", help="JSONL, CSV or Parquet files, or folders")
    parser.add_argument("--skip-bad-rows", action="store_true", help="count and pass over rows that are wrong")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds --models, optional here."""
    parser.add_argument("--models", type=Path, metavar="FILE", help="models.yaml with prices, tiers and policies")


def add_split(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Adds --split."""
    parser.add_argument("--split", choices=SPLITS, default=default, help=f"which queries (default: {default})")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Adds --seed, as `read_part` takes it."""
    parser.add_argument("--seed", type=seed, metavar="N", help="of the split (default: that of training)")


def check_table(out: Path, options: argparse.Namespace, *, read: Sequence[Path]) -> None:
    """Returns nothing where a table may be written to `out`, which is told before the work and not after it.

    Raises:
        TraceError: the ending of its name is unknown, or it is one of the files that are read.
    """
    ending_of(out)
    check_file(out, options, read=read)


def check_file(out: Path, options: argparse.Namespace, *, read: Sequence[Path]) -> None:
    """Returns nothing where a file may be written to `out`.

    Raises:
        TraceError: it is one of the traces that are `read`, models.yaml, or a file of the artefact.
    """
    spare_inputs(out, read, others=[*files_of(options.artefact), *filter(None, [options.models])])


def seed(text: str) -> int:
    """Returns a seed as the command line has it."""
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected a whole number from 0 up, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Returns the seconds in `90`, `90s`, `1.5m` or `1h`."""
    number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS_S else (text, "s")
    try:
        seconds = float(number) * _UNITS_S[unit]
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected a number with s, m or h, as in 60s")
    return seconds


_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}


def add_quiet(parser: argparse.ArgumentParser) -> None:
    """Adds --quiet."""
    parser.add_argument("--quiet", action="store_true", help="no progress")


def read_dataset(
    options: argparse.Namespace, config: Config | None, progress: Progress, *, allow_missing: bool = False
) -> tuple[Dataset, Traces]:
    """Returns the labelled traces as a dataset, and the traces themselves.

    `allow_missing` accepts backends of models.yaml that the traces do not know, as replaying old traces has to.

    Raises:
        TraceError: a file or row is wrong.
    """
    progress.stage(f"reading {', '.join(str(path) for path in options.traces)}")
    traces = read_traces(
        options.traces,
        skip_bad_rows=options.skip_bad_rows,
        progress=lambda path, n_rows: progress.note(f"{path}: {n_rows} rows read"),
    )
    dataset = build_dataset(
        traces,
        specs=config.backends if config else None,
        allow_missing=allow_missing,
        count_tokens=lambda text: len(load_static().tokenize(text)),
    )
    return dataset, traces


def read_models(path: Path | None) -> Config | None:
    """Returns the configuration, or None where none is given."""
    return None if path is None else read_config(path)


def pool_of(config: Config | None, trained: Trained) -> Pool:
    """Returns the pool of the configuration, or of all backends that were trained."""
    if config is None:
        return Pool({}, trained)
    return Pool(config.backends, trained, floors=config.floors, run_code=config.run_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A trained router as a command asked for it."""

    pool: Pool
    config: Config | None
    manifest: Manifest


def open_artefact(options: argparse.Namespace) -> Opened:
    """Returns the router in `options.artefact`, with the backends of `options.models` where these are given.

    Raises:
        ArtefactError: it is missing or damaged.
    """
    config = read_models(options.models)
    trained, manifest = load_artefact(options.artefact)
    return Opened(
        pool=pool_of(config, trained),
        config=config,
        manifest=manifest,
    )


def read_part(options: argparse.Namespace, opened: Opened, progress: Progress) -> tuple[Dataset, Dataset, Split | None]:
    """Returns the labelled traces, the part of them that `options.split` names, and the split where there is one.

    Without `options.seed` the split is drawn as training drew it.

    Raises:
        TraceError: a row is wrong, a backend is not in the router, or the part is empty.
    """
    dataset, _ = read_dataset(options, opened.config, progress, allow_missing=True)
    match_pool(opened.pool, dataset)
    drawn_by = opened.manifest.seed if options.seed is None else options.seed
    part, split = pick_split(dataset, options.split, seed=drawn_by)
    return dataset, part, split


def policies_of(config: Config | None) -> tuple[Mapping[str, Policy], str]:
    """Returns the policies and the name of the default one."""
    return (config.policies, config.default_policy) if config else (DEFAULT_POLICIES, "auto")


def pick_split(dataset: Dataset, name: str, *, seed: int) -> tuple[Dataset, Split | None]:
    """Returns the queries of one part, and the split itself where one was drawn or marked.

    Raises:
        TraceError: the part is empty.
    """
    if name == "all":
        return dataset, None
    split = split_queries(dataset, seed=seed)
    rows = getattr(split, name)
    if not len(rows):
        raise TraceError(f"no query is in split {name!r}; try --split all")
    return dataset.take(rows), split


def match_pool(pool: Pool, dataset: Dataset) -> None:
    """Refuses traces of backends that the router does not have.

    Raises:
        TraceError: there is one.
    """
    for name in dataset.backends:
        if name not in pool.backends:
            known = ", ".join(pool.backends)
            raise TraceError(f"backend {name!r} of the traces is not in the router; expected some of {known}")
