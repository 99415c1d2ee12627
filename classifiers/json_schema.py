"""JSON Schema, the part of it that structured answers use. A keyword beyond it is refused, never passed over.

Reference: JSON Schema 2020-12, https://json-schema.org/draft/2020-12/json-schema-validation
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

Schema = Any  # a mapping, true or false, as JSON has it

ANNOTATIONS = frozenset(
    {"$schema", "$id", "$comment", "title", "description", "default", "examples", "format", "deprecated"}
    | {"readOnly", "writeOnly", "discriminator", "$anchor", "contentEncoding", "contentMediaType"}
)  # say something to readers and forbid nothing

_MAX_STEPS = 200_000  # of one value: references can make a short schema ask for very many
_FENCED = re.compile(r"\A```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```\Z", re.DOTALL)


def unfenced(text: str) -> str:
    """Returns the text without the fence of a code block around it, and without white space around that."""
    text = text.strip()
    fenced = _FENCED.match(text)
    return fenced[1] if fenced else text


def _is_whole(value: object) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())  # type: ignore[attr-defined]  # a float


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


class _Whole:
    """The schema that references point into, and how much more may be done for one value."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.checked: set[str] = set()  # references that were followed, which may lead back to where they stand
        self._keys: dict[int, frozenset[Hashable]] = {}  # of the values that a schema lists, by the list's id
        self._steps_left = _MAX_STEPS

    def _step(self) -> None:
        self._steps_left -= 1
        if self._steps_left < 0:
            raise ValueError("too much to follow")

    def allows(self, value: object, schema: Schema) -> bool:
        self._step()
        if isinstance(schema, bool):
            return schema
        return all(
            _KEYWORDS[keyword][1](value, wanted, schema, self)
            for keyword, wanted in schema.items()
            if keyword in _KEYWORDS
        )

    def key(self, value: object) -> Hashable:
        """Returns what is equal for equal JSON values only; true is not 1 there, but 1.0 is."""
        self._step()
        if isinstance(value, list):
            return "list", tuple(map(self.key, value))
        if isinstance(value, dict):
            return "dict", frozenset((name, self.key(item)) for name, item in value.items())
        return isinstance(value, bool), value

    def is_among(self, value: object, listed: Sequence[object]) -> bool:
        if id(listed) not in self._keys:
            self._keys[id(listed)] = frozenset(map(self.key, listed))
        return self.key(value) in self._keys[id(listed)]

    def check(self, schema: object, where: str) -> None:
        if isinstance(schema, bool):
            return
        if not isinstance(schema, Mapping):
            raise ValueError(f"{where or 'the schema'} is {reprlib.repr(schema)}; expected an object, true or false")
        for keyword, wanted in schema.items():
            if keyword in ANNOTATIONS:
                continue
            place = f"{where}.{keyword}" if where else keyword
            if keyword not in _KEYWORDS:
                raise ValueError(f"{place}: not supported; expected some of {', '.join(_KEYWORDS)}")
            _KEYWORDS[keyword][0](wanted, place, self)

    def target(self, reference: str) -> Schema:
        """Returns what a reference within the schema points to (RFC 6901).

        Raises:
            KeyError, IndexError, ValueError: nothing is there.
        """
        found = self.schema
        for part in unquote(reference).split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        return found


def is_valid(value: object, schema: Schema) -> bool:
    """Returns whether a schema that `check_schema` accepts allows the value.

    >>> is_valid({"n": 3}, {"type": "object", "properties": {"n": {"maximum": 2}}})
    False

    Raises:
        ValueError: it cannot be told in bounded time, as references go in circles or everything is nested too deep; or
            a number is too large to divide.
    """
    try:
        return _Whole(schema).allows(value, schema)
    except RecursionError as error:
        raise ValueError("too deep to follow") from error
    except OverflowError as error:
        raise ValueError("too large a number to divide") from error


