"""From a file of traces to its rows: JSONL, CSV and Parquet, each also compressed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from ..errors import TraceError
from .compressed import COMPRESSIONS, zstd_error
from .csv_table import read_csv
from .jsonl import read_jsonl
from .parquet import read_parquet
from .raw_row import KNOWN_COLUMNS, RawRow, place_of

__all__ = ["KNOWN_COLUMNS", "RawRow", "find_files", "place_of", "read_rows", "spare_inputs"]


def find_files(paths: Iterable[Path]) -> list[Path]:
    """Returns the trace files that `paths` name, each once; of a folder all below it, in the order of their names,
    but for hidden ones, which are copies that editors and systems keep.

    Raises:
        TraceError: a path does not exist, has no known ending, or is a folder without a trace file.
    """
    files: dict[Path, Path] = {}
    for path in map(Path, paths):
        if path.is_dir():
            below = (file for file in path.rglob("*") if _reader_of(file) is not None and file.is_file())
            found = sorted(file for file in below if not _is_hidden(file.relative_to(path)))
            if not found:
                raise TraceError(f"{path}: no trace file in this folder; expected names that end in {_endings()}")
        elif not path.exists():
            raise TraceError(f"{path}: no such file or folder")
        elif _reader_of(path) is None:
            raise TraceError(f"{path}: unknown kind of file; expected a name that ends in {_endings()}")
        else:
            found = [path]
        for file in found:
            files.setdefault(file.resolve(), file)
    if not files:
        raise TraceError("no traces: expected at least one file or folder")
    return list(files.values())


def spare_inputs(out: Path, paths: Iterable[Path], *, others: Iterable[Path] = ()) -> None:
    """Returns nothing where `out` may be written to.

    Raises:
        TraceError: it is one of the files that `paths` name, or one of the `others`, which would be lost; or as
            `find_files` does.
    """
    if out.exists() and out.resolve() in [file.resolve() for file in (*find_files(paths), *others)]:
        raise TraceError(f"{out}: is read here, and would be written over; expected another name")


def read_rows(path: Path, *, columns: Sequence[str] | None = None) -> Iterator[RawRow]:
    """Yields the rows of one file; columns that are not asked for may be left out.

    Args:
        columns: those of a file that holds no traces, of which only `query` or `messages` is required, and that where
            it is not feedback.
            None: those of traces and preferences.

    Raises:
        TraceError: the file as a whole cannot be read, or lacks a required column.
    """
    reader = _reader_of(path)
    if reader is None:
        raise TraceError(f"{path}: unknown kind of file; expected a name that ends in {_endings()}")
    try:
        yield from reader(path, columns)
    except (OSError, EOFError, zlib.error, zstd_error()) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise TraceError(f"{path}: cannot be read: {reason}") from error


_Reader = Callable[[Path, Sequence[str] | None], Iterator[RawRow]]

_READERS: dict[str, _Reader] = {
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}


def _reader_of(path: Path) -> _Reader | None:
    name = path.name.lower()
    for compression in COMPRESSIONS:
        name = name.removesuffix(compression)
    return _READERS.get(Path(name).suffix)


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _endings() -> str:
    return f"{', '.join(_READERS)}, each also with {' or '.join(COMPRESSIONS)}"
