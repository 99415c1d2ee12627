"""A verifier: whether the calls of tools are such as the request offers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from ...backends import Completion, Query
from .json_form import is_allowed


class ToolCallVerifier:
    """Whether tools were called where some are offered, and how many calls have a known name and good arguments."""

    names = ("has_called", "share_known", "share_allowed", "log_calls")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where no tools are offered, or none was called."""
        offered = _offered(query.params.get("tools"))
        calls = completion.tool_calls
        if not offered and not calls:
            return (math.nan,) * len(self.names)
        if not calls:
            return 0.0, math.nan, math.nan, 0.0
        functions = [call.get("function") or {} for call in calls]
        known = [str(function.get("name")) in offered for function in functions]
        allowed = [_is_good(function, offered) for function in functions]
        return 1.0, sum(known) / len(known), sum(allowed) / len(allowed), math.log1p(len(calls))


def _offered(tools: object) -> dict[str, Any]:
    """Returns the schema of the arguments of every tool by its name."""
    if not isinstance(tools, list):
        return {}
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return {str(f.get("name")): f.get("parameters") for f in functions if isinstance(f, Mapping)}


def _is_good(function: Mapping[str, Any], offered: Mapping[str, Any]) -> bool:
    """Returns whether the arguments are an object that the tool's schema does not forbid."""
    try:
        arguments = orjson.loads(function.get("arguments") or "{}")
    except (orjson.JSONDecodeError, TypeError):
        return False
    schema = offered.get(str(function.get("name")))
    return isinstance(arguments, dict) and (schema is None or is_allowed(arguments, schema) != 0.0)
