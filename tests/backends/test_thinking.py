from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.backends.thinking import ThinkSplitter


def feed_all(pieces: list[str], *, starts_inside: bool = False) -> tuple[str, str]:
    splitter = ThinkSplitter(starts_inside=starts_inside)
    pairs = [splitter.feed(piece) for piece in pieces]
    pairs.append(splitter.close())
    return "".join(reasoning for reasoning, _ in pairs), "".join(answer for _, answer in pairs)


def split_thinking(text: str, *, starts_inside: bool = False) -> tuple[str, str]:
    return feed_all([text], starts_inside=starts_inside)


def test_thinking_and_answer_are_split() -> None:
    assert split_thinking("<think>\ncarry\n</think>\n\n391") == ("carry", "391")


def test_text_without_tags_is_all_answer_with_its_white_space() -> None:
    assert split_thinking("  391\n") == ("", "  391\n")


def test_white_space_before_the_opening_tag_is_dropped() -> None:
    assert split_thinking("\n <think>a</think>b") == ("a", "b")


def test_missing_opening_tag_is_made_up_for_when_the_template_wrote_it() -> None:
    assert split_thinking("\ncarry\n</think>\n391", starts_inside=True) == ("carry", "391")


def test_repeated_opening_tag_is_dropped_when_the_template_wrote_it() -> None:
    assert split_thinking("<think>carry</think>391", starts_inside=True) == ("carry", "391")


def test_thinking_that_never_closes_is_all_reasoning() -> None:
    assert split_thinking("<think>on and on </thi") == ("on and on </thi", "")
    assert split_thinking("on and on", starts_inside=True) == ("on and on", "")


def test_half_an_opening_tag_is_answer() -> None:
    assert split_thinking("<thin") == ("", "<thin")


def test_a_tag_inside_the_answer_is_answer() -> None:
    assert split_thinking("<think>a</think>use <think> and </think>") == ("a", "use <think> and </think>")
    assert split_thinking("use <think>") == ("", "use <think>")


def test_empty_thinking_leaves_no_reasoning() -> None:
    assert split_thinking("<think>\n\n</think>\n\n391") == ("", "391")


def test_answer_pieces_come_without_delay_after_the_closing_tag() -> None:
    splitter = ThinkSplitter()
    splitter.feed("<think>a</think>")
    assert splitter.feed(" b") == ("", "b")
    assert splitter.feed(" c <") == ("", " c <")


texts = st.lists(st.sampled_from(["<think>", "</think>", "<", "</", "think", ">", " ", "\n", "a", "é"]), max_size=12)


@given(parts=texts, starts_inside=st.booleans(), sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8))
def test_how_the_text_is_cut_changes_nothing(parts: list[str], starts_inside: bool, sizes: list[int]) -> None:
    text = "".join(parts)
    pieces, position, turn = [], 0, 0
    while position < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[position : position + size])
        position, turn = position + size, turn + 1
    assert feed_all(pieces, starts_inside=starts_inside) == split_thinking(text, starts_inside=starts_inside)
