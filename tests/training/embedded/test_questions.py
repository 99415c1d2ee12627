"""Questions: their answers are right, their steps lead there, and the wording does not give the level away."""

from __future__ import annotations

import random
import re
from math import gcd, prod

import pytest

from penstock.training.embedded.example import LEVELS, Example, in_words
from penstock.training.embedded.questions import TASKS, make_example

_WORDS = {in_words(number): str(number) for number in range(99, -1, -1)}


def examples(task: str, n: int = 60) -> list[Example]:
    rng = random.Random(f"test {task}")
    return [TASKS[task](rng, level) for level in LEVELS for _ in range(n)]


def numbers(text: str) -> list[int]:
    """Returns the numbers of a question, in digits or in words."""
    pattern = r"\d+|\b(?:" + "|".join(sorted(_WORDS, key=len, reverse=True)) + r")\b"
    return [int(found) if found.isdigit() else int(_WORDS[found]) for found in re.findall(pattern, text.lower())]


@pytest.mark.parametrize(
    ("task", "compute"),
    [
        ("add", sum),
        ("subtract", lambda pair: max(pair) - min(pair)),
        ("multiply", prod),
        ("gcd", lambda pair: gcd(*pair)),
    ],
)
def test_answer_is_what_the_numbers_give(task: str, compute: object) -> None:
    assert callable(compute)
    for example in examples(task):
        assert example.answer == str(compute(numbers(example.question))), example.question


def test_sorted_list_is_that_of_the_question() -> None:
    for example in examples("sort"):
        assert example.answer == ", ".join(map(str, sorted(numbers(example.question))))


def test_larger_or_smaller_decimal_is_the_answer() -> None:
    for example in examples("compare"):
        pair = re.findall(r"\d+\.\d+", example.question)
        wants_smaller = "smaller" in example.question or "lower" in example.question
        assert example.answer == (min if wants_smaller else max)(pair, key=float), example.question


def test_letters_are_counted_and_spelled() -> None:
    for example in examples("count"):
        letter = next(
            word for word in re.findall(r"\b[A-Z]\b", example.question) if word != "I" or "I" in example.question
        )
        word = max(re.findall(r"[A-Z]+", example.question), key=len)
        assert example.answer == str(word.count(letter)), example.question
        assert len(example.steps) == len(word)
        assert [sign for sign in example.steps if sign.isalpha()] == [sign for sign in word if sign != letter]


def test_symbols_mean_what_python_thinks() -> None:
    checked = 0
    for example in examples("expression"):
        found = re.search(r"[\d(][\d+\-*() ]+[\d)]", example.question)
        if found and example.level == found.group().count("+") + found.group().count("-") + found.group().count("*"):
            assert example.answer == str(eval(found.group())), example.question
            checked += 1
    assert checked > 100


def test_days_are_counted_on() -> None:
    days = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    for example in examples("weekday"):
        start = next(day for day in days if day in example.question.lower())
        (n,) = numbers(example.question)
        assert example.answer.lower() == days[(days.index(start) + n) % 7], example.question


@pytest.mark.parametrize(
    "task", [task for task in TASKS if task not in ("add", "subtract", "sort", "count", "compare")]
)
def test_steps_end_in_the_answer(task: str) -> None:
    for example in examples(task):
        if example.steps:
            assert re.split(r"[=;>:,]", example.steps)[-1] == example.answer


@pytest.mark.parametrize("task", ["multiply", "expression", "story"])
def test_every_step_is_true(task: str) -> None:
    for example in examples(task):
        for step in example.steps.split(";"):
            left, right = step.split("=")
            assert eval(left) == int(right), step


def test_same_seed_makes_the_same_questions() -> None:
    first, second = (
        [make_example(random.Random(7), task=task, level=level) for task in TASKS for level in LEVELS] for _ in range(2)
    )
    assert first == second


def test_words_around_a_question_come_at_every_level() -> None:
    rng = random.Random(0)
    for level in LEVELS:
        texts = [make_example(rng, task="add", level=level).question for _ in range(200)]
        assert any(text.startswith("This is a hard one.") for text in texts)
        assert any(text.startswith("An easy question:") for text in texts)


def test_some_long_sums_are_easy() -> None:
    rng = random.Random(0)
    hard = [TASKS["add"](rng, 6).question for _ in range(300)]
    assert any(0 in numbers(text) or 1 in numbers(text) for text in hard)
