"""Answers from recorded traces: what a backend said once, it says again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path

from .errors import ConfigError, InvalidRequest
from .options import check_options, option
from .recordings import BadRecording, read_recordings
from .spec import BackendSpec
from .types import Chunk, Completion, Query
from .whole import chunks_of


class ReplayBackend:
    """Answers each query as it was recorded, found by the query's id or else by its exact text.

    Recordings are given, or read at the first use from the files that the option `traces` names. Nothing is
    waited for: `latency_s` tells how long the answer took when it was recorded.
    """

    OPTIONS: Mapping[str, str] = {
        "traces": "file or files of traces to answer from: JSONL, gzipped JSONL or Parquet",
        "record": "the backend in the traces whose answers to give; its own name where not given",
    }

    def __init__(self, spec: BackendSpec, recordings: Mapping[str, Completion] | None = None) -> None:
        check_options(spec, self.OPTIONS)
        self.spec = spec
        self._recordings = recordings
        self._paths = _paths_of(spec)
        self._record = str(option(spec, "record", str, expected="the name of a backend", default=spec.name))
        if recordings is None and not self._paths:
            raise ConfigError(f"backends.{spec.name}.traces: missing; expected a path or a list of paths")
        self._reading = asyncio.Lock()

    def __repr__(self) -> str:
        return f"ReplayBackend({self.spec.name!r})"

    async def complete(self, query: Query) -> Completion:
        """Returns the recorded completion."""
        recordings = self._recordings
        if recordings is None:
            recordings = await self._read()
        found = recordings.get(query.id) if query.id else None
        if found is None:
            found = recordings.get(query.text)
        if found is None:
            which = f"query {query.id!r}" if query.id else f"the query {query.text[:80]!r}"
            raise InvalidRequest(f"no recording for {which}", backend=self.spec.name)
        return found

    async def stream(self, query: Query) -> AsyncGenerator[Chunk, None]:
        """Yields the recorded completion word by word."""
        for chunk in chunks_of(await self.complete(query)):
            yield chunk

    async def aclose(self) -> None:
        """Does nothing: nothing is open."""

    async def _read(self) -> Mapping[str, Completion]:
        async with self._reading:
            if self._recordings is None:
                try:
                    # In a thread: traces can be large, and others want the loop meanwhile.
                    self._recordings = await asyncio.to_thread(read_recordings, self._paths, self._record)
                except BadRecording as error:
                    raise InvalidRequest(f"cannot replay: {error}", backend=self.spec.name) from error
            return self._recordings


def _paths_of(spec: BackendSpec) -> tuple[Path, ...]:
    """Returns the files that the option `traces` names.

    Raises:
        ConfigError: it names something else, or a file that is not there.
    """
    value = option(spec, "traces", (str, Path, list, tuple), expected="a path or a list of paths", default=())
    paths = [value] if isinstance(value, str | Path) else value
    if not all(isinstance(path, str | Path) for path in paths):
        raise ConfigError(f"backends.{spec.name}.traces: expected a path or a list of paths")
    for path in map(Path, paths):
        if not path.is_file():
            raise ConfigError(f"backends.{spec.name}.traces: no file {path}")
    return tuple(map(Path, paths))
