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

DELTAS = st.one_of(
    st.fixed_dictionaries({"content": st.text(max_size=6)}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": st.text(max_size=3)}),
    st.fixed_dictionaries({"content": st.text(max_size=3), "reasoning_content": st.text(max_size=3)}),
    st.just({"content": '","finish_reason":"stop'}),
    st.just({"content": "\\"}),
    st.just({"refusal": "no"}),
)


def event_of(delta: dict[str, Any], **more: Any) -> Event:
    choice = {"index": 0, "delta": delta, "finish_reason": None, **more}
    body = {"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice]}
    return Event("message", json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))


def read(batches: list[list[Event]], *, by_what_differs: bool) -> tuple[Any, ...]:
    """Returns what comes of events that came in batches; where not `by_what_differs`, all of each is read."""
    reader = OpenAIReader(Assembly())
    assembly = reader.assembly
    for events in batches:
        text = reader.text_of(events) if by_what_differs else None
        if text is not None:
            assembly.add(text)
        else:
            for event in events:
                reader.read_event(event)
    told = "".join(assembly._text), "".join(assembly._reasoning), assembly.is_refusal, reader.is_complete
    return *told, assembly.usage, assembly._logprobs


@given(st.lists(st.lists(DELTAS, max_size=4), max_size=8))
def test_a_stream_reads_the_same_event_by_event_and_by_what_differs(batches: list[list[dict[str, Any]]]) -> None:
    events = [[event_of(delta) for delta in batch] for batch in batches]
    assert read(events, by_what_differs=True) == read(events, by_what_differs=False)


def test_events_that_differ_in_their_text_alone_are_read_together() -> None:
    reader = OpenAIReader(Assembly())
    reader.read_event(event_of({"content": "a"}))
    assert (
        reader.text_of([event_of({"content": "b\n"}), event_of({"content": ""}), event_of({"content": "ü"})]) == "b\nü"
    )


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
    first, more = event_of({"content": "a"}), event_of({"content": "c"})
    reader = OpenAIReader(Assembly())
    reader.read_event(first)
    assert reader.text_of([more]) == "c"
    assert reader.text_of([more, other]) is None
    batches = [[first], [first], [other], [more, other, more]]
    assert read(batches, by_what_differs=True) == read(batches, by_what_differs=False)


@pytest.mark.parametrize("damage", [(b'"content":"b"', b'"content":"'), (b'"b"', b'"b'), (b'"b"', b'"\x01"')])
def test_an_event_that_is_no_json_is_not_taken_for_one_that_is(damage: tuple[bytes, bytes]) -> None:
    reader = OpenAIReader(Assembly())
    reader.read_event(event_of({"content": "a"}))
    damaged = Event("message", event_of({"content": "b"}).data.replace(*damage))
    assert reader.text_of([event_of({"content": "b"}), damaged]) is None
    with pytest.raises(ValueError, match=r"JSON|unexpected|invalid|control"):
        reader.read_event(damaged)
