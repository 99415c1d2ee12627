"""What of a conversation is judged: hard stays hard, whatever comes after it in few words."""

from __future__ import annotations

import pytest

from penstock.backends import Query
from penstock.classifiers import QueryModel, question_of
from penstock.classifiers.question import SYSTEM_SIGNS

HARD = "prove the integral theorem of the polynomial eigenvalue where the old stone house and the river meet convergent"
EASY = "name the capital colour animal fruit and the animal that people on the market day sell bread to, list a fruit"
ANSWER = "The river runs past an old stone house, where seven people grow apples and sell bread on market day. " * 20


def talk(*said: str, system: str = "") -> Query:
    """Returns a conversation in which the user speaks first and last."""
    roles = ("user", "assistant")
    head = [{"role": "system", "content": system}] if system else []
    return Query.from_messages([*head, *({"role": roles[i % 2], "content": text} for i, text in enumerate(said))])


@pytest.mark.parametrize("follow_up", ["ok, go on", "thanks, and the second?", "why?", "继续"])
def test_a_few_words_after_a_hard_question_keep_its_difficulty(model: QueryModel, follow_up: str) -> None:
    alone, easy = model.estimate(HARD), model.estimate(EASY)
    after = model.estimate(question_of(talk(HARD, ANSWER, follow_up)))
    assert alone.difficulty - easy.difficulty > 0.2
    assert after.difficulty == pytest.approx(alone.difficulty, abs=0.1 * (alone.difficulty - easy.difficulty))


def test_several_short_messages_reach_back_to_the_question(model: QueryModel) -> None:
    question = question_of(talk(HARD, ANSWER, "ok", ANSWER, "go on", ANSWER, "and then?"))
    assert question == f"{HARD}\nok\ngo on\nand then?"


def test_a_message_that_says_enough_stands_by_itself() -> None:
    assert question_of(talk(HARD, ANSWER, EASY)) == EASY
    assert question_of(talk(EASY, ANSWER, HARD)) == HARD


def test_the_system_prompt_is_judged_before_and_after_the_first_answer_alike() -> None:
    first = question_of(talk(HARD, system="Be brief."))
    assert first == f"Be brief.\n{HARD}"
    assert question_of(talk(HARD, ANSWER, "ok", system="Be brief.")) == f"{first}\nok"


def test_a_long_system_prompt_does_not_drown_the_question() -> None:
    rules = EASY + " Be brief. " * 2000
    before, after = talk(HARD, system=rules), talk(HARD, ANSWER, "ok, go on", system=rules)
    assert question_of(before) == f"{rules[:SYSTEM_SIGNS]}\n{HARD}"
    assert question_of(after) == f"{question_of(before)}\nok, go on"


def test_results_of_tools_do_not_change_what_was_asked() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    loop = [
        {"role": "user", "content": HARD},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": ANSWER},
    ]
    assert question_of(Query.from_messages(loop)) == HARD


def test_without_an_answer_every_message_counts() -> None:
    query = Query.from_messages([{"role": "user", "content": "one"}, {"role": "user", "content": "two"}])
    assert question_of(query) == query.text == "one\ntwo"


def test_a_conversation_in_which_the_user_said_nothing_is_judged_by_all_that_was_said() -> None:
    said = [{"role": "assistant", "content": "Hello!"}, {"role": "user", "content": [{"type": "image_url"}]}]
    assert question_of(Query.from_messages(said)) == "Hello!"
