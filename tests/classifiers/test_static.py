from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penstock.classifiers.encoders.static import MAX_CHARACTERS, StaticEncoder, load_static, shorten
from penstock.classifiers.encoders.words import WordTokens

ASCII = st.text(st.characters(max_codepoint=127), max_size=200)
WORDY = st.lists(
    st.one_of(
        st.sampled_from(["The", "river's", "x=3+4", "[CLS]", "[mask]", "\\frac{1}{2}", "un##known", "\t\n"]), ASCII
    )
).map(" ".join)


def slowly(encoder: StaticEncoder, text: str) -> list[int]:
    return encoder.tokenize_all([text])[0].tolist()  # type: ignore[no-any-return] # numpy's tolist is untyped


@settings(deadline=None)
@given(st.one_of(WORDY, st.text(max_size=100)))
@example("control\x01characters\x7f and \x0b\x0c too")
@example("[SEP] in the text, [sep] too")
@example("a" * 101 + " " + "b" * 100)
@example("Ünï漢字 \u200b")
def test_the_dictionary_of_words_gives_the_tokenizers_own_ids(text: str) -> None:
    encoder = load_static()
    assert encoder.tokenize(text).tolist() == slowly(encoder, text)


def test_the_second_time_gives_the_same_ids() -> None:
    encoder, text = load_static(), "Antidisestablishmentarianism, twice: antidisestablishmentarianism!"
    assert encoder.tokenize(text).tolist() == encoder.tokenize(text).tolist() == slowly(encoder, text)


def test_the_dictionary_of_words_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.classifiers.encoders.words._MAX_WORDS", 10)
    asked: list[str] = []

    def encode(text: str) -> list[int]:
        asked.append(text)
        return [len(text)]

    words = WordTokens(encode=encode, special=())
    words.tokenize(" ".join(f"w{i}" for i in range(35)))
    words.tokenize("x" * 10_000)
    assert len(words._known) <= 10
    assert max(map(len, words._known)) <= 32
    assert words.tokenize("w34 w34") == [3, 3]


def test_the_encoder_is_loaded_once_however_it_is_asked_for() -> None:
    assert load_static() is load_static("")


def test_the_table_has_a_row_for_every_token() -> None:
    encoder = load_static()
    everything = np.array(sorted(encoder.vocabulary.values()))
    assert np.isfinite(encoder.encode_tokens(everything)).all()


def test_a_long_text_is_read_at_both_ends() -> None:
    text = "start " * 20_000 + "end " * 20_000
    short = shorten(text)
    assert len(short) <= MAX_CHARACTERS + 1
    assert short.startswith("start")
    assert short.endswith("end ")


@given(st.text(st.characters(), max_size=50))
def test_shortened_text_is_always_utf_8(text: str) -> None:
    shorten("\ud800" + text).encode("utf-8")


def test_a_short_text_stays_as_it_is() -> None:
    assert shorten("Ünï漢字") == "Ünï漢字"
