"""Server-sent events, written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson

COMMENT = b": waiting\n\n"  # clients of server-sent events pass over it


def encode_told(body: Any) -> bytes:
    """Returns an event of a provider's as JSON: halves of characters, which the next event may complete, stay such."""
    try:
        return orjson.dumps(body)
    except TypeError:
        return json.dumps(body).encode()


def encode_event(body: Any, name: str = "") -> bytes:
    """Returns one event; `body` is a JSON value, or the bytes of one.

    >>> encode_event({"type": "ping"}, "ping")
    b'event: ping\\ndata: {"type":"ping"}\\n\\n'
    """
    data = body if isinstance(body, bytes) else encode_json(body)
    if b"\n" in data:  # as bytes of a provider's event may, each line a field of its own
        data = data.replace(b"\n", b"\ndata: ")
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data) if name else b"data: %b\n\n" % data


def encode_json(body: Any) -> bytes:
    """Returns a body as JSON."""
    try:
        return orjson.dumps(body, default=_plain)
    except TypeError:
        # orjson refuses half a surrogate pair, which a model may well write.
        return json.dumps(body, default=_plain, ensure_ascii=False).encode("utf-8", "replace")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON type")
