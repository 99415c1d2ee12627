"""Which answers refuse."""

from __future__ import annotations

import pytest

from penstock.classifiers.refusals import is_refusal


@pytest.mark.parametrize(
    "answer",
    [
        "I'm sorry, but I can't help with that.",
        "I’m sorry, but I can’t assist with that.",
        "I cannot assist with that request.",
        "I apologize, but I cannot fulfill this request.",
        "Unfortunately, I can't provide instructions for that.",
        "I won't be able to provide that.",
        "I cannot in good conscience provide this.",
        "I must respectfully decline.",
        "I'm not able to help with this.",
        "I am unable to answer.",
        "As an AI language model, I cannot browse the web.",
        "I don't have access to real-time data.",
        "I don't know.",
        "The text says nothing of it, so I cannot answer.",
        "It is not possible to determine this from the text.",
        "There is not enough information given.",
        "Je suis désolé, mais je ne peux pas vous aider.",
        "Lo siento, no puedo ayudar con eso.",
        "Es tut mir leid, dabei kann ich nicht helfen.",
        "抱歉，我无法提供帮助。",
    ],
)
def test_refusals_are_told(answer: str) -> None:
    assert is_refusal(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "Paris is the capital. I don't know why people doubt it.",
        "The function raises an error if you cannot help it.",
        "The lid cannot be opened.",
        "Say: we must not give up.",
        "We have 3 apples, so we cannot have 4.",
        "Each takes 2 hours, so we can't do better than 5.",
        "Therefore we cannot see more than 6 faces.",
        "I can't say enough good things about it: 9 of 10.",
        "You must answer all questions.",
        "It is against the wall.",
        "x " * 400 + "I'm sorry, I cannot help with that.",
        "",
    ],
)
def test_answers_are_not(answer: str) -> None:
    assert not is_refusal(answer)
