"""From the text of a query to what the heads read: a dense vector and weighted terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np

from ..backends.quick import maker, quick
from .canonical import canonical
from .encoders import Encoder, create_encoder
from .encoders.static import StaticEncoder, load_static, shorten
from .errors import FitError
from .frame import FrameReader, common_words, load_frame_reader
from .meaning import InWords, read_words
from .sparse import CsrMatrix, Float32Array, IntArray
from .surface import SURFACE_NAMES, SURFACE_SCALE, SurfaceReader, load_reader, standardize
from .telling import counting
from .terms import KeyArray, TermVocabulary, query_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What heads read of n queries."""

    dense: Float32Array  # (n_queries, embedding_dim + n_surface), the embedding first
    terms: CsrMatrix  # (n_queries, n_terms), those of the words first, then those of the frames, each of unit length
    n_words: int  # terms that are of the words
    embedding_dim: int
    surface_scale: Float32Array  # (n_surface,) of the surface features; 0 for one that did not vary in training
    texts: tuple[str, ...]  # (n_queries,) canonical and shortened, as encoders are given them

    @property
    def n_queries(self) -> int:
        """The number of queries."""
        return len(self.dense)

    @property
    def embedding(self) -> Float32Array:
        """The encoder's vectors alone, (n_queries, embedding_dim)."""
        return self.dense[:, : self.embedding_dim]

    def take(self, rows: IntArray) -> Features:
        """Returns the features of the chosen queries."""
        return replace(
            self,
            dense=self.dense[rows],
            terms=self.terms.take(rows),
            texts=tuple(self.texts[row] for row in rows),
        )

    def frameless(self) -> Features:
        """Returns the same features without the terms of the frames: of all terms, those of the words."""
        return replace(self, terms=self.terms.between(0, self.n_words))

    def wordless(self) -> Features:
        """Returns the same features without the terms of the words: of all terms, those of the frames."""
        return replace(self, terms=self.terms.between(self.n_words, self.terms.n_columns))


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFeatures:
    """What heads read of one query."""

    dense: Float32Array  # (embedding_dim + n_surface,)
    columns: IntArray  # its known terms, ascending, those of the words first
    weights: Float32Array
    n_words: int  # how many of these are of the words
    n_tokens: int  # by the static encoder's tokenizer
    embedding_dim: int
    text: str  # canonical and shortened
    products: dict[int, Float32Array] = field(default_factory=dict, repr=False, compare=False)  # by reader, see `Fused`

    def but(self, **changes: Any) -> QueryFeatures:
        """Returns other features of the query, of which nothing is worked out yet."""
        return replace(self, products={}, **changes)


