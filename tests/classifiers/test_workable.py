"""Questions whose right answer can be worked out, and whether an answer gives it."""

from __future__ import annotations

import math
import random

import pytest

from penstock.backends import Completion, Query
from penstock.classifiers.signals.asked import AskedVerifier
from penstock.classifiers.workable import SOLVERS, right_answer
from penstock.classifiers.workable.right import Choice, Listing, Value
from penstock.training.embedded.questions import TASKS, make_example


def told(question: str, answer: str) -> float:
    return AskedVerifier().read(Query.from_text(question), Completion(text=answer))[0]


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
        ("What is 2 + 3 x 4?", 14),
        ("What is 3 x 4 + 2?", 14),
        ("What is 6x7 - 2?", 40),
        ("What is 12 - 3 x 2?", 6),
        ("Begin with 12. Double-check it. Then add 3. What is it?", None),
        ("Start with seven, multiply by 3 and subtract 5. What do you get?", 16),
        ("Begin at 10; increase it by 2.5, then divide the result by 5. Where do you end?", 2.5),
        ("Start from the number 4. Add 6 to it. Take it 3 times. Which number is it?", 30),
        ("How many r's are there in strawberry?", 3),
        ("How many Rs are in the word 'Raspberry'?", 3),
        ("Count the number of letter e in the word Tennessee.", 4),
        ("In mississippi, how many letters are s?", 4),
        ("How many times does the letter I appear in MISSISSIPPI?", 4),
        ('How often does "o" occur in "bookkeeper"?', 2),
        ("How many p does the word apple contain?", 2),
        ("What is the greatest common divisor of 48 and 36?", 12),
        ("Find the GCF of 12, 18 and 30.", 6),
        ("What is the largest number that divides both fifteen and twenty?", 5),
        ("lcm(4, 6, 10) = ?", 60),
        ("What is the lowest common multiple of 8 and 12?", 24),
    ],
)
def test_a_number_is_worked_out(question: str, value: float | None) -> None:
    assert right_answer(question) == (None if value is None else Value(number=value))


@pytest.mark.parametrize(
    ("question", "numbers"),
    [
        ("Sort 5, 3.5, -2 and 8.", (-2, 3.5, 5, 8)),
        ("I am 40. Put these in descending order: 12, 45, 7.", (45, 12, 7)),
        ("List 9; 4; 6 from highest to lowest, please.", (9, 6, 4)),
        ("Arrange the numbers 10 and 2, smallest first.", (2, 10)),
        ("Which order do 7, 1, 5 have, starting with the largest?", (7, 5, 1)),
    ],
)
def test_numbers_are_put_in_order(question: str, numbers: tuple[float, ...]) -> None:
    assert right_answer(question) == Listing(numbers=numbers)


@pytest.mark.parametrize(
    ("question", "right"),
    [
        ("Which is larger, 9.11 or 9.9?", "9.9"),
        ("Of 12.5 and 12.45, what is the smaller number?", "12.45"),
        ("Tell me the greatest: 3 or -7.", "3"),
        ("What day of the week is it 100 days after Friday?", "sunday"),
        ("Today is Monday. Which day was it 10 days ago?", "friday"),
        ("It is Sunday. What weekday will it be in twenty days?", "saturday"),
    ],
)
def test_one_of_several_is_found(question: str, right: str) -> None:
    found = right_answer(question)
    assert isinstance(found, Choice)
    assert found.right == right


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
        "Write a function that returns 3 + 4.",
        "What is 3 + 4, and gcd(12, 18)?",
        "I would like to order 3, 5 and 7 of them.",
        "Sort 1,250, 300 and 47.",
        "Sort 5, 3, 8 and then 7, 1, 2.",
        "Sort 4, 9, 2 by their absolute value.",
        "What is the median of 9, 4 and 6 once they are sorted?",
        "How many apples are in the basket?",
        "How many e are in the whole sentence?",
        "How many A's did she get in school and at home?",
        "What do 12 and 18 have in common?",
        "Find the greatest common divisor of 2.5 and 5.",
        "Which is larger, 3 or 2 + 4?",
        "Which is larger, 1/2 or 2/3?",
        "Which is larger, 3 kg or 2 pounds?",
        "Which is larger, 1,250 or 1,300?",
        "How much larger is 9 or 4?",
        "Which is larger, 7 or 7.0?",
        "Which day is it 3 working days after Monday?",
        "Which of Monday and Friday is 3 days later?",
        "Start with 5, add 10%. What do you get?",
        "Start with 5, add 3, square it. What do you get?",
        "Start with 5, divide by 0. What do you get?",
        "How many r's are in strawberry, and how many in raspberry?",
        "Count the number of i in mississippi, then multiply it by 2.",
        "How many e's are in the alphabet?",
        "Which is larger, 3 or 5 squared?",
        "Which is not larger, 3 or 5?",
        "Which is larger in absolute value, -3 or 2?",
        "Which version is higher, 9.9 or 9.11?",
        "What is the largest prime between 10 and 20?",
        "What is the least number of moves for 3 and 5 litre jugs?",
        "What is 13 * 4 mod 5?",
        "What is the remainder of 17 / 5?",
        "What is the square root of 16 + 9?",
        "What is the last digit of 7 * 8?",
        "What is 3 more than 4 * 5?",
        "What is 100 minus 10 percent?",
        "What is negative 5 plus 3?",
        "What is one hundred and twenty plus 5?",
        "What is 3 and 1/2 plus 2?",
        "What is 10:30 + 2?",
        "If x = 3 + 4, what is x * 2?",
        "Is 2 + 2 equal to 5?",
        "Do not compute 3 + 4.",
        "What is the sum of 3 and 4 times 2?",
        "Multiply the sum of 3 and 4 by 2.",
        "Add 3 and 4 and 5.",
        "Add 3 to the product of 4 and 5.",
        "Sort 5, 3, 8 by distance to 4.",
        "In what order did 3, 4 and 5 finish?",
        "In order to reach 3 and 5, what do I need?",
        "Sort 9, 2, 7 in non-increasing order.",
        "Sort the numbers 9, 2, 7 with the biggest on top.",
        "Arrange 3, 5, 7 to form the largest number.",
        "What is twice the gcd of 12 and 18?",
        "What is the lcm of 4 and 6, minus 2?",
        "What is the gcd of 12, 18 plus 1?",
        "Start with 5, add 3. What is its square?",
        "3 days ago was Monday. What day is it today?",
        "It was Monday 3 days ago. What day is it today?",
        "10 days from now will be Friday. What day is today?",
        "If in 3 days it is Monday, what day is it now?",
        "What day is 3 days before the day after Monday?",
        "Monday is 5 days before the party. What day is the party?",
        "What day is it 1,000 days after Monday?",
        "What day is it 1.5 days after Monday?",
    ],
)
def test_what_is_not_plain_is_let_be(question: str) -> None:
    assert right_answer(question) is None


