"""Frames: what is left of a query when its names and numbers are places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.classifiers.encoders.static import load_static
from penstock.classifiers.frame import common_words, load_frame_reader
from penstock.classifiers.sparse import IntArray
from penstock.classifiers.terms import query_keys, term_keys

COMMON = "is parent ' s . ? who what how many of has and the"


def tokens_of(text: str) -> IntArray:
    return load_static().tokenize(text)


def frame_of(text: str) -> list[int]:
    reader = load_frame_reader()
    known = np.unique(reader.words(tokens_of(COMMON)))
    tokens = tokens_of(text)
    return [key for key in query_keys(tokens, *reader.read(tokens, known)).tolist() if key >> 63]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann is bob's parent. who is bob?", "carl is dora's parent. who is dora?"),
        ("ann is bob's parent. who is bob?", "kowalczyk is xiaoming's parent. who is xiaoming?"),
        ("who is ann and what is bob of ann?", "who is carl and what is dora of carl?"),
        ("ann has 12 and bob has 3. how many has ann?", "eve has 57 and max has 8. how many has eve?"),
        ("ann is bob's parent.", "bob is ann's parent."),
    ],
    ids=["names", "names in pieces", "in the order of the question", "numbers of as many digits", "none asked about"],
)
def test_queries_that_differ_in_names_and_numbers_alone_have_one_frame(one: str, other: str) -> None:
    assert frame_of(one) == frame_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ann is bob's parent. who is bob?", "bob is ann's parent. who is bob?"),
        ("who is ann and what is bob of ann?", "who is ann and what is bob of bob?"),
        ("ann has 12. how many has ann?", "ann has 120. how many has ann?"),
        ("who is ann?", "what is ann?"),
        ("who is ann?", "who is the?"),
    ],
    ids=["who is asked about", "which is asked about again", "more digits", "another word", "a word that is no name"],
)
def test_queries_that_differ_in_more_have_frames_of_their_own(one: str, other: str) -> None:
    assert set(frame_of(one)) != set(frame_of(other))


def test_a_whole_sentence_is_a_term_wherever_it_stands() -> None:
    alone = "ann is bob's parent."
    shared = set(frame_of(f"the parent has 12. {alone} who is eve?")) & set(frame_of(f"{alone} what of max?"))
    other = set(frame_of("the parent has 12. parent ann is bob's. who is eve?")) & set(
        frame_of(f"{alone} what of max?")
    )
    assert frame_of(alone)[-1] in shared
    assert frame_of(alone)[-1] not in other


def test_names_are_the_words_that_few_queries_have() -> None:
    reader = load_frame_reader()
    names = (
        "ann",
        "bob",
        "carl",
        "dora",
        "eve",
        "frank",
        "gina",
        "hugo",
        "ida",
        "john",
        "karl",
        "lena",
        "max",
        "nora",
        "otto",
    )
    queries = [reader.words(tokens_of(f"{name} is here")) for name in names]
    assert common_words(queries).tolist() == np.unique(reader.words(tokens_of("is here"))).tolist()


def test_a_word_is_known_by_all_of_its_pieces() -> None:
    reader = load_frame_reader()
    tokens = tokens_of("kowalczyk kowalczyks")
    assert len(tokens) > 2
    assert len(set(reader.words(tokens).tolist())) == 2


@given(st.lists(st.integers(0, 30_521), max_size=40))
def test_any_tokens_have_a_frame(tokens: list[int]) -> None:
    reader = load_frame_reader()
    given_tokens = np.array(tokens, dtype=np.int64)
    words = reader.words(given_tokens)
    frame, sentences = reader.read(given_tokens, np.unique(words))
    assert len(frame) == len(words) <= len(tokens)
    assert set(sentences.tolist()) <= set(range(len(words)))


@given(st.lists(st.integers(0, 30_521), min_size=1, max_size=12), st.lists(st.integers(1, 2**64 - 2), min_size=1))
def test_the_terms_of_tokens_and_frame_are_those_of_each_alone(tokens: list[int], frame: list[int]) -> None:
    given_tokens, given_frame = np.array(tokens, dtype=np.int64), np.array(frame, dtype=np.uint64)
    begin = np.array([0])
    keys = query_keys(given_tokens, given_frame, begin).tolist()
    assert sorted(key for key in keys if not key >> 63) == sorted(term_keys(given_tokens).tolist())
    framed = sorted(key for key in keys if key >> 63)
    assert framed == sorted(key for key in query_keys(np.array([7]), given_frame, begin).tolist() if key >> 63)
    assert len(framed) == 3 * len(frame) - 3 + 1 + (len(frame) == 1)
