"""The verifier of units, and what an answer says of its own certainty."""

from __future__ import annotations

import math

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.stated import stated_probability
from penstock.classifiers.signals.units import UnitVerifier, check_conversions


def read(question: str, answer: str) -> tuple[float, ...]:
    return UnitVerifier().read(Query.from_text(question), Completion(text=answer))


FILM = "A film lasts 2 hours. How many minutes is that?"


@pytest.mark.parametrize(
    ("question", "answer", "is_unit", "is_dimension"),
    [
        (FILM, "It lasts 120 minutes.", 1, 1),
        (FILM, "It lasts 2 hours.", 0, 1),
        (FILM, "It costs 120 dollars.", 0, 0),
        ("How far is it in kilometers?", "The answer is 1,200 km.", 1, 1),
        ("How far is it in kilometers?", "The answer is 1,200 m.", 0, 1),
        ("How much money did Ann make?", "She made $12.", 1, 1),
        ("How much does she pay in dollars?", "#### 50 cents", 0, 1),
        ("What is the angle in degrees?", "It is 45°", 1, 1),
        ("What does it cost in euros?", "It costs €5.", 1, 1),
        ("What does it cost in euros?", "It costs 5 €", 1, 1),
        ("What does it cost in euros?", "It costs $5.", 0, 0),
        ("How warm is it in degrees Celsius?", "It is 20 °C.", 1, 1),
        ("How warm is it in Celsius?", "It is 68 degrees Fahrenheit.", 0, 1),
        ("How warm is it in Celsius?", "It is 68°F", 0, 1),
        ("How much memory is that in GB?", "It is 8 MB.", 0, 1),
        ("What is that in kilojoules?", "It is 12 kJ.", 1, 1),
        ("What is the pressure in kPa?", "It is 101 kPa.", 1, 1),
    ],
)
def test_the_unit_of_the_answer_is_held_against_the_one_asked_for(
    question: str, answer: str, is_unit: float, is_dimension: float
) -> None:
    assert read(question, answer)[:2] == (is_unit, is_dimension)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (FILM, "#### 120"),
        (FILM, "I cannot say."),
        ("How many apples are left?", "There are 3 minutes."),
        ("It takes 3 minutes. How many apples are left?", "3 hours"),
    ],
)
def test_where_no_unit_is_asked_for_or_given_nothing_is_said(question: str, answer: str) -> None:
    assert all(map(math.isnan, read(question, answer)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 hours = 120 minutes and 3 feet is 30 inches", [True, False]),
        ("5 miles are 8 km", [True]),
        ("1,500 g = 1.5 kg", [True]),
        ("1 year is 12 months", []),
        ("1 MB = 1024 KB, 100 Celsius = 212 Fahrenheit", []),
        ("2 hours = 60 miles", []),
        ("3 * 2 hours = 360 minutes", []),
        ("2 minutes = 2 minutes", []),
    ],
)
def test_conversions_are_worked_out_again(text: str, expected: list[bool]) -> None:
    assert check_conversions(text) == expected


def test_the_share_of_wrong_conversions_is_told() -> None:
    assert read("Why?", "2 hours = 120 minutes, 1 km = 100 m")[2] == 0.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm 80 % sure that it is 7.", 0.8),
        ("Confidence: 9/10", 0.9),
        ("confidence level is 95%", 0.95),
        ("Probability: 0.7", 0.7),
        ("I am not entirely sure.", 0.3),
        ("I am absolutely certain.", 0.95),
        ("I am fairly confident.", 0.7),
        ("I am confident it is 7.", 0.8),
        ("First I was 30% sure, now I am 90% sure.", 0.9),
        ("300% sure", 1.0),
    ],
)
def test_what_an_answer_claims_for_itself_is_read(text: str, expected: float) -> None:
    assert stated_probability(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text",
    [
        "It is 7.",
        "The discount is 80%.",
        "Confidence: 42",
        "The probability of rain: 2",
        "Make sure to close it. A certain man did not.",
    ],
)
def test_an_answer_that_claims_nothing_says_nothing(text: str) -> None:
    assert math.isnan(stated_probability(text))


@pytest.mark.parametrize("text", ["1 cup = 240 ml", "1 oz is 28 g", "An inch: 1 inch = 2.5 cm", "1 teaspoon = 5 ml"])
def test_conversions_may_be_rounded_as_people_round_them(text: str) -> None:
    assert check_conversions(text) == [True]


@pytest.mark.parametrize(
    "text",
    [
        "Half of 2 hours is 60 minutes, and a third of 12 hours = 240 minutes.",
        "1 week = 5 days of work, and 1 day = 8 hours of it",
        "40 hours is 2 days less.",
    ],
)
def test_what_only_looks_like_a_conversion_is_none(text: str) -> None:
    assert check_conversions(text) == []
