"""Fields by which a provider may be told to use another model than it is asked for, or to charge another price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..backends import InvalidRequest, Query

# Each with the values that ask for nothing.
FIELDS: Mapping[str, tuple[Any, ...]] = {
    "models": (None, []),  # OpenRouter: further models to try, as with the next four
    "fallbacks": (None, []),  # LiteLLM, Anthropic
    "context_window_fallbacks": (None, []),  # LiteLLM, as are the next two
    "content_policy_fallbacks": (None, []),
    "context_window_fallback_dict": (None, {}),
    "route": (None, ""),  # OpenRouter, as are the next three
    "preset": (None, ""),
    "provider": (None, {}),
    "plugins": (None, []),
    "providerOptions": (None, {}),  # Vercel's gateway
    "extra_body": (None, {}),  # LiteLLM, which passes on what is in it
    "service_tier": (None, "auto", "default", "flex", "scale", "standard_only"),  # `priority` costs more
    "speed": (None, "standard"),  # Anthropic: `fast` costs more
}


def refuse_rerouting(query: Query, *, why: str) -> None:
    """Returns nothing where a query leaves it to us who is asked, and at what price.

    Raises:
        InvalidRequest: a field of it does not; `why` says why that matters.
    """
    fields = query.params if query.original is None else query.original.body
    for field in fields.keys() & FIELDS.keys():
        if fields[field] not in FIELDS[field]:
            raise InvalidRequest(
                f"{field}: may make the provider use another model or price than is decided here; {why},"
                " or put it in the backend's extra_body in models.yaml"
            )
