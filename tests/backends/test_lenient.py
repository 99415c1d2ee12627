"""JSON as providers' own clients read it, and halves of characters in it."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.backends.assembly import Assembly
from penstock.backends.lenient import Halves, has_halves, read_json
from penstock.backends.openai_reply import OpenAIReader
from penstock.backends.sse import Event


def test_what_python_writes_for_no_number_is_read() -> None:
    assert read_json(b'{"logprob": -Infinity}') == {"logprob": -math.inf}


def test_a_mark_of_byte_order_and_broken_utf8_are_no_reason_to_refuse_a_reply() -> None:
    assert read_json(b'\xef\xbb\xbf{"a": "\xf0\x9f"}') == {"a": "�"}


@pytest.mark.parametrize("data", [b"", b"{", b"<html>", b"[" * 100_000], ids=["empty", "cut", "html", "deep"])
def test_what_is_no_json_is_refused_with_its_place(data: bytes) -> None:
    with pytest.raises(orjson.JSONDecodeError, match="line 1 column"):
        read_json(data)


def test_halves_are_found_wherever_they_stand() -> None:
    assert has_halves([{"a": "\udc00"}])
    assert not has_halves([{"a": "😀"}])


@given(st.lists(st.text(alphabet="a😀é", max_size=4), max_size=4).map("".join), st.data())
def test_a_text_that_is_cut_between_its_units_of_utf16_comes_whole_again(text: str, data: st.DataObject) -> None:
    units = text.encode("utf-16-le")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units) // 2), max_size=4)))
    ends = [0, *(2 * cut for cut in cuts), len(units)]
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(ends)]
    halves = Halves()
    assert "".join(map(halves.feed, pieces)) + halves.close() == text


def test_a_character_whose_halves_come_in_two_events_is_one_in_the_answer() -> None:
    reader = OpenAIReader(Assembly())
    texts = ["a \ud83d", "\ude00 b", " \ud83d"]
    for text in texts:
        body = {"choices": [{"index": 0, "delta": {"content": text}}]}
        reader.read_event(Event("message", json.dumps(body).encode()))
    last = reader.assembly.end()
    assert "".join(reader.assembly._text) == "a 😀 b �"
    assert last is not None
    assert last.text == "�"
