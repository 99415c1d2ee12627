"""Files that only their owner can read."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

OWNER_ONLY = 0o600  # their mode: conversations, keys and traces are nobody else's


def make_owner_only(file: Path) -> None:
    """Returns once a file is there, for SQLite, whose further files follow its mode.

    One that is there is not opened: closing it again would drop the locks of every connection of this process to it,
    and whoever closed theirs next, in another process, would take away the log that this one still writes.
    Reference: https://www.sqlite.org/howtocorrupt.html, section 2.2.

    Raises:
        OSError: it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        target = os.path.realpath(file)  # of a link, which else would be there
        os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, OWNER_ONLY))
