"""models.yaml, read once into frozen objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..backends import (
    BACKENDS,
    CAPABILITIES,
    TIERS,
    BackendSpec,
    Breaker,
    ConfigError,
    Hedging,
    Limits,
    Price,
    Timeouts,
)
from ..backends.samples import sample_name
from ..backends.spec import DEFAULT_RETRIES
from ..backends.styles import CHECK_DRAFT, PLAIN, instruction_of
from ..backends.styles import KNOWN as KNOWN_STYLES
from .document import NAME_SIGNS, Section, is_name, parse_yaml, read_bytes
from .floor import NO_FLOORS, Floors, read_floors
from .objectives import OBJECTIVES
from .policy import ON_HOLD, WHEN_UNSURE, Policy
from .shadow_share import ShadowShare, read_shadow
from .targets import resolve_in
from .trace_log import TraceLog, read_trace_log

_BACKEND_KEYS = (
    "type", "model", "base_url", "api_key_env", "tier", "effort", "efforts", "style", "styles", "samples", "price",
    "limits", "supports", "timeout", "retries", "breaker", "hedge",
)  # fmt: skip
_POLICY_KEYS = (
    "objective", "lam", "quality", "max_calls",
    "max_cost_usd", "max_latency_s", "min_quality", "effort", "budget", "floor", "allow", "deny", "deadline_s",
    "robust", "when_unsure", "margin", "risk", "on_hold", "speculate", "judge",
)  # fmt: skip
_TOP_KEYS = (
    "version", "artefact", "policies", "default_policy", "backends", "floor", "traces", "shadow", "keys",
    "verify", "conversations",
)  # fmt: skip
_MOST_BACKENDS = 500
_MOST_SAMPLES = 9
# What a certificate knows nothing of.
_UNCERTIFIED = (
    "lam", "quality", "max_calls", "max_cost_usd", "max_latency_s", "min_quality", "effort", "budget", "floor", "allow",
    "deny", "robust", "when_unsure", "speculate", "judge",
)  # fmt: skip


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
    top.only(_TOP_KEYS)
    version = top.integer("version", default=1, least=1)
    if version != 1:
        raise top.error("version", f"{version} is not known; expected 1")
    backends: dict[str, BackendSpec] = {}
    for name, section in top.sections("backends", required=True):
        for spec in _read_backend(name, section, folder=path.parent):
            backends[spec.name] = spec  # distinct: keys are, and '@' is for efforts only
    if len(backends) > _MOST_BACKENDS:
        raise top.error("backends", f"{len(backends)} are too many; expected at most {_MOST_BACKENDS}")
    policies = {name: _read_policy(name, section, backends) for name, section in top.sections("policies")}
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


def _read_backend(name: str, section: Section, *, folder: Path) -> list[BackendSpec]:
    """Returns the backends of one entry: one, or one for each of its styles, efforts and samples."""
    kind = section.text("type")
    known_options = getattr(resolve_in(section, "type", kind, BACKENDS), "OPTIONS", None)
    if known_options is not None:
        section.only((*_BACKEND_KEYS, *known_options))
    model = section.text("model", required=kind in ("openai", "anthropic", "local"))
    efforts = section.names("efforts")
    if efforts and section.has("effort"):
        raise section.error("effort", "give either `effort` or `efforts`")
    for effort in efforts:
        if not is_name(effort):
            raise section.error("efforts", f"{effort!r} is not a name; expected {NAME_SIGNS}")
    styles = _read_styles(section)
    samples = section.integer("samples", default=1, least=1)
    if samples > _MOST_SAMPLES:
        raise section.error("samples", f"{samples} are too many; expected at most {_MOST_SAMPLES}")
    supports = section.names("supports") if section.has("supports") else None
    for capability in supports or ():
        if capability not in CAPABILITIES:
            raise section.error("supports", f"unknown {capability!r}; expected some of {', '.join(CAPABILITIES)}")
    options = {key: section.raw(key) for key in section if key not in _BACKEND_KEYS and section.has(key)}
    if kind == "replay" and "traces" in options:
        options["traces"] = _anchored_files(options["traces"], folder)
    limits, timeout, breaker = section.section("limits"), section.section("timeout"), section.section("breaker")
    limits.only(("context_tokens", "max_output_tokens", "concurrency", "queue", "queue_s", "reply_mb"))
    timeout.only(("first_token_s", "total_s"))
    breaker.only(("failures", "rest_s"))
    hedge = section.section("hedge")
    hedge.only(("after_quantile",))
    common: dict[str, Any] = {
        "type": kind,
        "model": _anchored(model, folder) if kind == "local" else model,
        "base_url": section.url("base_url"),
        "api_key_env": section.variable("api_key_env"),
        "tier": section.choice("tier", TIERS, default="mid"),
        "price": _read_price(section, model=model, kind=kind),
        "limits": Limits(
            context_tokens=limits.integer("context_tokens", least=1),
            max_output_tokens=limits.integer("max_output_tokens", least=1),
            concurrency=limits.integer("concurrency", default=Limits().concurrency, least=1),
            queue=limits.integer("queue", default=Limits().queue, least=0),
            queue_s=limits.number("queue_s", default=Limits().queue_s, above=0.0),
            reply_mb=limits.number("reply_mb", default=Limits().reply_mb, above=0.0),
        ),
        "supports": None if supports is None else frozenset(supports),
        "timeout": Timeouts(
            first_token_s=timeout.number("first_token_s", default=Timeouts().first_token_s, above=0.0),
            total_s=timeout.number("total_s", default=Timeouts().total_s, above=0.0),
        ),
        "retries": section.integer("retries", default=DEFAULT_RETRIES, least=0),
        "breaker": Breaker(
            failures=breaker.integer("failures", default=Breaker().failures, least=0),
            rest_s=breaker.number("rest_s", default=Breaker().rest_s, above=0.0),
        ),
        "hedge": Hedging(
            after_quantile=(
                hedge.number("after_quantile", least=0.5, most=0.999) if hedge.has("after_quantile") else None
            ),
        ),
        "options": options,
    }
    named: list[tuple[str, str | None]] = [(f"@{effort}", effort) for effort in efforts] or [
        ("", section.text("effort") or None)
    ]
    return [
        BackendSpec(
            name=sample_name(f"{name}{style}{at}", draw),
            effort=effort,
            instruction=instruction,
            checks_draft=instruction == instruction_of(CHECK_DRAFT),
            draw=draw,
            **common,
        )
        for style, instruction in styles
        for at, effort in named
        for draw in range(samples)
    ]


def _read_styles(section: Section) -> list[tuple[str, str]]:
    """Returns what each style of an entry adds to its name, and what it tells the model."""
    if section.has("style"):
        if section.has("styles"):
            raise section.error("style", "give either `style` or `styles`")
        return [("", _read_style(section, "style", section.raw("style"))[1])]
    given = section.raw("styles")
    if given is None:
        return [("", "")]
    if not isinstance(given, list) or not given:
        raise section.error("styles", f"expected a list of {KNOWN_STYLES}")
    read = dict(_read_style(section, "styles", style) for style in given)
    if len(read) < len(given):
        raise section.error("styles", "names one twice")
    return [("" if style == PLAIN else f"~{style}", instruction) for style, instruction in read.items()]


def _read_style(section: Section, key: str, style: Any) -> tuple[str, str]:
    """Returns a style's name and its instruction."""
    if isinstance(style, str):
        instruction = instruction_of(style)
        if instruction is not None:
            return style, instruction
    elif isinstance(style, dict) and len(style) == 1:
        name, instruction = next(iter(style.items()))
        if instruction_of(str(name)) is not None:
            raise section.error(key, f"{name} is built in; give an instruction of your own another name")
        if is_name(name) and isinstance(instruction, str) and instruction.strip():
            return name, instruction
    raise section.error(key, f"unknown {style!r:.60}; expected one of {KNOWN_STYLES}")


