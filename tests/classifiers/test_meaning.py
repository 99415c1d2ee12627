"""How alike answers in words are."""

from __future__ import annotations

import numpy as np
import pytest

from penstock.classifiers.encoders import create_encoder
from penstock.classifiers.meaning import LIKENESS, UNLIKE_ALL, InWords, Meaning, likeness, log_odds_of_pairs, read_words

QUESTION = "Why did the bridge over the river close in 2019?"


def said(text: str, question: str = QUESTION) -> InWords:
    """Returns what an answer says in words."""
    (words,) = read_words(question, [text], create_encoder("static"))
    assert words is not None
    return words


RUST = said("Its steel cables had rusted through, so 3 of them had to be replaced.")
ALSO_RUST = said("The cables of steel were corroded; engineers found rust and replaced 3.")
FLOOD = said("A flood in spring washed away 2 pillars on the northern bank.")


def test_answers_that_say_the_same_are_liker_in_every_way_than_those_that_do_not() -> None:
    same, different = likeness(RUST, ALSO_RUST), likeness(RUST, FLOOD)
    assert (same > different).all()


def test_likeness_has_no_first_and_second() -> None:
    assert likeness(RUST, FLOOD) == pytest.approx(likeness(FLOOD, RUST))


def test_what_the_question_says_already_makes_no_answers_alike() -> None:
    one, other = said("The bridge over the river closed in 2019, rusty."), said("The bridge over the river: flooded.")
    assert one.words == {"closed", "rusty"}
    assert not one.figures
    alike = likeness(one, other)
    whole = float(
        np.dot(*create_encoder("static").encode(["bridge over the river rusty", "bridge over river flooded"]))
    )
    assert alike[LIKENESS.index("cosine")] < whole


@pytest.mark.parametrize("text", ["", " \n "])
def test_an_answer_without_words_is_not_compared(text: str) -> None:
    assert read_words(QUESTION, [text, "It rusted."], create_encoder("static"))[0] is None


@pytest.mark.parametrize("text", ["?", "\ud800 half a pair", "0" * 50_000, "word " * 20_000, "\u200b\u0000"])
def test_whatever_an_answer_holds_likeness_is_a_number(text: str) -> None:
    assert np.isfinite(likeness(said(text), RUST)).all()
    assert np.isfinite(likeness(said(text, question=""), UNLIKE_ALL)).all()


def test_the_log_odds_of_pairs_are_symmetric_and_bounded() -> None:
    meaning = Meaning(
        mean=np.zeros(5), scale=np.ones(5), weights=np.full(5, 100.0), intercept=0.0, power=0.5, collision=np.zeros(2)
    )
    odds = log_odds_of_pairs(meaning, [RUST, ALSO_RUST, FLOOD, UNLIKE_ALL])
    assert odds == pytest.approx(odds.T)
    assert np.abs(odds).max() <= 4.0
