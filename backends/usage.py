"""Tokens of one call, from the many ways that providers count them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from .types import Completion, Query, Usage, make_usage

BYTES_PER_TOKEN = 4  # of UTF-8 text; about right for English, and for Chinese within a third
_NONSENSE = 1e12  # tokens
TOKENS_PER_MESSAGE = 4  # what chat templates put around each message
# What OpenAI's vision guide counts for an image of 1024 x 1024, and for one of low detail. Ours are not looked at.
TOKENS_PER_IMAGE, TOKENS_PER_SMALL_IMAGE = 765, 85
IMAGE_PARTS = ("image_url", "image", "input_image")


def estimated_tokens(text: str) -> int:
    """Returns about how many tokens a text has, where nobody counted.

    >>> estimated_tokens("What is 17 * 23?")
    4
    """
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def unread_tokens(query: Query) -> int:
    """Returns about how many tokens of a prompt are not in the text of its messages: those of tools, of their calls, of
    a schema for the answer, and of images.
    """
    params = query.params
    asked = [value for field in ("tools", "functions", "response_format") if (value := params.get(field))]
    n_tokens = sum(map(_json_tokens, asked))
    for message in query.messages:
        if calls := message.get("tool_calls"):
            n_tokens += _json_tokens(calls)
        content = message.get("content")
        if content and not isinstance(content, str):
            n_tokens += sum(_image_tokens(part) for part in content if isinstance(part, Mapping))
    return n_tokens


def _json_tokens(value: Any) -> int:
    try:
        return -(-len(orjson.dumps(value)) // BYTES_PER_TOKEN)
    except TypeError:  # nothing that could be sent either; the call will tell
        return 0


def _image_tokens(part: Mapping[str, Any]) -> int:
    if part.get("type") not in IMAGE_PARTS:
        return 0
    image = part.get("image_url")
    detail = image.get("detail") if isinstance(image, Mapping) else part.get("detail")
    return TOKENS_PER_SMALL_IMAGE if detail == "low" else TOKENS_PER_IMAGE


def estimated_usage(query: Query, completion: Completion) -> Usage:
    """Returns the usage as the texts suggest it, marked as estimated."""
    reasoning_tokens = estimated_tokens(completion.reasoning)
    calls = "".join(
        str(call.get("function", {}).get("name", "")) + str(call.get("function", {}).get("arguments", ""))
        for call in completion.tool_calls
    )
    return make_usage(
        input_tokens=estimated_tokens(query.text) + TOKENS_PER_MESSAGE * len(query.messages) + unread_tokens(query),
        output_tokens=estimated_tokens(completion.text) + estimated_tokens(calls) + reasoning_tokens,
        reasoning_tokens=reasoning_tokens,
        is_estimated=True,
    )


def usage_of_openai(counts: Any) -> Usage | None:
    """Returns the usage that a reply in the OpenAI form reports; None where it reports none.

    Cached input is part of `prompt_tokens`, whether the provider tells it as
    `prompt_tokens_details.cached_tokens`, as DeepSeek's `prompt_cache_hit_tokens`, or as both. Some
    providers leave reasoning out of `completion_tokens` but not out of `total_tokens`: what is missing
    is counted as reasoning.
    """
    if not isinstance(counts, dict):
        return None
    known = _counts_in(counts)
    input_tokens, output_tokens = known.get("prompt_tokens", 0), known.get("completion_tokens", 0)
    if not input_tokens and not output_tokens:
        return None
    reasoning_tokens = known.get("reasoning_tokens", 0)
    if told := counts.get("completion_tokens_details"):
        reasoning_tokens = max(count_of(told, "reasoning_tokens"), reasoning_tokens)
    cached_tokens = max(known.get("prompt_cache_hit_tokens", 0), known.get("cached_tokens", 0))
    written_tokens = 0
    if told := counts.get("prompt_tokens_details"):
        cached_tokens = max(count_of(told, "cached_tokens"), cached_tokens)
        written_tokens = count_of(told, "cache_write_tokens")
    cached_tokens = min(cached_tokens, input_tokens)
    uncounted = known.get("total_tokens", 0) - input_tokens - output_tokens
    if uncounted > 0:
        output_tokens += uncounted
        reasoning_tokens = max(reasoning_tokens, uncounted)
    return make_usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached_tokens,
        cache_write_tokens=min(written_tokens, input_tokens - cached_tokens),
        output_tokens=output_tokens,
        reasoning_tokens=min(reasoning_tokens, output_tokens),
    )


def usage_of_anthropic(counts: Mapping[str, Any]) -> Usage | None:
    """Returns the usage that an Anthropic reply reports; None where it reports none.

    Anthropic's `input_tokens` leaves out what was read from and written to the cache; ours does not.
    """
    read, written = count_of(counts, "cache_read_input_tokens"), count_of(counts, "cache_creation_input_tokens")
    input_tokens = count_of(counts, "input_tokens") + written + read
    output_tokens = count_of(counts, "output_tokens")
    if not input_tokens and not output_tokens:
        return None
    thinking = count_of(counts.get("output_tokens_details"), "thinking_tokens")
    return make_usage(
        input_tokens=input_tokens,
        cached_input_tokens=read,
        cache_write_tokens=written,
        cache_write_1h_tokens=min(count_of(counts.get("cache_creation"), "ephemeral_1h_input_tokens"), written),
        output_tokens=output_tokens,
        reasoning_tokens=min(thinking, output_tokens),
    )


def count_of(counts: Any, key: str) -> int:
    """Returns `counts[key]` as a number of tokens; 0 where it is missing, null or nonsense."""
    return _counts_in(counts).get(key, 0) if isinstance(counts, dict) else 0


def _counts_in(counts: dict[str, Any]) -> dict[str, int]:
    """Returns what is a number of tokens, without the zeros; the other numbers are nonsense."""
    return {
        key: int(value)
        for key, value in counts.items()
        if value and isinstance(value, (int, float)) and 0 <= value < _NONSENSE  # a union would be built anew each time
    }
