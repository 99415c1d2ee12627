"""What can be told of a JSON Schema that is not understood in full, or may not be followed in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .json_schema import ANNOTATIONS, KEYWORDS, Schema

# A pattern is understood, but a hostile one takes forever on an answer that is made for it.
_FOLLOWED = (KEYWORDS | ANNOTATIONS) - {"pattern"}
_OF_ONE = frozenset({"items", "additionalProperties", "not"})
_OF_MANY = frozenset({"anyOf", "oneOf", "allOf", "prefixItems"})
_BY_NAME = frozenset({"properties", "$defs", "definitions"})


def loosened(schema: Schema) -> Schema:
    """Returns a schema without what cannot be followed: what it forbids, the whole one forbids as well.

    The schema itself where all of it can be followed.

    >>> loosened({"type": "string", "pattern": "^a"})
    {'type': 'string'}
    """
    return schema if _is_followed(schema) else _loose(schema)


def _parts(keyword: object, wanted: Any) -> list[Schema]:
    """Returns the schemas that a keyword holds."""
    if keyword in _OF_ONE:
        return [wanted]
    if keyword in _OF_MANY and isinstance(wanted, list):
        return wanted
    if keyword in _BY_NAME and isinstance(wanted, Mapping):
        return list(wanted.values())
    return []


def _is_followed(schema: Schema) -> bool:
    return not isinstance(schema, Mapping) or all(
        keyword in _FOLLOWED and all(map(_is_followed, _parts(keyword, wanted))) for keyword, wanted in schema.items()
    )


def _loose(schema: Schema) -> Schema:
    if not isinstance(schema, Mapping):
        return schema
    loose: dict[str, Any] = {}
    for keyword, wanted in schema.items():
        # What is to be forbidden by a looser schema would forbid more, and of looser ones more than one may hold.
        if keyword not in _FOLLOWED or keyword == "not":
            continue
        if keyword == "additionalProperties" and "patternProperties" in schema:
            continue
        if keyword in _OF_ONE:
            loose[keyword] = _loose(wanted)
        elif keyword in _OF_MANY and isinstance(wanted, list):
            parts = list(map(_loose, wanted))
            if keyword == "oneOf":
                loose.setdefault("allOf", []).append({"anyOf": parts})
            elif keyword == "allOf":
                loose.setdefault("allOf", []).extend(parts)
            else:
                loose[keyword] = parts
        elif keyword in _BY_NAME and isinstance(wanted, Mapping):
            loose[keyword] = {name: _loose(part) for name, part in wanted.items()}
        else:
            loose[keyword] = wanted
    return loose