def check_schema(schema: object) -> None:
    """Accepts what `is_valid` understands.

    Raises:
        ValueError: a keyword is not known here, or has a value that it cannot have.
    """
    try:
        _Whole(schema).check(schema, "")
    except RecursionError as error:
        raise ValueError("the schema is nested too deep") from error


def _wrong(where: str, wanted: object, expected: str) -> ValueError:
    return ValueError(f"{where}: {reprlib.repr(wanted)}; expected {expected}")


def _check_type(wanted: object, where: str, _whole: _Whole) -> None:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not names or not all(isinstance(name, str) and name in _TYPES for name in names):
        raise _wrong(where, wanted, f"{', '.join(_TYPES)} or a list of these")


def _check_properties(wanted: object, where: str, whole: _Whole) -> None:
    if not isinstance(wanted, Mapping):
        raise _wrong(where, wanted, "an object of schemas")
    for name, schema in wanted.items():
        whole.check(schema, f"{where}.{name}")


def _check_names(wanted: object, where: str, _whole: _Whole) -> None:
    if not isinstance(wanted, list) or not all(isinstance(name, str) for name in wanted):
        raise _wrong(where, wanted, "a list of names")


def _check_schemas(wanted: object, where: str, whole: _Whole) -> None:
    if not isinstance(wanted, list) or not wanted:
        raise _wrong(where, wanted, "a list of schemas")
    for place, schema in enumerate(wanted):
        whole.check(schema, f"{where}[{place}]")


def _check_list(wanted: object, where: str, _whole: _Whole) -> None:
    if not isinstance(wanted, list) or not wanted:
        raise _wrong(where, wanted, "a list of values")


def _check_anything(_wanted: object, _where: str, _whole: _Whole) -> None:
    pass


def _check_number(wanted: object, where: str, _whole: _Whole) -> None:
    if not _is_number(wanted):
        raise _wrong(where, wanted, "a number")


def _check_count(wanted: object, where: str, _whole: _Whole) -> None:
    if not _is_whole(wanted) or wanted < 0:  # type: ignore[operator]  # it is a number by now
        raise _wrong(where, wanted, "a whole number from 0 up")


def _check_pattern(wanted: object, where: str, _whole: _Whole) -> None:
    try:
        re.compile(wanted)  # type: ignore[call-overload]  # what is no text is a TypeError
    except (re.error, TypeError, OverflowError, RecursionError) as error:
        raise _wrong(where, wanted, f"a regular expression ({error})") from error


def _check_schema(wanted: object, where: str, whole: _Whole) -> None:
    whole.check(wanted, where)


def _check_flag(wanted: object, where: str, _whole: _Whole) -> None:
    if not isinstance(wanted, bool):
        raise _wrong(where, wanted, "true or false")


def _check_divisor(wanted: object, where: str, _whole: _Whole) -> None:
    if not _is_number(wanted) or not wanted > 0:  # type: ignore[operator]  # it is a number by now
        raise _wrong(where, wanted, "a number above 0")


def _check_reference(wanted: object, where: str, whole: _Whole) -> None:
    if not isinstance(wanted, str) or not (wanted == "#" or wanted.startswith("#/")):
        raise _wrong(where, wanted, "a place in the same schema, such as '#/$defs/name'")
    if wanted in whole.checked:
        return
    whole.checked.add(wanted)
    try:
        found = whole.target(wanted)
    except (LookupError, TypeError, ValueError):
        raise _wrong(where, wanted, "a place that is there") from None
    whole.check(found, where)


def _has_type(value: object, wanted: Any, *_: object) -> bool:
    return any(_TYPES[name](value) for name in (wanted if isinstance(wanted, list) else [wanted]))


def _has_properties(value: object, wanted: Any, _schema: Schema, whole: _Whole) -> bool:
    return not isinstance(value, dict) or all(
        whole.allows(item, wanted[name]) for name, item in value.items() if name in wanted
    )


def _has_no_bad_others(value: object, wanted: Any, schema: Schema, whole: _Whole) -> bool:
    known = schema.get("properties", {})
    return not isinstance(value, dict) or all(
        whole.allows(item, wanted) for name, item in value.items() if name not in known
    )


