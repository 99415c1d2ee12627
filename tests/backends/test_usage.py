from __future__ import annotations

import pytest

from penstock.backends import Completion, Query, Usage
from penstock.backends.usage import estimated_usage, unread_tokens, usage_of_anthropic, usage_of_openai


def test_cached_tokens_told_twice_count_once() -> None:
    counts = {
        "prompt_tokens": 100,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 64},
        "prompt_cache_hit_tokens": 64,
    }
    assert usage_of_openai(counts) == Usage(input_tokens=100, cached_input_tokens=64, output_tokens=5)


def test_reasoning_left_out_of_the_output_is_added_from_the_total() -> None:
    counts = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    assert usage_of_openai(counts) == Usage(input_tokens=10, output_tokens=105, reasoning_tokens=100)


@pytest.mark.parametrize("counts", [None, {}, [], "x", {"prompt_tokens": 0, "completion_tokens": None}])
def test_usage_that_says_nothing_is_none(counts: object) -> None:
    assert usage_of_openai(counts) is None


def test_nonsense_counts_as_nothing() -> None:
    counts = {"prompt_tokens": -3, "completion_tokens": 4, "prompt_tokens_details": [], "total_tokens": "many"}
    assert usage_of_openai(counts) == Usage(output_tokens=4)


def test_anthropic_input_includes_what_the_cache_gave_and_took() -> None:
    counts = {
        "input_tokens": 5,
        "cache_read_input_tokens": 1000,
        "cache_creation_input_tokens": 100,
        "output_tokens": 7,
    }
    assert usage_of_anthropic(counts) == Usage(
        input_tokens=1105, cached_input_tokens=1000, cache_write_tokens=100, output_tokens=7
    )


def test_what_anthropic_keeps_for_an_hour_is_part_of_what_it_wrote() -> None:
    counts = {
        "input_tokens": 5,
        "cache_creation_input_tokens": 100,
        "cache_creation": {"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 60},
    }
    usage = usage_of_anthropic(counts)
    assert usage is not None
    assert (usage.input_tokens, usage.cache_write_tokens, usage.cache_write_1h_tokens) == (105, 100, 60)


def test_what_openai_wrote_to_its_cache_is_part_of_the_prompt() -> None:
    details = {"cached_tokens": 70, "cache_write_tokens": 900}
    usage = usage_of_openai({"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": details})
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens) == (100, 70, 30)


def test_estimate_says_so_and_counts_reasoning_as_output() -> None:
    usage = estimated_usage(Query.from_text("a" * 40), Completion(text="b" * 40, reasoning="c" * 80))
    assert usage == Usage(input_tokens=14, output_tokens=30, reasoning_tokens=20, is_estimated=True)


def test_what_was_sent_beside_text_is_estimated_too() -> None:
    tool = {"type": "function", "function": {"name": "add", "description": "Adds two numbers. " * 20}}
    images = [
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
        {"type": "image"},
    ]
    said = [{"role": "user", "content": [{"type": "text", "text": "3 + 4?"}, *images]}]
    plain, full = Query.from_messages(said[:1]), Query.from_messages(said, params={"tools": [tool]})
    assert unread_tokens(plain) == 85 + 765
    assert unread_tokens(full) - unread_tokens(plain) == pytest.approx(20 * 18 / 4, rel=0.3)
    assert unread_tokens(Query.from_text("3 + 4?")) == 0
    assert unread_tokens(Query.from_messages(said[:1], params={"tools": [object()]})) == unread_tokens(plain)
    completion = Completion(text="7")
    more = estimated_usage(full, completion).input_tokens - estimated_usage(plain, completion).input_tokens
    assert more == unread_tokens(full) - unread_tokens(plain)
