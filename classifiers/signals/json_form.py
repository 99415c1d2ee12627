"""A verifier: whether an answer that ought to be JSON is, and whether the request's schema allows it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from ...backends import Completion, Query
from ..json_schema import check_schema, is_valid, unfenced
from ..loose_schema import loosened

_MAX_CHARACTERS = 100_000


class JsonVerifier:
    """Whether the answer is JSON, where the request asks for it or the answer sets out to be it, and by the schema."""

    names = ("is_json", "is_allowed")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where JSON is not the matter, or no schema is known."""
        wanted = query.params.get("response_format")
        is_wanted = isinstance(wanted, Mapping) and wanted.get("type") in ("json_object", "json_schema")
        begins = completion.text[:20].lstrip()[:7]
        if completion.tool_calls or not (is_wanted or begins.startswith(("{", "[", "```json"))):
            return math.nan, math.nan
        schema = _schema_of(wanted) if isinstance(wanted, Mapping) else None
        if len(completion.text) > _MAX_CHARACTERS:
            return math.nan, math.nan
        try:
            value = orjson.loads(unfenced(completion.text))
        except orjson.JSONDecodeError:
            return 0.0, math.nan if schema is None else 0.0
        return 1.0, math.nan if schema is None else is_allowed(value, schema)


def is_allowed(value: object, schema: object) -> float:
    """Returns 1 or 0; NaN where nothing that is followed forbids the value, but not all of the schema is."""
    try:
        followed = loosened(schema)
        check_schema(followed)
        return 0.0 if not is_valid(value, followed) else 1.0 if followed is schema else math.nan
    except (ValueError, RecursionError):
        return math.nan


def _schema_of(wanted: Mapping[str, Any]) -> object | None:
    described = wanted.get("json_schema")
    return described.get("schema") if isinstance(described, Mapping) else None
