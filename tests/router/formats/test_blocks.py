from __future__ import annotations

import random
from typing import Any

import orjson
import pytest

from penstock.backends import MalformedReply
from penstock.router.formats.blocks import Blocks


def piece(index: int, arguments: str | None, *, id: str | None = None) -> dict[str, Any]:
    """Returns a piece of a tool call as OpenAI streams it; its first has the `id`."""
    return {"index": index, "id": id, "function": {"name": id, "arguments": arguments}}


def texts_of(events: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Returns what each block came to; every block is closed before the next one begins."""
    texts: list[str] = []
    is_open = False
    for name, body in events:
        if name == "content_block_start":
            assert not is_open
            is_open = True
            texts.append("")
        else:
            assert is_open
            assert body["index"] == len(texts) - 1
            is_open = name != "content_block_stop"
            delta = body.get("delta", {})
            texts[-1] += delta.get("text") or delta.get("thinking") or delta.get("partial_json") or ""
    assert not is_open
    return texts


def test_a_call_that_is_whole_makes_room_for_the_next_at_once() -> None:
    blocks = Blocks()
    blocks.add_call(piece(0, '{"x": 1}', id="a"))
    assert [name for name, _ in blocks.add_call(piece(1, "", id="b"))] == ["content_block_stop", "content_block_start"]


def test_what_belongs_elsewhere_waits_while_a_call_is_not_whole() -> None:
    blocks = Blocks()
    events = blocks.add_call(piece(0, '{"x": "}', id="a"))
    assert blocks.add_text("so") == []
    assert blocks.add_call(piece(1, "{}", id="b")) == []
    events += blocks.add_call(piece(0, '"}'))
    assert texts_of(events + blocks.end()) == ['{"x": "}"}', "so", "{}"]


def test_a_call_without_arguments_keeps_others_waiting_to_the_end_at_most() -> None:
    blocks = Blocks()
    events = blocks.add_call(piece(0, "", id="a")) + blocks.add_call(piece(1, "{}", id="b"))
    assert texts_of(events + blocks.end()) == ["", "{}"]


def test_a_call_that_goes_on_after_it_was_whole_is_an_error() -> None:
    blocks = Blocks()
    blocks.add_call(piece(0, "{}", id="a"))
    blocks.add_text("so")
    assert blocks.add_call(piece(0, " ")) == []
    with pytest.raises(MalformedReply, match="go on after their end"):
        blocks.add_call(piece(0, "{}"))


@pytest.mark.parametrize("seed", range(20))
def test_in_whatever_turns_calls_come_each_keeps_its_arguments(seed: int) -> None:
    rng = random.Random(seed)
    whole = [orjson.dumps({"n": number, "text": "}" * number}).decode() for number in range(5)]
    left = dict(enumerate(whole))
    blocks, events = Blocks(), []
    for number in range(5):
        events += blocks.add_call(piece(number, "", id=f"call {number}"))
    while left:
        number = rng.choice(list(left))
        size = rng.randint(1, 6)
        events += blocks.add_call(piece(number, left[number][:size]))
        left[number] = left[number][size:]
        if not left[number]:
            del left[number]
    assert sorted(texts_of(events + blocks.end())) == sorted(whole)
