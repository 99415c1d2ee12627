from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from penstock.backends.local_sampling import Choice
from penstock.backends.local_text import BROKEN, StopStrings, TokenText, Transcript, TranscriptWriter


def decode(tokens: list[int]) -> str:
    return bytes(tokens).decode(errors="replace")


def write(
    data: bytes, *, stops: tuple[str, ...] = (), starts_inside: bool = False, hidden: frozenset[int] = frozenset()
) -> tuple[Transcript, str, str]:
    """Returns the transcript of one token per byte, and the streamed reasoning and answer."""
    writer = TranscriptWriter(decode, hidden_tokens=hidden, starts_inside=starts_inside, stops=stops)
    pieces = []
    for place, byte in enumerate(data):
        pieces.append(writer.push(Choice(byte, -float(place), float(place), 0.5)))
        if writer.is_stopped:
            break
    pieces.append(writer.close())
    return writer.transcript(), "".join(piece for piece, _ in pieces), "".join(piece for _, piece in pieces)


byte_texts = st.lists(
    st.sampled_from([b"a", b" ", "é".encode(), "☕".encode(), "😀".encode(), b"\xff", b"\xf0\x9f", b"\x82", b"<think>"])
).map(b"".join)


@given(data=byte_texts)
@example(data=b"\xff" * 9)
def test_pieces_join_to_the_text_of_all_tokens(data: bytes) -> None:
    text = TokenText(decode)
    pieces = [text.push(byte) for byte in data]
    assert "".join(pieces) + text.close() == decode(list(data))


def test_a_character_comes_whole_with_its_last_token() -> None:
    text = TokenText(decode)
    assert [text.push(byte) for byte in "é☕".encode()] == ["", "é", "", "", "☕"]


def test_half_a_character_at_the_end_is_broken() -> None:
    text = TokenText(decode)
    assert [text.push(byte) for byte in "a☕".encode()[:-1]] == ["a", "", ""]
    assert text.close() == BROKEN


def test_stop_string_is_found_across_pieces_and_left_out() -> None:
    stop = StopStrings(("\n\n", "END"))
    assert [stop.push(piece) for piece in ("one E", "N two\n", "\nthree")] == ["one ", "EN two", ""]
    assert stop.is_reached


def test_earliest_of_several_stop_strings_counts() -> None:
    stop = StopStrings(("three", "two"))
    assert stop.push("one two three") == "one "


def test_half_a_stop_string_at_the_end_is_text() -> None:
    stop = StopStrings(("END",))
    assert stop.push("the EN") + stop.close() == "the EN"
    assert not stop.is_reached


def test_tokens_and_what_is_known_of_them_are_those_of_the_answer() -> None:
    transcript, reasoning, answer = write(b"<think>ab</think>\n12")
    assert (transcript.reasoning, transcript.text) == (reasoning, answer) == ("ab", "12")
    assert transcript.tokens == ("1", "2")
    assert transcript.logprobs == (-18.0, -19.0)
    assert (transcript.entropies, transcript.margins) == ((18.0, 19.0), (0.5, 0.5))
    assert transcript.reasoning_tokens == 18


def test_text_without_thinking_has_no_reasoning_tokens() -> None:
    transcript, _, _ = write(b"12")
    assert (transcript.tokens, transcript.logprobs, transcript.reasoning_tokens) == (("1", "2"), (0.0, -1.0), 0)


def test_thinking_that_never_ends_leaves_no_answer_tokens() -> None:
    transcript, _, _ = write(b"<think>ab")
    assert (transcript.text, transcript.tokens, transcript.reasoning_tokens) == ("", (), 9)


def test_thinking_that_the_prompt_opened_is_reasoning() -> None:
    transcript, _, _ = write(b"ab</think>1", starts_inside=True)
    assert (transcript.reasoning, transcript.text, transcript.reasoning_tokens) == ("ab", "1", 10)


def test_stop_string_in_the_thinking_stops_nothing() -> None:
    transcript, _, _ = write(b"<think>a;b</think>1;2", stops=(";",))
    assert (transcript.reasoning, transcript.text, transcript.tokens) == ("a;b", "1", ("1",))


def test_last_token_of_a_character_carries_it() -> None:
    transcript, _, _ = write("é1".encode())
    assert transcript.tokens == ("", "é", "1")
    assert len(transcript.logprobs) == 3


def test_hidden_tokens_leave_no_text() -> None:
    transcript, _, answer = write(b"1#2", hidden=frozenset(b"#"))
    assert transcript.text == answer == "12"


@given(data=byte_texts, stops=st.sampled_from([(), ("a",), ("a ", "é")]), starts_inside=st.booleans())
@example(data=b"a" + b"\xff" * 9, stops=(), starts_inside=False)
def test_answer_tokens_join_to_the_answer(data: bytes, stops: tuple[str, ...], starts_inside: bool) -> None:
    transcript, reasoning, answer = write(data, stops=stops, starts_inside=starts_inside)
    assert "".join(transcript.tokens) == transcript.text == answer
    assert transcript.reasoning == reasoning
    assert len(transcript.tokens) == len(transcript.logprobs)
    assert not any(stop in transcript.text for stop in stops)
