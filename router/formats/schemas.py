"""Pieces of JSON Schema that formats describe their requests with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 1}
SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
WARMTH: Schema = {"type": "number", "minimum": 0, "maximum": 2}
ANYTHING: Schema = {"type": "object"}


def one_of(*values: str) -> Schema:
    """Returns the schema of a few words."""
    return {"enum": list(values)}


def either(*schemas: Schema) -> Schema:
    """Returns the schema of what fulfils one of several."""
    return {"anyOf": list(schemas)}


def listed(schema: Schema, *, least: int = 0) -> Schema:
    """Returns the schema of a list."""
    return {"type": "array", "items": schema, "minItems": least}


def fields(*required: str, **properties: Schema) -> Schema:
    """Returns the schema of an object, which may have other fields too."""
    return {"type": "object", "properties": properties, "required": list(required)}
