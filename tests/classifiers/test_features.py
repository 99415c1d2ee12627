from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.classifiers import Featurizer, FitError
from penstock.classifiers.sparse import IntArray
from penstock.classifiers.surface import SURFACE_NAMES, SurfaceReader
from penstock.classifiers.terms import TermVocabulary, term_keys

HOSTILE = {
    "empty": "",
    "nul": "a\0b\0" * 10,
    "lone surrogates": "what is \ud800 and \udfff?",
    "emoji": "🙂👩‍👩‍👧 how many? 🇫🇷" * 20,
    "chinese": "这个问题的答案是什么？" * 30,
    "arabic": "ما هو الجواب؟ ١٢٣",
    "spaces": " \t\n" * 5000,
    "one long word": "x" * 50_000,
    "special tokens": "[CLS] [SEP] [MASK] [UNK] [PAD]",
    "controls": "".join(map(chr, range(32))) * 10,
    "combining": "e\u0301\u0302" * 4000,
    "question marks": "?" * 20_000,
}
_TEXTS = ["What is 2 + 2?", "What is the capital of France?", "Prove that 2 is prime.", "def f(x): return x"]


@pytest.fixture(scope="module")
def featurizer() -> Featurizer:
    return Featurizer().fit_transform([*_TEXTS, *_TEXTS, *HOSTILE.values()])[0]


def same(featurizer: Featurizer, text: str) -> None:
    """Checks that a text alone gives what it gives among others."""
    batch, one = featurizer.transform([text, "What is 2 + 2?"]), featurizer.transform_one(text)
    row = slice(batch.terms.indptr[0], batch.terms.indptr[1])
    assert one.dense == pytest.approx(batch.dense[0], abs=1e-6)
    assert one.columns.tolist() == batch.terms.columns[row].tolist()
    assert one.weights == pytest.approx(batch.terms.values[row], abs=1e-6)
    assert one.embedding_dim == batch.embedding_dim
    assert one.n_words == (one.columns < batch.n_words).sum()


@pytest.mark.parametrize("name", sorted(HOSTILE))
def test_a_hostile_text_alone_gives_what_it_gives_among_others(featurizer: Featurizer, name: str) -> None:
    same(featurizer, HOSTILE[name])
    assert np.isfinite(featurizer.transform_one(HOSTILE[name]).dense).all()


@settings(deadline=None)
@given(text=st.text(st.characters(), max_size=200))
def test_any_text_alone_gives_what_it_gives_among_others(featurizer: Featurizer, text: str) -> None:
    same(featurizer, text)


def test_ten_megabytes_are_read_at_both_ends(featurizer: Featurizer) -> None:
    text = "What is 2 + 2? " * 700_000
    same(featurizer, text)
    assert featurizer.transform_one(text).n_tokens == pytest.approx(6 * 700_000, rel=0.02)
    assert featurizer.count_tokens(text) == featurizer.transform_one(text).n_tokens


def test_tokens_of_a_short_text_are_counted(featurizer: Featurizer) -> None:
    assert featurizer.count_tokens("What is 2 + 2?") == featurizer.transform_one("What is 2 + 2?").n_tokens == 6
    assert featurizer.count_tokens("") == 0


def test_fitting_gives_what_transforming_gives() -> None:
    featurizer, fitted = Featurizer().fit_transform(_TEXTS)
    again = featurizer.transform(_TEXTS)
    assert (fitted.dense == again.dense).all()
    assert (fitted.terms.columns == again.terms.columns).all()
    assert (fitted.terms.values == again.terms.values).all()


def test_a_rebuilt_featurizer_gives_the_same_features(featurizer: Featurizer) -> None:
    again = Featurizer(
        surface_mean_=featurizer.surface_mean_,
        surface_scale_=featurizer.surface_scale_,
        common_words_=featurizer.common_words_,
        term_keys_=featurizer.term_keys_,
        term_idf_=featurizer.term_idf_,
    )
    assert (again.transform_one("What is 2?").dense == featurizer.transform_one("What is 2?").dense).all()
    assert again.encoder_id == featurizer.encoder_id


def test_nothing_can_be_learned_from_no_texts(featurizer: Featurizer) -> None:
    with pytest.raises(FitError, match="expected at least one query"):
        Featurizer().fit_transform([])
    nothing = featurizer.transform([])
    assert nothing.n_queries == nothing.terms.n_rows == 0
    assert nothing.dense.shape[1] == featurizer.transform(["?"]).dense.shape[1]


def test_a_single_text_can_be_learned_from() -> None:
    featurizer, features = Featurizer().fit_transform(["What is 2 + 2?"])
    assert np.isfinite(features.dense).all()
    assert len(featurizer.transform_one("Something else entirely").columns) == 0


def test_an_outlier_does_not_outvote_the_words(featurizer: Featurizer) -> None:
    query = featurizer.transform_one("\\" * 15_000)
    assert np.abs(query.dense[query.embedding_dim :]).max() <= 0.4 + 1e-6


def test_terms_of_words_and_frame_have_unit_length(featurizer: Featurizer) -> None:
    query = featurizer.transform_one("What is the capital of France? Prove that 2 is prime.")
    assert len(query.columns) > 5
    assert 5 < query.n_words < len(query.columns)
    assert np.linalg.norm(query.weights[: query.n_words]) == pytest.approx(1)
    assert np.linalg.norm(query.weights[query.n_words :]) == pytest.approx(1)
    assert (np.diff(query.columns) > 0).all()


