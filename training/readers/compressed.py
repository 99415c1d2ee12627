"""Files as they were before gzip or zstd."""

from __future__ import annotations

import gzip
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

COMPRESSIONS = (".gz", ".zst")


def open_plain(path: Path) -> BufferedIOBase:
    """Returns the file, open for reading what it held before it was compressed, if it was."""
    ending = path.suffix.lower()
    if ending == ".gz":
        return gzip.open(path, "rb")
    if ending == ".zst":
        return _open_zstd(path)
    return path.open("rb")


def _open_zstd(path: Path) -> BufferedIOBase:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd.open(path, "rb")


def zstd_error() -> type[Exception]:
    """Returns what reading a damaged zstd file raises."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    error: type[Exception] = zstd.ZstdError
    return error


@contextmanager
def uncompressed(path: Path) -> Iterator[Path]:
    """Yields a file with the same content that is not compressed, for as long as it is needed."""
    if path.suffix.lower() == ".parquet":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "traces.parquet")
        with open_plain(path) as source, plain.open("wb") as target:
            shutil.copyfileobj(source, target)
        yield plain