@pytest.mark.parametrize(
    ("question", "answer", "is_right"),
    [
        ("What is 17 * 23?", "Let me see: 17 * 20 = 340, and 51 more.\nThe answer is 391.", 1),
        ("What is 17 * 23?", "The answer is 381.", 0),
        ("What is 17 * 23?", "I would rather not say.", math.nan),
        ("What is 10 / 3?", "3.33", 1),
        ("What is 10 / 3?", "3.5", 0),
        ("Sort 5, 3, 8, 1, 9, 4.", "1, 3, 4, 5, 8, 9", 1),
        ("Sort 5, 3, 8.", "From 5, 3, 8 one gets [3, 5, 8].", 1),
        ("Sort 5, 3, 8.", "3, 8, 5", 0),
        ("Sort 5, 3, 8.", "3, 5", 0),
        ("Sort 5, 3, 8.", "**3, 5, 8**", 1),
        ("Sort 5, 3, 8.", "The order is $3, 5, 8$.", 1),
        ("Sort 5, 3, 8.", "3, 5, 8, since 5 and 3 are below 8.", 1),
        ("Sort 5, -3, 8.", "\u22123, 5, 8", 1),
        ("Which is larger, 3 or -3?", "\u22123", 0),
        ("Sort 5, 3, 8.", "That is easy.", math.nan),
        ("Which is larger, 9.11 or 9.9?", "It is 9.9.", 1),
        ("Which is larger, 9.11 or 9.9?", "9.11", 0),
        ("Which is larger, 9.11 or 9.9?", "9.11 is larger than 9.9.", math.nan),
        ("What day is 8 days after Monday?", "Tuesday!", 1),
        ("What day is 8 days after Monday?", "It is a Wednesday.", 0),
        ("What day is 8 days after Monday?", "Counting from Monday, it is Tuesday.", math.nan),
        ("Who wrote Faust?", "1808", math.nan),
    ],
)
def test_an_answer_is_held_against_what_is_right(question: str, answer: str, is_right: float) -> None:
    assert told(question, answer) == pytest.approx(is_right, nan_ok=True)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_what_is_worked_out_is_the_right_answer_of_generated_questions(task: str) -> None:
    rng = random.Random(task)
    drawn = [make_example(rng, task=task, level=rng.randint(1, 6)) for _ in range(60)]
    assert all(told(each.question, each.answer) != 0 for each in drawn)


def test_every_solver_answers_some_question() -> None:
    questions = (
        "what is 3 + 4?",
        "start with 3, add 4. what is it?",
        "sort 3, 2, 1.",
        "how many e's are in tree?",
        "gcd(4, 6)",
        "which is larger, 3 or 4?",
        "what day is 2 days after monday?",
    )
    for solve, question in zip(SOLVERS, questions, strict=True):
        assert solve(question) is not None
