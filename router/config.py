"""models.yaml, read once into frozen objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..backends import BackendSpec
from .backend_entry import read_backend
from .document import Section, parse_yaml, read_bytes
from .floor import NO_FLOORS, Floors, read_floors
from .policy import Policy
from .policy_entry import read_policy
from .shadow_share import ShadowShare, read_shadow
from .trace_log import TraceLog, read_trace_log

TOP_KEYS = (
    "version", "artefact", "policies", "default_policy", "backends", "floor", "traces", "shadow", "keys",
    "verify", "conversations",
)  # fmt: skip
_MOST_BACKENDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything in models.yaml."""

    path: Path
    backends: Mapping[str, BackendSpec]  # by name, in the order of the file, efforts spelled out
    policies: Mapping[str, Policy]
    default_policy: str
    artefact: Path | None
    traces: TraceLog = field(default_factory=TraceLog)
    shadow: ShadowShare | None = None  # None: nobody is asked but for the answer
    keys: Path | None = None  # the file with the sidecar's API keys; None: it asks for none
    conversations: Path | None = None  # the file that processes share what they know of conversations by; None: memory
    floors: Floors = NO_FLOORS  # under the queries that its rules choose
    run_code: bool = False  # whether Python in answers is run, in a sandbox, to judge them by it
    sha256: str = ""  # of the file


DEFAULT_POLICIES: Mapping[str, Policy] = {
    "auto": Policy(name="auto"),
    "frugal": Policy(name="frugal", objective="cheapest_above", quality=0.8),
    "best": Policy(name="best", lam=0.0),
}


def read_config(path: Path | str) -> Config:
    """Returns the configuration in a file; relative paths in it are relative to its folder.

    Raises:
        ConfigError: the file cannot be read or something in it is wrong; the text names file, path and what is allowed.
    """
    path = Path(path)
    data = read_bytes(path)
    top = Section(parse_yaml(data, path), source=path.name, path="")
    top.only(TOP_KEYS)
    version = top.integer("version", default=1, least=1)
    if version != 1:
        raise top.error("version", f"{version} is not known; expected 1")
    backends: dict[str, BackendSpec] = {}
    for name, section in top.sections("backends", required=True):
        for spec in read_backend(name, section, folder=path.parent):
            backends[spec.name] = spec  # distinct: keys are, and '@' is for efforts only
    if len(backends) > _MOST_BACKENDS:
        raise top.error("backends", f"{len(backends)} are too many; expected at most {_MOST_BACKENDS}")
    policies = {name: read_policy(name, section, backends) for name, section in top.sections("policies")}
    policies = policies or dict(DEFAULT_POLICIES)
    for name in policies:
        if name in backends:
            raise top.error(f"policies.{name}", "a backend has the same name; clients could not tell them apart")
    default = top.text("default_policy", default="auto" if "auto" in policies else next(iter(policies)))
    if default not in policies:
        raise top.error("default_policy", f"unknown {default!r}; expected one of {', '.join(policies)}")
    artefact = top.text("artefact", default="")
    traces = read_trace_log(top.section("traces"), folder=path.parent)
    return Config(
        path=path,
        backends=backends,
        policies=policies,
        default_policy=default,
        artefact=path.parent / artefact if artefact else None,
        traces=traces,
        shadow=read_shadow(top.section("shadow"), backends=backends, is_logged=traces.folder is not None),
        keys=_read_file(top, "keys", folder=path.parent),
        conversations=_read_file(top, "conversations", folder=path.parent),
        floors=read_floors(top, folder=path.parent),
        run_code=_read_verify(top),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _read_verify(top: Section) -> bool:
    section = top.section("verify")
    section.only(("run_code",))
    return section.flag("run_code", default=False)


def _read_file(top: Section, key: str, *, folder: Path) -> Path | None:
    """Returns the file that a section names; None where there is no such section."""
    if not top.has(key):
        return None
    section = top.section(key)
    section.only(("file",))
    return folder / section.text("file", required=True)
