"""What a JSON Schema allows and forbids, keyword by keyword."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.classifiers.json_schema import check_schema, is_valid, unfenced


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
        ({"oneOf": []}, "oneOf: not supported; expected some of type, enum"),
        ({"properties": {"a": {"$ref": "#/b"}}}, r"properties.a.\$ref: not supported"),
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


@pytest.mark.parametrize("text", ['{"a": 1}', ' {"a": 1}\n', '```json\n{"a": 1}\n```', '```\n{"a": 1}```'])
def test_the_fence_around_a_text_is_taken_off(text: str) -> None:
    assert unfenced(text) == '{"a": 1}'
