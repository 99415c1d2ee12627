"""Names in models.yaml that stand for code: built-in ones, and `package.module:Name` of a third party."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..backends import ConfigError, resolve
from .document import Section

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def resolve_in(section: Section, key: str, name: str, table: dict[str, str], *, methods: Sequence[str] = ()) -> Any:
    """Returns what a name under a key of models.yaml stands for, as `resolve` does.

    Raises:
        ConfigError: the name is missing or unknown, or stands for something else; the text says where it stands.
    """
    if not name or (name not in table and not _TARGET.fullmatch(name)):
        given = f"unknown {name!r}" if name else "missing"
        kind = "Class" if methods else "function"
        raise section.error(key, f"{given}; expected one of {', '.join(table)}, or package.module:{kind}")
    try:
        return resolve(name, table, what=key, methods=methods)
    except ConfigError as error:
        raise section.error(key, str(error).removeprefix(f"{key}: ")) from error
