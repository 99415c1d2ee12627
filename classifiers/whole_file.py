"""Files that appear under their name whole, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..backends import PenstockError


@contextmanager
def whole_file(path: Path, *, failure: type[PenstockError] = PenstockError) -> Iterator[Path]:
    """Yields where to write a file, beside its place, which it takes at the end; on an error nothing is left of it.
    The folder is made where there is none. Links are followed, and a device or a pipe is itself written to: to put a
    file in the place of /dev/stdout would take it from everybody.

    Raises:
        PenstockError: it cannot be written; as `failure`, which names the path and the reason.
    """
    place = Path(os.path.realpath(path))
    scratch = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        if not place.parent.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            scratch.replace(place)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise failure(f"{path}: cannot be written: {error.strerror or error}") from error
