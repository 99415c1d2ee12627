from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.backends.sse import Event, EventParser


def parse(*pieces: bytes) -> list[Event]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


def test_data_lines_of_one_event_are_joined() -> None:
    assert parse(b"data: a\ndata: b\n\n") == [Event("message", b"a\nb")]


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert parse(b"data:a\n\ndata:  b\n\n") == [Event("message", b"a"), Event("message", b" b")]


def test_event_has_its_name_and_the_next_one_has_not() -> None:
    assert parse(b"event: ping\ndata: a\n\ndata: b\n\n") == [Event("ping", b"a"), Event("message", b"b")]


def test_comments_ids_and_retries_are_skipped() -> None:
    assert parse(b": hello\nid: 1\nretry: 10\n\ndata: a\n\n") == [Event("message", b"a")]


def test_an_event_without_data_is_none() -> None:
    assert parse(b"event: ping\n\ndata: a\n\n") == [Event("message", b"a")]


def test_byte_order_mark_is_dropped() -> None:
    assert parse(b"\xef\xbb\xbfdata: a\n\n") == [Event("message", b"a")]


def test_last_event_counts_without_the_empty_line_after_it() -> None:
    assert parse(b"data: a") == [Event("message", b"a")]


def test_error_field_is_an_event_of_that_name() -> None:
    assert parse(b'error: {"code": 500}\n\n') == [Event("error", b'{"code": 500}')]


def test_an_event_comes_as_soon_as_it_is_complete() -> None:
    parser = EventParser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\ndata: b") == [Event("message", b"a")]


lines = st.lists(
    st.sampled_from([b"data: a", b"data: \xc3\xa9", b"", b"", b"event: x", b": c", b"error: e"]), max_size=10
)


@given(lines=lines, ends=st.sampled_from([b"\n", b"\r\n", b"\r"]), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_neither_cuts_nor_line_ends_matter(lines: list[bytes], ends: bytes, cuts: list[int]) -> None:
    text = b"".join(line + ends for line in lines)
    bounds = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(bounds)]
    assert parse(*pieces) == parse(b"".join(line + b"\n" for line in lines))


def test_an_event_of_empty_data_is_a_sign_of_life() -> None:
    assert parse(b"data: \n\n", b"data:\n\n", b"event: ping\ndata:\n\ndata: a\n\n") == [Event("message", b"a")]
