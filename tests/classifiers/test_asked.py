"""The sum that a question states."""

from __future__ import annotations

import math

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.asked import AskedSumVerifier, asked_value


def told(question: str, answer: str) -> float:
    return AskedSumVerifier().read(Query.from_text(question), Completion(text=answer))[0]


@pytest.mark.parametrize(
    ("question", "value"),
    [
        ("What is 17 * 23?", 391),
        ("What does (2 + 3) * (10 - 4) equal?", 30),
        ("Question 5. 1,250 + 48 = ?", 1298),
        ("I am 40. Compute 32 + 10 * 9.", 122),
        ("What is $12 \\times 12$?", 144),
        ("How much is forty-two minus seven?", 35),
        ("Subtract 12 from 90.", 78),
        ("Take 12 away from 90.", 78),
        ("Add 7 to 76, please.", 83),
        ("Find the product of 185 and 2.", 370),
        ("Divide 9 by 4.", 2.25),
        ("What is 84 divided by 2?", 42),
        ("What is the difference between 5 and 8?", 3),
    ],
)
def test_a_sum_is_found_in_signs_and_in_words(question: str, value: float) -> None:
    assert asked_value(question) == value


@pytest.mark.parametrize(
    "question",
    [
        "Read pages 10-15 before 2024-05-06.",
        "Is it open 24/7?",
        "Solve x + 3 = 7.",
        "If f(x) = 2x + 1, what is f(2) + 1?",
        "What is 2^3 + 1?",
        "Is 3 + 4 less than 2 * 5?",
        "Eight boxes of nine pens arrive, three times as many as before.",
        "What is 25% of 80 + 20%?",
        "Notice that 31 * 37 = 1147. Which n gives 31n?",
        "What is 1.2.3 + 4?",
        "What is 2 ** 3 + 1?",
        "What is 10 - 2 ** 3?",
        "What is 8 / 4 ^ 2?",
        "What is 2 ^ 3 + 1?",
        "What is 10 + 20 % 7?",
        "What is 0x10 + 1?",
        "What is 3 / 0?",
        "How do I write a loop?",
        "What is 3 + 4? " + "It matters a lot to me. " * 40,
    ],
)
def test_what_only_looks_like_one_sum_is_let_be(question: str) -> None:
    assert asked_value(question) is None


@pytest.mark.parametrize(
    ("question", "value"),
    [("What is 2 + 3 x 4?", 14), ("What is 3 x 4 + 2?", 14), ("What is 6x7 - 2?", 40), ("What is 12 - 3 x 2?", 6)],
)
def test_an_x_between_numbers_multiplies(question: str, value: float) -> None:
    assert asked_value(question) == value


def test_tells_whether_the_answer_is_the_value() -> None:
    assert told("What is 17 * 23?", "Let me see: 17 * 20 = 340, and 51 more.\nThe answer is 391.") == 1
    assert told("What is 17 * 23?", "The answer is 381.") == 0


def test_a_value_that_is_not_whole_may_be_rounded() -> None:
    assert told("What is 10 / 3?", "3.33") == 1
    assert told("What is 10 / 3?", "3.5") == 0


def test_says_nothing_without_a_sum_or_without_a_number() -> None:
    assert math.isnan(told("Who wrote Faust?", "1808"))
    assert math.isnan(told("What is 17 * 23?", "I would rather not say."))
