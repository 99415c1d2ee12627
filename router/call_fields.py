"""The fields of a chat request besides `model`, `messages` and `stream`: ours taken out, the rest untouched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..backends import InvalidRequest
from .policy import Wishes, read_wishes


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFields:
    """What a caller gave."""

    params: dict[str, Any]  # for the backend, as they came
    wishes: Wishes
    with_usage: bool  # whether a stream is to end with its usage


def read_call_fields(given: Mapping[str, Any]) -> CallFields:
    """Returns the fields in their places.

    Raises:
        ConfigError: `penstock` holds no wishes.
        InvalidRequest: `stream_options` is no object.
    """
    params = dict(given)
    wishes = read_wishes(params.pop("penstock", None) or {}, where="penstock")
    options = params.pop("stream_options", None) or {}
    if not isinstance(options, Mapping):
        raise InvalidRequest(f"stream_options: expected an object, got {options!r:.80}")
    return CallFields(params=params, wishes=wishes, with_usage=bool(options.get("include_usage")))
