from __future__ import annotations

import random

import numpy as np
import pytest

from penstock.classifiers import Featurizer
from penstock.classifiers.canonical import canonical
from penstock.training.attacks import ATTACKS

TEXTS = [
    "Tom has 5 apples and buys 3 more on Monday.\nHow many apples does he have?",
    "Which of these is a prime number?\n(A) 4\n(B) 7\n(C) 9",
    "def f(x):\n    return x + 1\n\nWhat does f(2) give?",
]


@pytest.mark.parametrize("attack", ["white space", "zero width", "look-alikes", "small letters", "capitals"])
def test_what_only_looks_different_reads_the_same(attack: str) -> None:
    for text in TEXTS:
        assert canonical(ATTACKS[attack](text, random.Random(0))) == canonical(text)


def test_it_is_its_own_canonical_form() -> None:
    for text in (*TEXTS, "ＦＵＬＬ　ｗｉｄｔｈ", "", "Привет, как дела?"):
        assert canonical(canonical(text)) == canonical(text)


def test_marks_without_end_are_put_in_order_piece_by_piece() -> None:
    marks = canonical("a" + "\u0300\u0316" * 200_000)  # all at once, that takes minutes
    assert len(marks) == 400_000


def test_a_long_text_reads_as_its_sentences_do() -> None:
    sentence = "Re\u0301sume\u0301s of \uff21\u200b\uff22, p\u0430ge by page: \u1112\u1161\u11ab\u1100\u1173\u11af. "
    assert canonical(sentence * 100) == " ".join([canonical(sentence)] * 100)


@pytest.mark.parametrize("text", ["что такое простое число?", "τί ἐστιν ἀλήθεια;", "素数とは何ですか?", "x² + αx = β"])
def test_other_alphabets_are_left_in_their_letters(text: str) -> None:
    assert not canonical(text).isascii()


def test_a_query_has_the_features_of_its_canonical_form_one_by_one_and_together() -> None:
    featurizer, _ = Featurizer().fit_transform([*TEXTS, "What is 17 * 23?", "Name a river.", "Write a poem."])
    for text in TEXTS:
        typed = ATTACKS["white space"](text.upper(), random.Random(1))
        one, other = featurizer.transform_one(text), featurizer.transform_one(typed)
        np.testing.assert_array_equal(one.dense, other.dense)
        np.testing.assert_array_equal(one.columns, other.columns)
        np.testing.assert_allclose(featurizer.transform([typed]).dense[0], one.dense, atol=1e-6)
