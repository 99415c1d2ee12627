from __future__ import annotations

import math

import pytest

from penstock.backends.logprobs import Alternatives, TokenLogprob, align, alternatives_of, read_logprobs


def tokens(*texts: str) -> list[TokenLogprob]:
    return [TokenLogprob(text, text.encode(), -float(place)) for place, text in enumerate(texts)]


def aligned(answer: str, *texts: str) -> list[str] | None:
    chosen = align(tokens(*texts), answer)
    return None if chosen is None else [token.text for token in chosen]


def test_tokens_of_the_answer_alone_are_all_kept() -> None:
    assert aligned("It is 391.", "It", " is", " ", "391", ".") == ["It", " is", " ", "391", "."]


def test_reasoning_and_marks_are_left_out() -> None:
    assert aligned("39", "<think>", "39", "</think>", "\n\n", "3", "9", "<|im_end|>") == ["3", "9"]


def test_answer_that_the_reasoning_repeats_is_matched_at_the_end() -> None:
    chosen = align(tokens("391", "</think>", "391"), "391")
    assert chosen is not None
    assert [token.logprob for token in chosen] == [-2.0]


def test_first_token_may_reach_over_the_white_space_before_the_answer() -> None:
    assert aligned("39", "</think>", "\n\n3", "9") == ["\n\n3", "9"]


def test_last_token_may_reach_over_the_white_space_after_the_answer() -> None:
    assert aligned("391", "3", "9", "1\n\n\n\n", "</s>") == ["3", "9", "1\n\n\n\n"]


def test_white_space_that_opens_the_answer_keeps_its_token() -> None:
    assert aligned("\n39", "x", "\n", "39") == ["\n", "39"]


def test_character_that_spans_tokens_is_matched_by_bytes() -> None:
    raw = "é".encode()
    parts = [TokenLogprob("\\xc3", raw[:1], -1.0), TokenLogprob("\\xa9", raw[1:], -2.0)]
    assert align([*tokens("hm"), *parts], "é") == parts


def test_token_that_belongs_to_both_sides_cannot_be_aligned() -> None:
    assert aligned("39", "</think>3", "9") is None


def test_other_text_cannot_be_aligned() -> None:
    assert aligned("392", "3", "91") is None
    assert aligned("391", "1") is None


def test_empty_answer_has_no_tokens() -> None:
    assert aligned("", "<think>", "x") is None


def test_null_logprob_makes_all_of_them_none() -> None:
    entries = [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": None}]
    assert read_logprobs({"content": entries}) is None


def test_older_completion_form_is_read() -> None:
    read = read_logprobs({"tokens": ["a", "b"], "token_logprobs": [-1.0, -2.0]})
    assert read == [TokenLogprob("a", b"a", -1.0), TokenLogprob("b", b"b", -2.0)]


def test_rounding_above_zero_is_cut() -> None:
    assert read_logprobs({"content": [{"token": "a", "logprob": 1e-9}]}) == [TokenLogprob("a", b"a", 0.0)]


def listing(*logprobs: float | None) -> dict[str, object]:
    """Returns an entry with these alternatives."""
    return {"token": "a", "logprob": -1.0, "top_logprobs": [{"token": "b", "logprob": value} for value in logprobs]}


def test_alternatives_are_read_in_whatever_order_they_are_listed() -> None:
    read = read_logprobs({"content": [listing(math.log(0.25), math.log(0.5), math.log(0.125))]})
    assert read is not None
    assert read[0].alternatives == pytest.approx((1.75 * math.log(2), math.log(2)))


def test_entropy_of_the_listed_tokens_is_not_above_that_of_all() -> None:
    chances = (0.4, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05)
    read = read_logprobs({"content": [listing(*map(math.log, chances[:5]))]})
    assert read is not None
    assert read[0].alternatives is not None
    assert 1.6 < read[0].alternatives.entropy < -sum(chance * math.log(chance) for chance in chances)


@pytest.mark.parametrize("entry", [listing(), listing(-0.1), listing(-0.1, None), listing(-0.1, math.nan)])
def test_alternatives_that_are_too_few_or_no_numbers_are_none(entry: dict[str, object]) -> None:
    read = read_logprobs({"content": [entry]})
    assert read is not None
    assert read[0].alternatives is None


def test_sure_token_leaves_nothing_open() -> None:
    read = read_logprobs({"content": [listing(1e-9, -9999.0)]})
    assert read is not None
    assert read[0].alternatives == (0.0, 9999.0)


def test_alternatives_are_told_for_all_tokens_or_for_none() -> None:
    known = TokenLogprob("3", b"3", -0.1, Alternatives(0.5, 1.5))
    assert alternatives_of([known, known]) == ((0.5, 0.5), (1.5, 1.5))
    assert alternatives_of([known, TokenLogprob("9", b"9", -0.1)]) is None
    assert alternatives_of([]) is None