make_query_features = maker(QueryFeatures)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What is read off n texts before anything is learned of them."""

    short: tuple[str, ...]  # canonical and shortened
    tokens: list[IntArray]
    n_tokens: list[int]  # of the whole texts
    embedding: Float32Array  # (n_texts, embedding_dim)
    surface: Float32Array  # (n_texts, n_surface), as it is


@dataclass(slots=True, kw_only=True)
class Featurizer:
    """Reads queries; `fit` learns the scale of the surface features and the vocabulary of terms."""

    encoder: str = "static"
    surface_mean_: Float32Array = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    surface_scale_: Float32Array = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    common_words_: KeyArray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    term_keys_: KeyArray = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    term_idf_: Float32Array = field(default_factory=lambda: np.empty(0, dtype=np.float32))
    _encoder: Encoder = field(init=False, repr=False)
    _tokenizer: StaticEncoder = field(init=False, repr=False)
    _surface: SurfaceReader = field(init=False, repr=False)
    _frame: FrameReader = field(init=False, repr=False)
    _vocabulary: TermVocabulary = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._tokenizer = load_static()
        self._encoder = create_encoder(self.encoder)
        self._surface = load_reader()
        self._frame = load_frame_reader()
        self._vocabulary = TermVocabulary(keys=self.term_keys_, idf=self.term_idf_)

    @property
    def n_dense(self) -> int:
        """The length of the dense vectors."""
        return self._encoder.dim + len(SURFACE_NAMES)

    @property
    def encoder_id(self) -> str:
        """The encoder and the hash of its weights."""
        return self._encoder.id

    def fit_transform(self, texts: Sequence[str]) -> tuple[Self, Features]:
        """Returns this featurizer, fitted, and the features of the texts.

        Raises:
            FitError: there are no texts.
        """
        if not len(texts):
            raise FitError("texts: expected at least one query to learn from, got none")
        read = self._read(texts)
        self.surface_mean_ = read.surface.mean(0)
        spread = read.surface.std(0)
        self.surface_scale_ = np.where(spread > 1e-6, SURFACE_SCALE / np.maximum(spread, 1e-6), 0).astype(np.float32)
        self.common_words_ = common_words([self._frame.words(tokens) for tokens in read.tokens])
        keys = [self._keys(tokens) for tokens in read.tokens]
        self._vocabulary = TermVocabulary.learn(keys)
        self.term_keys_, self.term_idf_ = self._vocabulary.keys, self._vocabulary.idf
        return self, self._assemble(read, self._vocabulary.matrix(keys))

    def transform(self, texts: Sequence[str]) -> Features:
        """Returns the features of many texts."""
        features, _ = self.transform_and_count(texts)
        return features

    def transform_and_count(self, texts: Sequence[str]) -> tuple[Features, list[int]]:
        """Returns the features of many texts and the tokens of each, as `count_tokens` has them."""
        read = self._read(texts)
        terms = self._vocabulary.matrix([self._keys(tokens) for tokens in read.tokens])
        return self._assemble(read, terms), read.n_tokens

    def transform_one(self, text: str) -> QueryFeatures:
        """Returns the features of one text, quickly."""
        text = canonical(text)
        short = shorten(text)
        tokens = self._tokenizer.tokenize(short)
        embedding = (
            self._tokenizer.encode_tokens(tokens)
            if self._encoder is self._tokenizer
            else self._encoder.encode([short])[0]
        )
        surface = self._surface.read(short.encode(), tokens, len(text))
        columns, weights, n_words = self._vocabulary.weigh(self._keys(tokens))
        n_embedding = len(embedding)
        dense = np.empty(n_embedding + len(surface), dtype=np.float32)
        dense[:n_embedding] = embedding
        dense[n_embedding:] = self._standardize(surface)
        return make_query_features(
            dense=dense,
            columns=columns,
            weights=weights,
            n_words=n_words,
            n_tokens=_in_proportion(len(tokens), short, text),
            embedding_dim=n_embedding,
            text=short,
        )

    def count_tokens(self, text: str) -> int:
        """Returns the tokens of a text by the static encoder's tokenizer; of a very long one, by proportion."""
        text = canonical(text)
        short = shorten(text)
        return _in_proportion(len(self._tokenizer.tokenize(short)), short, text)

    def read_words(self, question: str, texts: Sequence[str]) -> list[InWords | None]:
        """Returns what each of these answers to a question says in words, None where one says nothing."""
        return read_words(question, texts, self._encoder)

    def _read(self, texts: Sequence[str]) -> _Read:
        texts = [canonical(text) for text in texts]
        short = tuple([shorten(text) for text in texts])
        tokenized = self._tokenizer.tokenize_all(short)
        embedding = np.empty((len(texts), self._encoder.dim), dtype=np.float32)
        surface = np.empty((len(texts), len(SURFACE_NAMES)), dtype=np.float32)
        if self._encoder is not self._tokenizer and texts:
            embedding[:] = self._encoder.encode(list(short))
        for row, tokens in enumerate(counting(tokenized, "query")):
            if self._encoder is self._tokenizer:
                embedding[row] = self._tokenizer.encode_tokens(tokens)
            surface[row] = self._surface.read(short[row].encode(), tokens, len(texts[row]))
        n_tokens = [_in_proportion(len(t), *both) for t, *both in zip(tokenized, short, texts, strict=True)]
        return _Read(short=short, tokens=tokenized, n_tokens=n_tokens, embedding=embedding, surface=surface)

    def _keys(self, tokens: IntArray) -> KeyArray:
        return query_keys(tokens, *self._frame.read(tokens, self.common_words_))

    def _standardize(self, surface: Float32Array) -> Float32Array:
        return standardize(surface, self.surface_mean_, self.surface_scale_)

    def _assemble(self, read: _Read, terms: CsrMatrix) -> Features:
        return Features(
            dense=np.concatenate([read.embedding, self._standardize(read.surface)], axis=1),
            terms=terms,
            n_words=self._vocabulary.n_words,
            embedding_dim=read.embedding.shape[1],
            surface_scale=self.surface_scale_,
            texts=read.short,
        )


def _in_proportion(n_tokens: int, short: str, text: str) -> int:
    """Returns the tokens of the whole text, where those of its shortened form were counted."""
    return n_tokens if len(short) >= len(text) else round(n_tokens * len(text) / len(short))
