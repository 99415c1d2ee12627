"""`penstock predict`: estimates for many queries."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...backends import Query
from ...classifiers import Estimates, question_of
from ...router import Pool
from ..errors import BadRow, TraceError
from ..gathering import COLUMNS_ON_OTHERS, is_about_another
from ..progress import quiet_or_shown
from ..readers import find_files, place_of, read_rows
from ..rows import Values, parse_label, parse_query, parse_text
from ..split import part_of_mark
from ..tables import write_table
from .shared import SPLITS, add_artefact, add_models, add_quiet, check_table, open_artefact

COLUMNS = ("query_id", "backend", "quality", "cost_usd", "latency_s", "difficulty", "familiarity")
_READ = ("query_id", "query", "messages", "split", *COLUMNS_ON_OTHERS)
_BATCH = 2048


class PredictCommand:
    """Estimates quality, cost and latency of every backend for every query."""

    description = f"Writes estimates, one row a query and backend, with the columns {', '.join(COLUMNS)}."
    example = "penstock predict artefacts/default queries.jsonl --out estimates.csv"

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declares what the command takes."""
        add_artefact(parser)
        parser.add_argument(
            "queries", type=Path, metavar="QUERIES", help="rows with query_id and query or messages; traces will do"
        )
        parser.add_argument("--out", type=Path, required=True, metavar="F", help="CSV, JSONL or Parquet file to write")
        parser.add_argument("--split", choices=SPLITS, default="all", help="only rows marked so (default: all)")
        add_models(parser)
        add_quiet(parser)

    def run(self, options: argparse.Namespace) -> int:
        """Writes the estimates and says how many."""
        check_table(options.out, options, read=[options.queries])
        pool = open_artefact(options).pool
        with quiet_or_shown(quiet=options.quiet) as progress:
            progress.stage(f"reading {options.queries}")
            queries = read_queries(options.queries, split=options.split)
            progress.stage(f"estimating {len(queries)} queries")
            n_rows = write_table(_rows(pool, queries), COLUMNS, options.out)
        print(f"{options.out}: {n_rows} rows, {len(queries)} queries")
        return 0


def read_queries(path: Path, *, split: str) -> dict[str, str]:
    """Returns the text of every query by its id; a row without an id is called by its number.

    Raises:
        TraceError: the file is wrong, or no query is left.
    """
    queries: dict[str, str] = {}
    for file in find_files([path]):
        for row in read_rows(file, columns=_READ):
            try:
                if row.problem:
                    raise BadRow(row.problem)
                if is_about_another(row.values):
                    continue
                query_id = parse_label(row.values, "query_id").strip() or f"{file.name}:{row.line}"
                if split not in ("all", part_of_mark(parse_text(row.values, "split") or "", query_id)):
                    continue
                text = _question(row.values)
                if queries.setdefault(query_id, text) != text:
                    raise BadRow(f"query_id {query_id!r} has two texts; expected one")
            except BadRow as error:
                raise TraceError(f"{place_of(file, row.line)}: {error}") from error
    if not queries:
        hint = (
            "" if split == "all" else f" is marked {split!r} in column split; estimates need no split, so leave it out"
        )
        raise TraceError(f"{path}: no query{hint}")
    return queries


def _question(row: Values) -> str:
    """Returns what a row asks, as training reads it."""
    text, messages = parse_query(row)
    return question_of(Query.from_text(text) if messages is None else Query(messages=messages))


def _rows(pool: Pool, queries: dict[str, str]) -> Iterator[dict[str, Any]]:
    ids, texts = list(queries), list(queries.values())
    for start in range(0, len(ids), _BATCH):
        estimated = pool.estimate_all(texts[start : start + _BATCH])
        for query_id, estimates in zip(ids[start : start + _BATCH], estimated, strict=True):
            yield from _rows_of(query_id, estimates)


def _rows_of(query_id: str, estimates: Estimates) -> Iterator[dict[str, Any]]:
    for place, backend in enumerate(estimates.backends):
        yield {
            "query_id": query_id,
            "backend": backend,
            "quality": float(estimates.quality[place]),
            "cost_usd": float(estimates.cost_usd[place]),
            "latency_s": float(estimates.latency_s[place]),
            "difficulty": estimates.difficulty,
            "familiarity": estimates.familiarity,
        }
