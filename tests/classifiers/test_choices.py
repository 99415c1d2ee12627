"""Which choices a question offers, and on which one an answer settles."""

from __future__ import annotations

import pytest

from penstock.backends import Completion
from penstock.classifiers.choices import offered_choices, picked_letter, settled_answer
from penstock.classifiers.final_answer import FinalAnswer

from .hostile import HOSTILE


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("The answer is (B).", "B"),
        ("Answer: B", "B"),
        ("answer: b", "B"),
        ("**Answer: (B)**", "B"),
        ("**Answer**: B", "B"),
        ("B", "B"),
        ("b.", "B"),
        ("(b)", "B"),
        ("**B**", "B"),
        ("B) Paris", "B"),
        ("B. Paris is the capital, not A.", "B"),
        ("The final answer is $\\boxed{B}$.", "B"),
        ("\\boxed{\\text{(C)}}", "C"),
        ("The correct option is D", "D"),
        ("Correct answer: **C. Lyon**", "C"),
        ("I choose C", "C"),
        ("So C is correct.", "C"),
        ("The best answer is clearly D.", "D"),
        ("The answer must be b.", "B"),
        ("Answer:\n\nB", "B"),
        ("Let us see.\n\nD", "D"),
        ("At first the answer is A... no, the answer is C", "C"),
        ("A is wrong. So the answer is B, not A.", "B"),
        ("Neither (A) nor (D) but (C)", "C"),
        ("The correct answer is **B**.\n\n- Option A is too small.\n- Option C is wrong.\n- Option D is, too.", "B"),
        ("Correct option: A\n\nExplanation: Option B distracts.", "A"),
        ("The best choice is C. While option D might seem tempting, it is not.", "C"),
        ("The right answer would be option B, not option A.", "B"),
        ("Option A is incorrect. Option B is also wrong. Therefore D.", "D"),
        ("A is incorrect. B is incorrect. So it's D.", "D"),
        ("Option A is incorrect because of its size.", None),
        ("Therefore A river flows", None),
        ("A river flows", None),
        ("The answer is a river", None),
        ("The answer is not B", None),
        ("I do not know", None),
        ("Because", None),
        ("", None),
    ],
)
def test_the_letter_that_an_answer_settles_on_is_found(text: str, letter: str | None) -> None:
    assert picked_letter(text) == letter


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("New York", "A"),
        ("It is York!", "B"),
        ("paris.", "C"),
        ("The answer is Paris", "C"),
        ("Paris or York", None),
        ("The answer is Paris, since York is none.", "C"),
        ("Paris is larger, but the answer: New York, not York.", "A"),
        ("The answer is not Paris but York", None),
        ("Parisian", None),
        ("The answer is C, not New York", "C"),
        ("The answer is D", None),
    ],
)
def test_the_text_of_a_choice_counts_where_no_letter_is_named(text: str, letter: str | None) -> None:
    assert picked_letter(text, ["New York", "York", "Paris"]) == letter


@pytest.mark.parametrize(
    "question",
    [
        "Which is a capital?\nA. New York\nB. York\nC. Paris",
        "Which is a capital?\n\nA) New York\nB) York\nC) Paris\n\nAnswer with the letter only.",
        "Which is a capital? (A) New York (B) York (C) Paris",
        "Which is a capital? (a) New York (b) York (c) Paris",
        "Choose the capital.\na) New York\nb) York\nc) Paris",
        "Which is a capital?\n- **A.** New York\n- **B.** York\n- **C.** Paris",
        "Which is a capital?\nOption A: New York\nOption B: York\nOption C: Paris",
        "Which is a capital? A. New York B. York C. Paris",
        "Which is a capital?\n[A] New York\n[B] York\n[C] Paris",
        "A fruit?\nA. stone\nB. apple\nAnswer: B\n\nWhich is a capital?\nA. New York\nB. York\nC. Paris\nAnswer:",
    ],
)
def test_the_choices_offered_last_are_read(question: str) -> None:
    assert offered_choices(question) == ("New York", "York", "Paris")


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Is it A. or C. ?",
        "Find (a) the mean and (b) the mode of 3, 4, 4.",
        "a) add 3 and 4\nb) take 2 away",
        "A. only",
        "Store A: 5 dollars a kilo. Store B: 4 dollars a kilo. What do 3 kilos cost at store B?",
        "Team A: 5 players.\nTeam B: 6 players.\nHow many players are there?",
    ],
)
def test_what_offers_no_choices_has_none(question: str) -> None:
    assert offered_choices(question) == ()


CAPITAL = "Which is a capital?\nA. New York\nB. York\nC. Paris\nD. None of these"


@pytest.mark.parametrize(
    "text",
    [
        "C",
        "**C. Paris**",
        "The correct option is C.",
        "Let us see. York is a city.\n\nThe correct answer is:\n\n**C. Paris**",
        "Neither A nor B is one. So C is correct.",
        "Paris",
        "It is Paris, on the Seine.",
        "\\boxed{\\text{C}}",
    ],
)
def test_answers_that_settle_on_the_same_choice_are_the_same(text: str) -> None:
    assert settled_answer(CAPITAL, Completion(text=text)) == FinalAnswer(kind="choice", value="c")


def test_choices_may_end_in_the_same_word_as_the_question() -> None:
    assert len(offered_choices("The best-known\ntower\nA. old tower\nB. new tower\nC. no tower")) == 3


def test_where_no_choice_is_settled_on_the_final_answer_stays() -> None:
    assert settled_answer(CAPITAL, Completion(text="42")) == FinalAnswer(kind="number", value="42")
    assert settled_answer("What is 6 * 7?", Completion(text="It is 42.")) == FinalAnswer(kind="number", value="42")
    call = {"id": "1", "type": "function", "function": {"name": "pick", "arguments": "{}"}}
    called = settled_answer(CAPITAL, Completion(text="C", tool_calls=(call,)))
    assert called is not None
    assert called.kind == "calls"


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_hostile_questions_are_read_to_the_end(name: str) -> None:
    assert offered_choices(HOSTILE[name]) == ()
    assert len(offered_choices(CAPITAL + HOSTILE[name][:10_000])) in (0, 4)