def _has_items(value: object, wanted: Any, schema: Schema, whole: _Whole) -> bool:
    n_first = len(schema.get("prefixItems", ()))
    return not isinstance(value, list) or all(whole.allows(item, wanted) for item in value[n_first:])


def _has_first_items(value: object, wanted: Any, _schema: Schema, whole: _Whole) -> bool:
    return not isinstance(value, list) or all(map(whole.allows, value, wanted))


def _is_multiple(value: object, wanted: Any, *_: object) -> bool:
    if not _is_number(value):
        return True
    times = value / wanted
    return math.isfinite(times) and abs(times - round(times)) <= 1e-9 * max(1.0, abs(times))


def _is_unique(value: object, wanted: Any, _schema: Schema, whole: _Whole) -> bool:
    return not wanted or not isinstance(value, list) or len(set(map(whole.key, value))) == len(value)


# What each keyword may hold, and what it asks of a value.
_KEYWORDS: dict[str, tuple[Callable[[object, str, _Whole], None], Callable[[Any, Any, Schema, _Whole], bool]]] = {
    "type": (_check_type, _has_type),
    "enum": (_check_list, lambda value, wanted, _, whole: whole.is_among(value, wanted)),
    "const": (_check_anything, lambda value, wanted, _, whole: whole.key(value) == whole.key(wanted)),
    "properties": (_check_properties, _has_properties),
    "required": (
        _check_names,
        lambda value, wanted, *_: not isinstance(value, dict) or all(map(value.__contains__, wanted)),
    ),
    "additionalProperties": (_check_schema, _has_no_bad_others),
    "minProperties": (_check_count, lambda value, wanted, *_: not isinstance(value, dict) or len(value) >= wanted),
    "maxProperties": (_check_count, lambda value, wanted, *_: not isinstance(value, dict) or len(value) <= wanted),
    "items": (_check_schema, _has_items),
    "prefixItems": (_check_schemas, _has_first_items),
    "minItems": (_check_count, lambda value, wanted, *_: not isinstance(value, list) or len(value) >= wanted),
    "maxItems": (_check_count, lambda value, wanted, *_: not isinstance(value, list) or len(value) <= wanted),
    "uniqueItems": (_check_flag, _is_unique),
    "minimum": (_check_number, lambda value, wanted, *_: not _is_number(value) or value >= wanted),
    "maximum": (_check_number, lambda value, wanted, *_: not _is_number(value) or value <= wanted),
    "exclusiveMinimum": (_check_number, lambda value, wanted, *_: not _is_number(value) or value > wanted),
    "exclusiveMaximum": (_check_number, lambda value, wanted, *_: not _is_number(value) or value < wanted),
    "multipleOf": (_check_divisor, _is_multiple),
    "minLength": (_check_count, lambda value, wanted, *_: not isinstance(value, str) or len(value) >= wanted),
    "maxLength": (_check_count, lambda value, wanted, *_: not isinstance(value, str) or len(value) <= wanted),
    "pattern": (
        _check_pattern,
        lambda value, wanted, *_: not isinstance(value, str) or re.search(wanted, value) is not None,
    ),
    "anyOf": (_check_schemas, lambda value, wanted, _, whole: any(whole.allows(value, one) for one in wanted)),
    "oneOf": (_check_schemas, lambda value, wanted, _, whole: sum(whole.allows(value, one) for one in wanted) == 1),
    "allOf": (_check_schemas, lambda value, wanted, _, whole: all(whole.allows(value, one) for one in wanted)),
    "not": (_check_schema, lambda value, wanted, _, whole: not whole.allows(value, wanted)),
    "$ref": (_check_reference, lambda value, wanted, _, whole: whole.allows(value, whole.target(wanted))),
    "$defs": (_check_properties, lambda *_: True),
    "definitions": (_check_properties, lambda *_: True),
}

KEYWORDS = frozenset(_KEYWORDS)