def test_another_encoder_gives_its_own_embedding(tiny_bert: object) -> None:
    featurizer, features = Featurizer(encoder=f"hf:{tiny_bert}").fit_transform(_TEXTS)
    assert features.embedding.shape == (4, 16)
    one = featurizer.transform_one(_TEXTS[2])
    assert one.dense == pytest.approx(features.dense[2], abs=1e-5)
    assert featurizer.encoder_id.startswith("hf:")


def slow_keys(tokens: list[int]) -> list[int]:
    """Returns the keys of the documented terms, one by one in plain integers."""
    word, pair, triple, place, size = (
        0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5, 0x85EBCA77C2B2AE63,
    )  # fmt: skip
    mask, n = 2**64 - 1, len(tokens)

    def mixed(value: int) -> int:
        return value ^ (value >> 29)

    words = [mixed((token + 1) * word & mask) for token in tokens]
    pairs = [(a * pair + b) * pair & mask for a, b in pairwise(words)]
    triples = [(ab * triple + c) * triple & mask for ab, c in zip(pairs, words[2:], strict=False)]
    ends = min(n, 4)
    head = [(words[i] + (i + 1) * size) * place & mask for i in range(ends)]
    tail = [(words[n - ends + i] + (i + 5) * size) * place & mask for i in range(ends)]
    half_powers = next(k for k in range(100) if n * n < 2 ** (k + 1))
    return [mixed(key) & 2**63 - 1 for key in (*words, *pairs, *triples, *head, *tail, (half_powers + 1) * size & mask)]


@given(st.lists(st.integers(0, 30_521), min_size=1, max_size=40))
def test_terms_are_words_pairs_triples_places_and_size(tokens: list[int]) -> None:
    assert term_keys(np.array(tokens, dtype=np.int64)).tolist() == slow_keys(tokens)


def test_no_tokens_are_a_term_of_their_own() -> None:
    assert term_keys(np.empty(0, dtype=np.int64)).tolist() == [0]


def test_terms_of_a_single_query_are_not_kept() -> None:
    keys = [np.array(k, dtype=np.uint64) for k in ([1, 2, 2], [2, 3], [3, 3, 9])]
    vocabulary = TermVocabulary.learn(keys)
    assert vocabulary.keys.tolist() == [2, 3]
    assert vocabulary.idf == pytest.approx(np.full(2, np.log(4 / 3) + 1))


@given(st.lists(st.integers(0, 12), max_size=20), st.sets(st.integers(0, 12)))
def test_known_terms_are_weighed_by_damped_count_and_idf(found: list[int], known: set[int]) -> None:
    keys = np.array(sorted(known), dtype=np.uint64)
    idf = np.linspace(1, 2, len(keys), dtype=np.float32)
    columns, weights, n_words = TermVocabulary(keys=keys, idf=idf).weigh(np.array(found, dtype=np.uint64))
    raw = {c: (1 + np.log(found.count(k))) * idf[c] for c, k in enumerate(sorted(known)) if k in found}
    norm = np.sqrt(sum(value**2 for value in raw.values()))
    assert columns.tolist() == list(raw)
    assert n_words == len(raw)
    assert weights == pytest.approx([value / norm for value in raw.values()], abs=1e-6)


def surface(text: str, tokens: IntArray | None = None) -> dict[str, float]:
    reader = SurfaceReader({"what": 0, "##s": 1, "prove": 2, "the": 3})
    read = reader.read(text.encode(), np.array([0, 1, 0]) if tokens is None else tokens, len(text))
    return dict(zip(SURFACE_NAMES, read.tolist(), strict=True))


def test_surface_features_are_counted() -> None:
    seen = surface("What 12 and 3.5? \\frac{a}{b}")
    for name, count in {
        "characters": 28,
        "tokens": 3,
        "numbers": 3,
        "digits": 4,
        "curly_brackets": 4,
    }.items():
        assert seen[name] == pytest.approx(np.log1p(count)), name
    assert seen["ask_fact"] == pytest.approx(np.log1p(2))
    assert seen["ask_proof"] == 0
    assert seen["split_words"] == pytest.approx(1 / 4)
    assert seen["distinct_tokens"] == pytest.approx(2 / 4)
    assert seen["characters_per_token"] == pytest.approx(28 / 4)
    assert seen["digits_share"] == pytest.approx(4 / 29)


@pytest.mark.parametrize(
    ("text", "n_options"),
    [("(a) 1 b. 2 c", 2), ("1. cat\n2) eel", 2), ("3.5 a.b", 0), ("a.\nb", 1), ("a) b) 17) (c. d", 4)],
)
def test_options_are_counted_wherever_they_begin(text: str, n_options: int) -> None:
    assert surface(text)["options"] == pytest.approx(np.log1p(n_options))


@pytest.mark.parametrize(
    ("text", "n"), [("so. and 3.5 so?! (who) asks", 2), ("yes", 0), ("no.\nyes!", 2), ("what?", 1)]
)
def test_sentences_end_where_a_stop_ends_a_word(text: str, n: int) -> None:
    assert surface(text)["sentences"] == pytest.approx(np.log1p(n))


def test_a_number_that_comes_twice_counts_twice_and_is_one_of_the_distinct() -> None:
    seen = surface("12 x12 3.5")
    assert seen["numbers"] == pytest.approx(np.log1p(4))
    assert seen["distinct_numbers"] == pytest.approx(np.log1p(3))


def test_surface_features_of_nothing_are_zero() -> None:
    assert set(surface("", np.empty(0, dtype=np.int64)).values()) == {0.0}


def test_no_feature_is_named_twice() -> None:
    assert len(set(SURFACE_NAMES)) == len(SURFACE_NAMES)
