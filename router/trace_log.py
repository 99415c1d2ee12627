"""What models.yaml says of the trace log: where it grows, and what of queries and answers is written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ..backends import ConfigError
from .content import CONTENT, Content, HashedContent, NoContent, PlainContent
from .document import Section
from .redaction import REDACTORS, redactors_of
from .sink import JsonlSink, NullSink, TraceSink
from .targets import resolve_in

TRACES_KEYS = ("folder", "content", "redact", "hash_key_env", "max_mb", "max_files")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceLog:
    """Where the running router leaves its traces; `folder` None: nowhere."""

    folder: Path | None = None
    content: str = "off"  # whether queries and answers are written: off, hashed or on
    redact: tuple[str, ...] = ()  # what takes out of them, before they are written
    hash_key_env: str | None = None  # the environment variable with the key of the hashes
    max_mb: float = 64.0  # of one file before the next is begun
    max_files: int | None = None

    def open_sink(self) -> TraceSink:
        """Returns what records are written to."""
        if self.folder is None:
            return NullSink()
        return JsonlSink(self.folder, max_bytes=int(self.max_mb * 2**20), max_files=self.max_files)

    def open_content(self) -> Content:
        """Returns what writes the content of records.

        Raises:
            ConfigError: a redactor cannot be loaded, or the key of the hashes is not in the environment.
        """
        if self.content == "on":
            return PlainContent(redactors_of(self.redact))
        if self.content == "off" or self.folder is None:
            return NoContent()
        key = os.environ.get(self.hash_key_env or "", "")
        if not key:
            raise ConfigError(f"traces.hash_key_env: the environment variable {self.hash_key_env} is not set")
        return HashedContent(key)


def read_trace_log(section: Section, *, folder: Path) -> TraceLog:
    """Returns what stands under `traces`; relative paths are relative to `folder`."""
    section.only(TRACES_KEYS)
    where, redact = section.text("folder"), section.names("redact")
    given = section.raw("content")
    # YAML reads a bare `on` and `off` as true and false.
    content = (
        CONTENT[-1 if given else 0] if isinstance(given, bool) else section.choice("content", CONTENT, default="off")
    )
    for name in redact:
        resolve_in(section, "redact", name, REDACTORS)
    if redact and content != "on":
        raise section.error("redact", f"there is nothing to take out with `content: {content}`")
    key_env = section.variable("hash_key_env")
    if (content == "hashed") != (key_env is not None):
        raise section.error(
            "hash_key_env", "expected with `content: hashed`, and only there: the variable with its key"
        )
    return TraceLog(
        folder=folder / where if where else None,
        content=content,
        redact=redact,
        hash_key_env=key_env,
        max_mb=section.number("max_mb", default=TraceLog().max_mb, above=0.0),
        max_files=section.integer("max_files", least=1),
    )
