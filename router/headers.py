"""The `x-penstock-*` headers: wishes on the way in, how an answer came about on the way out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from .decision import Decision
from .policy import NO_WISHES, Wishes, read_wishes

WISH_PREFIX = b"x-penstock-"


def wishes_in(headers: Iterable[tuple[bytes, bytes]]) -> Wishes:
    """Returns the wishes in a request's headers, such as `x-penstock-min-quality: 0.9`.

    Raises:
        ConfigError: an unknown wish or a value of the wrong kind.
    """
    found = {
        name[len(WISH_PREFIX) :].decode("latin-1").replace("-", "_"): value.decode("utf-8", "replace")
        for name, value in headers
        if name.startswith(WISH_PREFIX)
    }
    return read_wishes(found, where="headers x-penstock-*") if found else NO_WISHES


def answer_headers(told: Mapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a whole answer, from what `Answer.as_dict` tells of it."""
    return encode_headers(
        {
            "x-penstock-backend": told["backend"],
            "x-penstock-path": told["path"],
            "x-penstock-reason": told["reason"],
            "x-penstock-quality": _number(told["quality"]),
            "x-penstock-confidence": _number(told["confidence"]),
            "x-penstock-cost-usd": _number(told["cost_usd"]),
            "x-penstock-trace-id": told["trace_id"],
        }
    )


def first_headers(decision: Decision, *, backend: str | None, path: str, trace_id: str) -> list[tuple[bytes, bytes]]:
    """Returns the headers of a streamed answer: what is known when its first piece comes, from `backend`, or None where
    a sign of life has to go out before it, and no path is known.
    """
    estimates = decision.estimates
    quality = float(estimates.quality[estimates.backends.index(backend)]) if backend else math.nan
    return encode_headers(
        {
            "x-penstock-backend": backend or "",
            "x-penstock-path": path,
            "x-penstock-reason": decision.reason,
            "x-penstock-quality": _number(round(quality, 6)),
            "x-penstock-trace-id": trace_id,
        }
    )


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Returns headers as they are sent, without the empty ones; what is not printable ASCII is percent-encoded.

    >>> encode_headers({"x-penstock-backend": "klein-größer"})
    [(b'x-penstock-backend', b'klein-gr%C3%B6%C3%9Fer')]
    """
    return [
        (name.encode("ascii"), value.encode("ascii") if value.isascii() and value.isprintable() else _escaped(value))
        for name, value in headers.items()
        if value
    ]


def _escaped(value: str) -> bytes:
    octets = value.encode("utf-8", "replace")
    return b"".join(bytes((octet,)) if 0x20 <= octet < 0x7F else b"%%%02X" % octet for octet in octets)


def _number(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.9f}".rstrip("0").removesuffix(".")
