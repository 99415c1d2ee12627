"""Events of OpenAI's form come to the same, whether all of each is read or only what differs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends.assembly import Assembly
from penstock.backends.openai_reply import OpenAIReader
from penstock.backends.sse import Event
from penstock.backends.types import Chunk

DELTAS = st.one_of(
    st.fixed_dictionaries({"content": st.text(max_size=6)}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.text(max_size=3)}),
    st.fixed_dictionaries({"content": st.text(max_size=3), "reasoning_content": st.text(max_size=3)}),
    st.just({"content": '","finish_reason":"stop'}),
    st.just({"content": "\\"}),
    st.just({"refusal": "no"}),
)


class SlowReader(OpenAIReader):
    """Reads all of every event."""

    _n_looks = 0


def event_of(delta: dict[str, Any], **more: Any) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return Event("message", json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def read(reader: OpenAIReader, events: list[Event]) -> tuple[list[Chunk | None], Any]:
    chunks = [reader.read_event(event) for event in events]
    return chunks, (reader.assembly._text, reader.assembly._reasoning, reader.assembly.is_refusal, reader.is_complete)


@given(st.lists(DELTAS, max_size=8))
def test_a_stream_reads_the_same_event_by_event_and_by_what_differs(deltas: list[dict[str, Any]]) -> None:
    events = [event_of(delta) for delta in deltas]
    assert read(OpenAIReader(Assembly()), events) == read(SlowReader(Assembly()), events)


@pytest.mark.parametrize(
    "other",
    [
        event_of({"content": "b"}, finish_reason="stop"),
        event_of({"content": "b"}, index=1),
        event_of({"content": "b"}, logprobs={"content": [{"token": "b", "logprob": -1.0}]}),
        event_of(
            {"content": "b", "tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}]}
        ),
        Event("message", event_of({"content": "b"}).data.replace(b'"m"', b'"m","usage":{"prompt_tokens":3}')),
    ],
)
def test_an_event_that_brings_anything_else_is_read_all_of_it(other: Event) -> None:
    events = [event_of({"content": "a"}), event_of({"content": "a"}), other, event_of({"content": "c"})]
    fast, slow = OpenAIReader(Assembly()), SlowReader(Assembly())
    assert read(fast, events) == read(slow, events)
    assert (fast.assembly.usage, fast.assembly._logprobs) == (slow.assembly.usage, slow.assembly._logprobs)


@pytest.mark.parametrize("damage", [(b'"content":"b"', b'"content":"'), (b'"b"', b'"b'), (b'"b"', b'"\x01"')])
def test_an_event_that_is_no_json_is_not_taken_for_one_that_is(damage: tuple[bytes, bytes]) -> None:
    reader = OpenAIReader(Assembly())
    reader.read_event(event_of({"content": "a"}))
    with pytest.raises(ValueError, match=r"JSON|unexpected|invalid|control"):
        reader.read_event(Event("message", event_of({"content": "b"}).data.replace(*damage)))
