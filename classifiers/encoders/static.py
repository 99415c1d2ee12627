"""The default encoder: one table of token vectors, averaged. No torch, no network, shipped in the package.

The table is distilled once from all-MiniLM-L6-v2 by `training/distil.py`, in the manner of model2vec
(Tulkens and van Dongen 2024, https://github.com/MinishLab/model2vec).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np

from ...backends import ConfigError
from ..sparse import Float32Array, IntArray
from .words import WordTokens

MAX_CHARACTERS = 16_000  # of a longer text the first and the last half of that are read


class StaticEncoder:
    """The mean of its tokens' vectors, each an int8 row with a float scale."""

    def __init__(self, *, tokenizer_json: bytes, table: bytes) -> None:
        from safetensors.numpy import load
        from tokenizers import Tokenizer

        self._tokenizer = Tokenizer.from_str(tokenizer_json.decode("utf-8"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        special = (token.content for token in self._tokenizer.get_added_tokens_decoder().values())
        self._words = WordTokens(encode=self._encode_text, special=special)
        arrays = load(table)
        self._codes = arrays["codes"]  # (n_tokens, dim) int8
        self._scales = arrays["scales"].astype(np.float32)  # (n_tokens,)
        self.dim = int(self._codes.shape[1])
        self.id = f"static:{hashlib.sha256(tokenizer_json + table).hexdigest()[:16]}"

    @property
    def vocabulary(self) -> dict[str, int]:
        """Word pieces and their token ids."""
        vocabulary: dict[str, int] = self._tokenizer.get_vocab()
        return vocabulary

    def tokenize(self, text: str) -> IntArray:
        """Returns the token ids of a text, without special tokens."""
        return np.array(self._words.tokenize(text), dtype=np.int64)

    def tokenize_all(self, texts: Sequence[str]) -> list[IntArray]:
        """Returns the token ids of many texts, several at a time."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.int64) for encoding in encodings]

    def encode_tokens(self, tokens: IntArray) -> Float32Array:
        """Returns the unit-length vector of one tokenised text, (dim,); zeros where it has no tokens."""
        if not len(tokens):
            return np.zeros(self.dim, dtype=np.float32)
        vector: Float32Array = self._scales.take(tokens).dot(self._codes.take(tokens, axis=0))
        norm = math.sqrt(vector.dot(vector))
        if norm > 0:
            vector /= norm
        return vector

    def encode(self, texts: Sequence[str]) -> Float32Array:
        """Returns one vector a text, (n_texts, dim)."""
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        tokenized = self.tokenize_all([shorten(text) for text in texts])
        return np.stack([self.encode_tokens(tokens) for tokens in tokenized])

    def _encode_text(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def shorten(text: str) -> str:
    """Returns the text, or of a very long one its beginning and its end; lone surrogates are replaced."""
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = text[:half] + "\n" + text[-half:]
    return text.encode("utf-8", "replace").decode("utf-8")


def load_static(argument: str = "") -> StaticEncoder:
    """Returns the encoder that ships with the package, loaded once.

    Raises:
        ConfigError: there is an argument.
    """
    if argument:
        raise ConfigError(f"encoder: 'static' takes no argument, got {argument!r}")
    return _load_table()


@cache
def _load_table() -> StaticEncoder:
    folder = resources.files(__package__) / "data" / "static"
    return StaticEncoder(
        tokenizer_json=(folder / "tokenizer.json").read_bytes(),
        table=(folder / "table.safetensors").read_bytes(),
    )