def _read_price(section: Section, *, model: str, kind: str) -> Price | None:
    if kind in ("replay", "fake") and not section.has("price"):
        return None
    if section.raw("price") == "auto":
        from ..backends import price_of  # a large table, for those who ask for it

        try:
            return price_of(model, provider=section.url("base_url"))
        except ConfigError as error:
            raise section.error("price", str(error).removeprefix("price: ")) from error
    if not isinstance(section.raw("price"), dict):
        given = f"got {section.raw('price')!r}" if section.has("price") else "missing"
        raise section.error("price", f"{given}; expected {{input: ..., output: ...}} in USD per 1M tokens, or `auto`")
    price = section.section("price")
    price.only(("input", "cached_input", "cache_write", "cache_write_1h", "output"))
    usd_input = price.number("input", required=True, least=0.0)
    # What Anthropic takes for writing to its cache is so much for every model; others write for nothing, or say so.
    write, write_1h = (1.25 * usd_input, 2 * usd_input) if kind == "anthropic" else (None, None)
    return Price(
        usd_per_1m_input=usd_input,
        usd_per_1m_output=price.number("output", required=True, least=0.0),
        usd_per_1m_cached_input=price.number("cached_input", least=0.0) if price.has("cached_input") else None,
        usd_per_1m_cache_write=price.number("cache_write", least=0.0) if price.has("cache_write") else write,
        usd_per_1m_cache_write_1h=(
            price.number("cache_write_1h", least=0.0) if price.has("cache_write_1h") else write_1h
        ),
    )


