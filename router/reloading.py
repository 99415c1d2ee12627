"""Reading models.yaml and its artefact anew while requests go on: what may change, what did, and when to look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from ..backends import ConfigError
from ..classifiers import ArtefactError
from .config import Config, read_config
from .content import Content
from .pool import Pool
from .settings import open_pool

_Value = TypeVar("_Value")
Stamp = Mapping[Path, tuple[int, int, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reloaded:
    """What a reload has changed; its text says so in one line."""

    added: tuple[str, ...] = ()  # backends
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    policies: tuple[str, ...] = ()  # that are new, gone or other than before
    artefact: bool = False
    other: bool = False  # something else in models.yaml

    def __str__(self) -> str:
        told = [
            f"{what} {', '.join(names)}"
            for what, names in (
                ("backends added:", self.added),
                ("backends removed:", self.removed),
                ("backends changed:", self.changed),
                ("policies changed:", self.policies),
            )
            if names
        ]
        told += ["artefact changed"] if self.artefact else []
        told += ["models.yaml changed"] if self.other and not told else []
        return "; ".join(told) or "nothing has changed"


def reopen(config: Config, pool: Pool) -> tuple[Config, Pool, Content]:
    """Returns what models.yaml says now, with its artefact ready to be asked; takes a while, so not on an event loop.

    Raises:
        ConfigError, ArtefactError: something is wrong, or cannot change without a restart.
    """
    new = read_config(config.path)
    for key, before, after in (
        ("keys", config.keys, new.keys),
        ("conversations", config.conversations, new.conversations),
        ("traces", _place_of(config), _place_of(new)),
    ):
        if before != after:
            what = "folder, max_mb and max_files" if key == "traces" else "file"
            raise ConfigError(f"{new.path.name}: {key}: {what} cannot change while it runs; restart it")
    if pool.artefact_sha256 and new.artefact is not None and not new.artefact.exists():
        raise ArtefactError(f"{new.artefact}: does not exist; take `artefact` out to go back to a cold start")
    opened = open_pool(new)
    broken = opened.unkept(new.policies.values())
    if broken:
        raise ConfigError(f"{new.path.name}: {'; '.join(broken.values())}")
    opened.estimate("Is it ready?")  # so that no request waits for what is loaded at the first one
    return new, opened, new.traces.open_content()


def changes(before: Config, after: Config, *, artefact: bool) -> Reloaded:
    """Returns what differs."""
    added, removed, changed = differences(before.backends, after.backends)
    return Reloaded(
        added=added,
        removed=removed,
        changed=changed,
        policies=tuple(name for names in differences(before.policies, after.policies) for name in names),
        artefact=artefact,
        other=before.sha256 != after.sha256,
    )


def differences(
    before: Mapping[str, _Value], after: Mapping[str, _Value]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Returns the names that were added, removed, and those that stand for something else now.

    >>> differences({"a": 1, "b": 2}, {"b": 3, "c": 4})
    (('c',), ('a',), ('b',))
    """
    return (
        tuple(name for name in after if name not in before),
        tuple(name for name in before if name not in after),
        tuple(name for name in after if name in before and after[name] != before[name]),
    )


def stamp_of(config: Config) -> Stamp:
    """Returns what changes when models.yaml or a file of its artefact is written."""
    paths = [config.path]
    if config.artefact is not None and config.artefact.is_dir():
        paths += sorted(config.artefact.iterdir())
    found = {}
    for path in paths:
        try:
            seen = path.stat()
        except OSError:
            continue  # it is being replaced
        found[path] = (seen.st_mtime_ns, seen.st_size, seen.st_ino)
    return found


def watch(
    stamp: Callable[[], Stamp], reload: Callable[[], Awaitable[None]], *, every_s: float
) -> Coroutine[Any, Any, None]:
    """Returns what calls `reload` whenever the stamp, other than it is now, has come to rest, until it is cancelled."""
    return _watch(stamp(), stamp, reload, every_s)


async def _watch(
    loaded: Stamp, stamp: Callable[[], Stamp], reload: Callable[[], Awaitable[None]], every_s: float
) -> None:
    before = loaded
    while True:
        await asyncio.sleep(every_s)
        now = await asyncio.to_thread(stamp)
        if now == before and now != loaded:
            loaded = now  # though it may be refused: it is tried again when it changes
            await reload()
        before = now


def _place_of(config: Config) -> object:
    """Returns what is said of the trace log but what is written to it."""
    return replace(config.traces, content="off", redact=(), hash_key_env=None)
