"""JSON Schema, the part of it that structured answers use. A keyword beyond it is refused, never passed over.

Reference: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

Schema = Any  # a mapping, true or false, as JSON has it

ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated"}
    | {"readOnly", "writeOnly"}
)  # say something to readers and forbid nothing


_FENCED = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)


def unfenced(text: str) -> str:
    """Returns the text without the fence of a code block around it, and without white space around that."""
    text = text.strip()
    fenced = _FENCED.match(text)
    return fenced[1] if fenced else text


def _is_whole(value: object) -> bool:
    return _is_number(value) and value == int(value)  # type: ignore[call-overload]  # it is a number


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[object], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "number": _is_number,
    "string": lambda value: isinstance(value, str),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def is_valid(value: object, schema: Schema) -> bool:
    """Returns whether a schema that `check_schema` accepts allows the value.

    >>> is_valid({"n": 3}, {"type": "object", "properties": {"n": {"maximum": 2}}})
    False
    """
    if isinstance(schema, bool):
        return schema
    return all(
        _KEYWORDS[keyword][1](value, wanted, schema) for keyword, wanted in schema.items() if keyword in _KEYWORDS
    )


def check_schema(schema: object, path: str = "") -> None:
    """Accepts what `is_valid` understands.

    Raises:
        ValueError: a keyword is not known here, or has a value that it cannot have.
    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ValueError(f"{path or 'the schema'} is {reprlib.repr(schema)}; expected an object, true or false")
    for keyword, wanted in schema.items():
        where = f"{path}.{keyword}" if path else keyword
        if keyword in ANNOTATIONS:
            continue
        if keyword not in _KEYWORDS:
            raise ValueError(f"{where}: not supported; expected some of {', '.join(_KEYWORDS)}")
        _KEYWORDS[keyword][0](wanted, where)


def _wrong(where: str, wanted: object, expected: str) -> ValueError:
    return ValueError(f"{where}: {reprlib.repr(wanted)}; expected {expected}")


def _check_type(wanted: object, where: str) -> None:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise _wrong(where, wanted, f"{', '.join(_TYPES)} or a list of these")


def _check_properties(wanted: object, where: str) -> None:
    if not isinstance(wanted, Mapping):
        raise _wrong(where, wanted, "an object of schemas")
    for name, schema in wanted.items():
        check_schema(schema, f"{where}.{name}")


def _check_names(wanted: object, where: str) -> None:
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise _wrong(where, wanted, "a list of names")


def _check_schemas(wanted: object, where: str) -> None:
    if not isinstance(wanted, list) or not wanted:
        raise _wrong(where, wanted, "a list of schemas")
    for place, schema in enumerate(wanted):
        check_schema(schema, f"{where}[{place}]")


def _check_list(wanted: object, where: str) -> None:
    if not isinstance(wanted, list) or not wanted:
        raise _wrong(where, wanted, "a list of values")


def _check_anything(_wanted: object, _where: str) -> None:
    pass


def _check_number(wanted: object, where: str) -> None:
    if not _is_number(wanted):
        raise _wrong(where, wanted, "a number")


def _check_count(wanted: object, where: str) -> None:
    if not _is_whole(wanted) or wanted < 0:  # type: ignore[operator]  # it is a number by now
        raise _wrong(where, wanted, "a whole number from 0 up")


def _check_pattern(wanted: object, where: str) -> None:
    try:
        re.compile(wanted)  # type: ignore[call-overload]  # what is no text is a TypeError
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise _wrong(where, wanted, f"a regular expression ({error})") from error


def _has_type(value: object, wanted: Any, _schema: Schema) -> bool:
    return any(_TYPES[name](value) for name in (wanted if isinstance(wanted, list) else [wanted]))


def _has_properties(value: object, wanted: Any, _schema: Schema) -> bool:
    return not isinstance(value, dict) or all(
        is_valid(value[name], schema) for name, schema in wanted.items() if name in value
    )


def _has_no_bad_others(value: object, wanted: Any, schema: Schema) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(
        is_valid(item, wanted) for name, item in value.items() if name not in known
    )


def _is_same(left: object, right: object) -> bool:
    """Returns whether two JSON values are equal; true is not 1 there, but 1.0 is."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_is_same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_is_same(left[name], right[name]) for name in left)
    return left == right


# What each keyword may hold, and what it asks of a value.
_KEYWORDS: dict[str, tuple[Callable[[object, str], None], Callable[[Any, Any, Schema], bool]]] = {
    "type": (_check_type, _has_type),
    "enum": (_check_list, lambda value, wanted, _: any(_is_same(value, item) for item in wanted)),
    "const": (_check_anything, lambda value, wanted, _: _is_same(value, wanted)),
    "properties": (_check_properties, _has_properties),
    "required": (_check_names, lambda value, wanted, _: not isinstance(value, dict) or set(wanted) <= value.keys()),
    "additionalProperties": (check_schema, _has_no_bad_others),
    "items": (
        check_schema,
        lambda value, wanted, _: not isinstance(value, list) or all(is_valid(item, wanted) for item in value),
    ),
    "minItems": (_check_count, lambda value, wanted, _: not isinstance(value, list) or len(value) >= wanted),
    "maxItems": (_check_count, lambda value, wanted, _: not isinstance(value, list) or len(value) <= wanted),
    "minimum": (_check_number, lambda value, wanted, _: not _is_number(value) or value >= wanted),
    "maximum": (_check_number, lambda value, wanted, _: not _is_number(value) or value <= wanted),
    "exclusiveMinimum": (_check_number, lambda value, wanted, _: not _is_number(value) or value > wanted),
    "exclusiveMaximum": (_check_number, lambda value, wanted, _: not _is_number(value) or value < wanted),
    "minLength": (_check_count, lambda value, wanted, _: not isinstance(value, str) or len(value) >= wanted),
    "maxLength": (_check_count, lambda value, wanted, _: not isinstance(value, str) or len(value) <= wanted),
    "pattern": (
        _check_pattern,
        lambda value, wanted, _: not isinstance(value, str) or re.search(wanted, value) is not None,
    ),
    "anyOf": (_check_schemas, lambda value, wanted, _: any(is_valid(value, schema) for schema in wanted)),
}
