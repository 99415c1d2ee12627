"""What each grader makes of answers as models write them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.backends import Completion, ConfigError
from penstock.training import TraceError
from penstock.training.errors import BadRow
from penstock.training.graders import Ask, create_grader
from penstock.training.graders.numeric import final_number
from penstock.training.prompts import parse_prompt


def nobody(name: str) -> Ask:
    raise ConfigError(f"nobody is called {name}")


def grade(grader: str, text: str, /, **columns: Any) -> float:
    """Returns the score of an answer to a prompt with these columns, checked first."""
    prompt = parse_prompt({"query": "Well?", **columns})
    made = create_grader(grader, nobody)
    made.check(prompt)
    return asyncio.run(made.grade(prompt, Completion(text=text)))


# exact


@pytest.mark.parametrize(
    ("grader", "answer", "expected", "score"),
    [
        ("exact", "Paris", "Paris", 1),
        ("exact", "  Paris\n", "Paris", 1),
        ("exact", "New \n York", "New York", 1),
        ("exact", "paris", "Paris", 0),
        ("exact:ignore_case", "pARIS", "Paris", 1),
        ("exact:ignore_case", "STRASSE", "straße", 1),
        ("exact", "Paris.", "Paris", 0),
        ("exact", "", "Paris", 0),
        ("exact", "caf\u0065\u0301", "caf\u00e9", 1),
        ("exact", "Lutetia", ["Paris", "Lutetia"], 1),
        ("exact", "42", 42, 1),
        ("exact", "true", True, 1),
    ],
)
def test_exact_compares_the_whole_answer_white_space_aside(
    grader: str, answer: str, expected: object, score: float
) -> None:
    assert grade(grader, answer, answer=expected) == score


# numeric


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("The answer is 42.", 42),
        ("17 - 3 = 14", 14),
        ("so 17-3", 3),
        ("x=-3", -3),
        ("It is −7 degrees", -7),
        ("-$5", -5),
        ("\\$3.50 in all", 3.5),
        ("1,234,567.5 people", 1234567.5),
        ("one of 1,2,3", 3),
        ("50%", 50),
        ("1/2", 0.5),
        ("3 / 4 of it", 0.75),
        ("5/0", 5),
        ("2e3", 2000),
        (".5", 0.5),
        ("x2 and y3", None),
        ("10²", 10),
        ("٣", 3),
        (r"\boxed{7} after 3 steps", 7),
        (r"\boxed{1} or rather \boxed{\frac{3}{4}}", 0.75),
        (r"\boxed{12{,}000} and 1", 12000),
        (r"$\boxed{10\,000}$ 1", 10000),
        (r"\boxed{\text{7 apples}} 9", 7),
        (r"\boxed{7", 7),
        ("8 steps\n#### 1,000\nin 5 minutes", 1000),
        ("#### none, so 6", 6),
        ("none", None),
        ("", None),
        ("9" * 400, None),
        ("1e400", None),
    ],
)
def test_the_final_number_is_found(text: str, number: float | None) -> None:
    assert final_number(text) == number


@pytest.mark.parametrize(
    ("grader", "answer", "expected", "score"),
    [
        ("numeric", "It is 391.", "391", 1),
        ("numeric", "391.0", 391, 1),
        ("numeric", "390", 391, 0),
        ("numeric", "10000001", "10000000", 0),
        ("numeric", "0.3333333", "1/3", 1),
        ("numeric", "0.33", "1/3", 0),
        ("numeric:0.02", "0.33", "1/3", 1),
        ("numeric:0.02", "101", "100", 1),
        ("numeric:0", "101", "100", 0),
        ("numeric", "none at all", "0", 0),
        ("numeric", "0.0000001", "0", 1),
        ("numeric", "6", "She has 2 * 3 = 6.\n#### 6", 1),
        ("numeric", "7", ["6", "7"], 1),
    ],
)
def test_numeric_compares_the_final_number(grader: str, answer: str, expected: object, score: float) -> None:
    assert grade(grader, answer, answer=expected) == score


@pytest.mark.parametrize("text", ["1," * 50_000, "-" * 100_000, "1" * 100_000, "\\boxed{" * 20_000, "{" * 90_000])
def test_numeric_copes_with_long_nonsense(text: str) -> None:
    assert grade("numeric", text, answer="123456") == 0


# regex


@pytest.mark.parametrize(
    ("grader", "answer", "pattern", "score"),
    [
        ("regex", "It is Paris.", r"\bParis\b", 1),
        ("regex", "It is Parish.", r"\bParis\b", 0),
        ("regex", "PARIS", "(?i)paris", 1),
        ("regex", "no\nyes", r"^yes\Z", 0),
        ("regex", "no\nyes", r"(?m)^yes$", 1),
        ("regex:[0-9]+", "7", None, 1),
        ("regex:[0-9]+", "7", "[a-z]", 0),
    ],
)
def test_regex_looks_for_the_pattern(grader: str, answer: str, pattern: str | None, score: float) -> None:
    assert grade(grader, answer, pattern=pattern) == score


# multiple_choice


@pytest.mark.parametrize("expected", ["B", "b", "(B)", "B.", "Paris", "paris"])
def test_the_right_choice_may_be_given_as_letter_or_text(expected: str) -> None:
    assert grade("multiple_choice", "Answer: B", answer=expected, choices=["Rome", "Paris"]) == 1
    assert grade("multiple_choice", "Answer: A", answer=expected, choices=["Rome", "Paris"]) == 0


@pytest.mark.parametrize("expected", ["C", "Berlin", "1"])
def test_an_expected_answer_that_is_no_choice_is_refused(expected: str) -> None:
    with pytest.raises(BadRow, match=r"column answer: .*; expected a letter from A to B or the text of a choice"):
        grade("multiple_choice", "A", answer=expected, choices=["Rome", "Paris"])


def test_an_expected_answer_that_is_one_letter_and_another_text_is_refused() -> None:
    with pytest.raises(BadRow, match="is the letter of one choice and the text of another"):
        grade("multiple_choice", "A", answer="A", choices=["B", "A"])


@pytest.mark.parametrize(
    "text", ["answer " * 15_000, "(" * 100_000, " " * 100_000, "answer" + " " * 90_000, "*" * 90_000]
)
def test_multiple_choice_copes_with_long_nonsense(text: str) -> None:
    assert grade("multiple_choice", text, answer="A", choices=["one", "two"]) == 0


# json_schema

PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "a person",
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ('{"name": "Ada", "age": 36}', 1),
        (' {"name": "Ada"}\n', 1),
        ('```json\n{"name": "Ada"}\n```', 1),
        ('```\n{"name": "Ada"}\n```', 1),
        ('Here it is: {"name": "Ada"}', 0),
        ('{"name": "ada"}', 0),
        ('{"age": 36}', 0),
        ('{"name": "Ada", "age": -1}', 0),
        ('{"name": "Ada", "age": 1.5}', 0),
        ('{"name": "Ada", "age": 2.0}', 1),
        ('{"name": "Ada", "age": true}', 0),
        ('{"name": "Ada", "born": 1815}', 0),
        ('{"name": "Ada"', 0),
        ('["Ada"]', 0),
        ("", 0),
        ("[" * 5000, 0),
    ],
)
def test_json_schema_takes_json_of_the_form_and_nothing_else(text: str, score: float) -> None:
    assert grade("json_schema", text, schema=PERSON) == score


def test_a_schema_that_is_not_understood_is_a_bad_row() -> None:
    with pytest.raises(BadRow, match="column schema: if: not supported; expected some of type, enum"):
        grade("json_schema", "1", schema={"if": {}})


def test_a_bad_row_is_a_trace_error() -> None:
    assert issubclass(BadRow, TraceError)
