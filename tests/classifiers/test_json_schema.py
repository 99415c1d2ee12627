"""What a JSON Schema allows and forbids, keyword by keyword."""

from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.classifiers.json_schema import check_schema, is_valid, unfenced
from penstock.classifiers.loose_schema import loosened


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "null"}, None, 0),
        ({"type": ["string", "null"]}, None, 1),
        ({"type": "number"}, 1.5, True),
        ({"type": "boolean"}, False, 0),
        ({"enum": [1, "a", None]}, 1.0, True),
        ({"const": {"a": [1, 2]}}, {"a": [1, 2]}, {"a": [2, 1]}),
        ({"const": True}, True, 1),
        ({"items": {"type": "integer"}}, [1, 2], [1, "2"]),
        ({"items": False}, [], [1]),
        ({"minItems": 1, "maxItems": 2}, [0], [1, 2, 3]),
        ({"minimum": 1, "maximum": 2}, 2, 2.5),
        ({"exclusiveMinimum": 1}, 1.1, 1),
        ({"exclusiveMaximum": 1}, 0, 1),
        ({"minLength": 1, "maxLength": 2}, "ab", "abc"),
        ({"pattern": "b"}, "abc", "ac"),
        ({"required": ["a"]}, {"a": None}, {}),
        ({"properties": {"a": False}}, {"b": 1}, {"a": 1}),
        ({"additionalProperties": {"type": "integer"}}, {"a": 1}, {"a": "1"}),
        ({"anyOf": [{"type": "string"}, {"minimum": 3, "type": "integer"}]}, 3, 2),
        ({"oneOf": [{"type": "string"}, {"minLength": 3}]}, "ab", "abc"),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, 2, 3),
        ({"not": {"type": "string"}}, 1, "1"),
        ({"multipleOf": 0.01}, 19.99, 19.995),
        ({"uniqueItems": True}, [1, True, "1", [1], {"a": 1}], [{"a": 1}, {"a": 1.0}]),
        ({"minProperties": 1, "maxProperties": 2}, {"a": 1}, {}),
        ({"prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ["a", 1, 2], ["a", "b"]),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"minimum": 1}}}, 1, 0),
        ({"items": {"$ref": "#/definitions/a~1b"}, "definitions": {"a/b": {"minimum": 1}}}, [1], [0]),
        ({"properties": {"a": {"minimum": 1}, "b": {"$ref": "#/properties/a"}}}, {"b": 1}, {"b": 0}),
        (
            {"properties": {"next": {"$ref": "#"}}, "required": ["n"]},
            {"n": 1, "next": {"n": 2}},
            {"n": 1, "next": {"next": {}}},
        ),
        (True, 1, None),
    ],
)
def test_each_keyword_of_a_schema_allows_and_forbids(schema: Any, good: object, bad: object) -> None:
    check_schema(schema)
    assert is_valid(good, schema)
    assert schema is True or not is_valid(bad, schema)


def test_keywords_say_nothing_of_values_of_another_type() -> None:
    schema = {
        "minimum": 3,
        "pattern": "x",
        "required": ["a"],
        "items": False,
        "minItems": 1,
        "properties": {"a": False},
    }
    check_schema(schema)
    assert is_valid(None, schema)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"if": {}}, "if: not supported; expected some of type, enum"),
        ({"oneOf": []}, r"oneOf: \[\]; expected a list of schemas"),
        ({"properties": {"a": {"$ref": "#/b"}}}, r"properties.a.\$ref: '#/b'; expected a place that is there"),
        ({"$ref": "https://example.org/s"}, r"\$ref: .*; expected a place in the same schema"),
        ({"$ref": "#/title", "title": "text"}, r"\$ref is 'text'"),
        ({"$defs": {"a": {"type": "text"}}}, r"\$defs.a.type: "),
        ({"multipleOf": 0}, "multipleOf: 0; expected a number above 0"),
        ({"uniqueItems": "yes"}, "uniqueItems: 'yes'; expected true or false"),
        ({"type": "text"}, "type: 'text'; expected null, boolean"),
        ({"type": []}, "type: "),
        ({"required": "a"}, "required: 'a'; expected a list of names"),
        ({"items": [1]}, "items is "),
        ({"anyOf": [{}, 3]}, r"anyOf\[1\] is 3"),
        ({"minimum": "1"}, "minimum: '1'; expected a number"),
        ({"minItems": -1}, "minItems: -1; expected a whole number"),
        ({"pattern": "("}, "pattern: .*expected a regular expression"),
        ({"pattern": 3}, "pattern: 3; expected a regular expression"),
    ],
)
def test_a_schema_that_is_not_understood_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_schema(schema)


def _in_circles() -> dict[str, Any]:
    return {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}


def _doubling() -> dict[str, Any]:
    """Returns a short schema that asks for 2**40 looks at a value."""
    parts = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)}
    return {"$ref": "#/$defs/d0", "$defs": {**parts, "d40": True}}


@pytest.mark.parametrize("schema", [_in_circles(), _doubling()], ids=["circles", "doubling"])
def test_references_without_end_are_followed_for_a_while_only(schema: Any) -> None:
    check_schema(schema)
    with pytest.raises(ValueError, match="to follow"):
        is_valid(1, schema)


ADDRESS = {"type": "object", "properties": {"zip": {"type": "string", "pattern": "^[0-9]+$"}}, "required": ["zip"]}


@pytest.mark.parametrize(
    ("schema", "loose"),
    [
        (ADDRESS, {**ADDRESS, "properties": {"zip": {"type": "string"}}}),
        ({"if": {}, "minimum": 3}, {"minimum": 3}),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False, "required": ["a"]}, {"required": ["a"]}),
        ({"not": {"pattern": "a"}, "type": "string"}, {"type": "string"}),
        (
            {"oneOf": [{"pattern": "a"}, {"type": "null"}], "allOf": [{"minimum": 1}]},
            {"allOf": [{"anyOf": [{}, {"type": "null"}]}, {"minimum": 1}]},
        ),
    ],
)
def test_what_cannot_be_followed_is_left_out_so_that_nothing_more_is_forbidden(schema: Any, loose: Any) -> None:
    assert loosened(schema) == loose


def test_a_schema_that_can_be_followed_stays_as_it_is() -> None:
    schema = {"oneOf": [{"$ref": "#/$defs/pattern"}], "$defs": {"pattern": {"not": {"const": {"pattern": "a"}}}}}
    assert loosened(schema) is schema


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}```'])
def test_the_fence_around_a_text_is_taken_off(text: str) -> None:
    assert unfenced(text) == '{"a": 1}'


@pytest.mark.parametrize(
    "schema",
    [
        {"allOf": [{"uniqueItems": True}] * 1000},
        {"anyOf": [{"const": [place]} for place in range(1000)]},
    ],
)
def test_holding_many_values_against_each_other_ends(schema: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="too much to follow"):
        is_valid([list(range(30_000))], schema)


def test_a_long_list_is_held_against_a_long_enumeration() -> None:
    words = [f"word {place}" for place in range(2000)]
    assert is_valid(words * 5, {"items": {"enum": words}})
    assert not is_valid([*words * 5, "other"], {"items": {"enum": words}})


def test_numbers_without_end_are_no_whole_ones_and_too_large_ones_are_told() -> None:
    assert not is_valid(math.inf, {"type": "integer"})
    with pytest.raises(ValueError, match="minLength: inf; expected a whole number"):
        check_schema({"minLength": math.inf})
    with pytest.raises(ValueError, match="too large a number to divide"):
        is_valid(10**400, {"multipleOf": 0.1})
