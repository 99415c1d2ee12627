"""An entry under `backends` of models.yaml, read into the backends that it stands for."""

from __future__ import annotations

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
from ..backends.registry import BACKEND_METHODS
from ..backends.samples import sample_name
from ..backends.spec import DEFAULT_RETRIES
from ..backends.styles import CHECK_DRAFT, PLAIN, instruction_of
from ..backends.styles import KNOWN as KNOWN_STYLES
from .document import NAME_SIGNS, Section, is_name
from .targets import resolve_in

BACKEND_KEYS = (
    "type", "model", "base_url", "api_key_env", "tier", "effort", "efforts", "style", "styles", "samples", "price",
    "limits", "supports", "timeout", "retries", "breaker", "hedge",
)  # fmt: skip
_MOST_SAMPLES = 9


def read_backend(name: str, section: Section, *, folder: Path) -> list[BackendSpec]:
    """Returns the backends of one entry: one, or one for each of its styles, efforts and samples.

    `folder` is what relative paths start from.
    """
    kind = section.text("type")
    known_options = getattr(resolve_in(section, "type", kind, BACKENDS, methods=BACKEND_METHODS), "OPTIONS", None)
    if known_options is not None:
        section.only((*BACKEND_KEYS, *known_options))
    model = section.text("model", required=kind in ("openai", "anthropic", "local"))
    efforts, styles, samples = _read_efforts(section), _read_styles(section), _read_samples(section)
    common: dict[str, Any] = {
        "type": kind,
        "model": _anchored(model, folder) if kind == "local" else model,
        "base_url": section.url("base_url"),
        "api_key_env": section.variable("api_key_env"),
        "tier": section.choice("tier", TIERS, default="mid"),
        "price": _read_price(section, model=model, kind=kind),
        "limits": _read_limits(section.section("limits")),
        "supports": _read_supports(section),
        "timeout": _read_timeouts(section.section("timeout")),
        "retries": section.integer("retries", default=DEFAULT_RETRIES, least=0),
        "breaker": _read_breaker(section.section("breaker")),
        "hedge": _read_hedging(section.section("hedge")),
        "options": _read_options(section, kind=kind, folder=folder),
    }
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
        for at, effort in efforts
        for draw in range(samples)
    ]


def _read_efforts(section: Section) -> list[tuple[str, str | None]]:
    """Returns what each effort of an entry adds to its name, and the effort; None where none is asked for."""
    efforts = section.names("efforts")
    if efforts and section.has("effort"):
        raise section.error("effort", "give either `effort` or `efforts`")
    for effort in efforts:
        if not is_name(effort):
            raise section.error("efforts", f"{effort!r} is not a name; expected {NAME_SIGNS}")
    return [(f"@{effort}", effort) for effort in efforts] or [("", section.text("effort") or None)]


def _read_samples(section: Section) -> int:
    samples = section.integer("samples", default=1, least=1)
    if samples > _MOST_SAMPLES:
        raise section.error("samples", f"{samples} are too many; expected at most {_MOST_SAMPLES}")
    return samples


def _read_supports(section: Section) -> frozenset[str] | None:
    """Returns what the backend can do; None where nothing is said of that."""
    if not section.has("supports"):
        return None
    supports = section.names("supports")
    for capability in supports:
        if capability not in CAPABILITIES:
            raise section.error("supports", f"unknown {capability!r}; expected some of {', '.join(CAPABILITIES)}")
    return frozenset(supports)


def _read_limits(limits: Section) -> Limits:
    limits.only(("context_tokens", "max_output_tokens", "concurrency", "queue", "queue_s", "reply_mb"))
    base = Limits()
    return Limits(
        context_tokens=limits.integer("context_tokens", least=1),
        max_output_tokens=limits.integer("max_output_tokens", least=1),
        concurrency=limits.integer("concurrency", default=base.concurrency, least=1),
        queue=limits.integer("queue", default=base.queue, least=0),
        queue_s=limits.number("queue_s", default=base.queue_s, above=0.0),
        reply_mb=limits.number("reply_mb", default=base.reply_mb, above=0.0),
    )


def _read_timeouts(timeout: Section) -> Timeouts:
    timeout.only(("first_token_s", "total_s"))
    base = Timeouts()
    return Timeouts(
        first_token_s=timeout.number("first_token_s", default=base.first_token_s, above=0.0),
        total_s=timeout.number("total_s", default=base.total_s, above=0.0),
    )


def _read_breaker(breaker: Section) -> Breaker:
    breaker.only(("failures", "rest_s"))
    base = Breaker()
    return Breaker(
        failures=breaker.integer("failures", default=base.failures, least=0),
        rest_s=breaker.number("rest_s", default=base.rest_s, above=0.0),
    )


def _read_hedging(hedge: Section) -> Hedging:
    hedge.only(("after_quantile",))
    if not hedge.has("after_quantile"):
        return Hedging()
    return Hedging(after_quantile=hedge.number("after_quantile", least=0.5, most=0.999))


def _read_options(section: Section, *, kind: str, folder: Path) -> dict[str, Any]:
    """Returns the keys that only the backend's own type knows."""
    options = {key: section.raw(key) for key in section if key not in BACKEND_KEYS and section.has(key)}
    if kind == "replay" and "traces" in options:
        options["traces"] = _anchored_files(options["traces"], folder)
    return options


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


def _anchored(name: str, folder: Path) -> str:
    """Returns a path that is relative to models.yaml as one that holds anywhere; a hub id stays as it is."""
    inside = folder / name
    return str(inside) if name.startswith(".") or inside.exists() else name


def _anchored_files(value: Any, folder: Path) -> Any:
    """Returns a path, or each of a list, relative to the folder; what is no path is left for its backend to refuse."""
    if isinstance(value, list):
        return [_anchored_files(item, folder) for item in value]
    return str(folder / value) if isinstance(value, str) else value