def _read_policy(name: str, section: Section, backends: Mapping[str, BackendSpec]) -> Policy:
    objective = section.text("objective", default="utility")
    resolve_in(section, "objective", objective, OBJECTIVES)
    if objective in OBJECTIVES:
        section.only(_POLICY_KEYS)
    if section.raw("allow") == []:
        raise section.error("allow", f"allows nobody; expected some of {', '.join(backends)}")
    for key in ("allow", "deny"):
        for backend in section.names(key):
            if backend not in backends:
                raise section.error(key, f"unknown backend {backend!r}; expected some of {', '.join(backends)}")
    if objective == "within_of_best":
        for key in _UNCERTIFIED:
            if section.has(key):
                raise section.error(key, "does not go with within_of_best, whose certificate holds without it only")
    base = Policy(name=name)
    return Policy(
        name=name,
        objective=objective,
        lam=section.number("lam", default=base.lam, least=0.0),
        quality=section.number("quality", default=base.quality, least=0.0, most=1.0),
        max_cost_usd=section.number("max_cost_usd", above=0.0) if section.has("max_cost_usd") else None,
        max_latency_s=section.number("max_latency_s", above=0.0) if section.has("max_latency_s") else None,
        min_quality=section.number("min_quality", least=0.0, most=1.0) if section.has("min_quality") else None,
        deadline_s=section.number("deadline_s", above=0.0) if section.has("deadline_s") else None,
        effort=section.text("effort") or None,
        budget=section.integer("budget", least=0),
        floor=section.choice("floor", TIERS, default="small") if section.has("floor") else None,
        allow=section.names("allow"),
        deny=section.names("deny"),
        max_calls=section.integer("max_calls", default=base.max_calls, least=1),
        robust=section.flag("robust", default=False),
        when_unsure=section.choice("when_unsure", WHEN_UNSURE, default="") if section.has("when_unsure") else None,
        speculate=section.flag("speculate", default=base.speculate),
        judge=_read_judge(section, objective, backends),
        on_hold=section.choice("on_hold", ON_HOLD, default=base.on_hold),
        margin=section.number("margin", default=base.margin, above=0.0, most=0.5),
        risk=section.number("risk", default=base.risk, above=0.0, most=0.5),
        options={key: section.raw(key) for key in section if key not in _POLICY_KEYS},
    )


def _read_judge(section: Section, objective: str, backends: Mapping[str, BackendSpec]) -> str:
    name = section.text("judge")
    if name and (name not in backends or backends[name].checks_draft):
        raise section.error("judge", f"unknown backend {name!r}; expected one of {', '.join(backends)}")
    if name and objective != "utility":
        raise section.error("judge", f"does not go with {objective}; expected objective utility")
    return name


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


def _anchored(name: str, folder: Path) -> str:
    """Returns a path that is relative to models.yaml as one that holds anywhere; a hub id stays as it is."""
    inside = folder / name
    return str(inside) if name.startswith(".") or inside.exists() else name


def _anchored_files(value: Any, folder: Path) -> Any:
    """Returns a path, or each of a list, relative to the folder; what is no path is left for its backend to refuse."""
    if isinstance(value, list):
        return [_anchored_files(item, folder) for item in value]
    return str(folder / value) if isinstance(value, str) else value
