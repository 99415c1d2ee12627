"""Cheap features that can be read off the characters and tokens of a query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import numpy as np

from .canonical import canonical
from .constant import constant
from .encoders.static import load_static, shorten
from .sparse import Float32Array, IntArray

SURFACE_SCALE = 0.1  # of a standardised surface feature beside an embedding of unit length
_SURFACE_CLIP = 4.0  # standard deviations; an outlier must not outvote the words
_MOST, _LEAST = (constant(sign * _SURFACE_CLIP * SURFACE_SCALE, np.float32) for sign in (1, -1))

_BYTE_CLASSES: dict[str, bytes] = {
    "digits": b"0123456789",
    "operators": b"+-*/=<>^",
    "backslashes": b"\\",
    "dollars": b"$",
    "question_marks": b"?",
    "commas": b",",
    "full_stops": b".",
    "colons": b":",
    "semicolons": b";",
    "round_brackets": b"()",
    "square_brackets": b"[]",
    "curly_brackets": b"{}",
    "code_marks": b"_`#|&~",
    "quotes": b"\"'",
    "percent_signs": b"%",
    "spaces": b" ",
    "non_ascii": bytes(range(128, 256)),
}

_CUES: dict[str, str] = {
    "ask_fact": "what which who whom whose when where name",
    "ask_how": "how",
    "ask_why": "why explain describe discuss",
    "ask_amount": "many much number total sum count altogether",
    "ask_solve": "find compute calculate evaluate solve determine simplify convert",
    "ask_proof": "prove show proof theorem lemma suppose let",
    "ask_code": "code python function return def class import print program array string",
    "ask_write": "write essay story poem email letter summarize translate rewrite list",
    "logic": "if then not all none every each some must never only unless either neither",
    "comparison": "more less than twice half times per most least greater fewer older first last",
    "choice": "following correct answer option true false choose statement best",
    "mathematics": "triangle angle circle polynomial integer prime matrix probability equation function"
    " frac sqrt pi cos sin log",
    "money": "dollars dollar cents cost costs price buys sells paid",
    "time": "day days week weeks month year years hour hours minutes morning",
    "english": "the of and to a in is that for it with as was on are by",
}

_RATIOS = ("digits", "operators", "non_ascii", "spaces")

_PLAIN = (
    "characters",
    "tokens",
    # How many figures, sentences and options there are tells how much there is to keep in mind.
    "numbers",
    "sentences",
    "options",
    "distinct_numbers",
    "characters_per_token",
    "distinct_tokens",
    "split_words",
)

SURFACE_NAMES: tuple[str, ...] = (
    _PLAIN + tuple(_BYTE_CLASSES) + tuple(_CUES) + tuple(f"{name}_share" for name in (*_RATIOS, "english"))
)

# Where the features of each kind end.
_N_LOGS = len(_PLAIN) - 3
_N_PLAIN = len(_PLAIN)
_N_BYTES = _N_PLAIN + len(_BYTE_CLASSES)
_N_COUNTS = _N_BYTES + len(_CUES)

_CLASS_OF_BYTE = np.full(256, len(_BYTE_CLASSES), dtype=np.int64)  # the last class: everything else
for _place, _members in enumerate(_BYTE_CLASSES.values()):
    _CLASS_OF_BYTE[list(_members)] = _place
_NO_CUE, _SPLIT = len(_CUES), len(_CUES) + 1  # of tokens: any other word, and a part of a word
_N_BYTE_CLASSES = len(_BYTE_CLASSES) + 1
_RATIO_PLACES = [list(_BYTE_CLASSES).index(name) for name in _RATIOS]
_ENGLISH = list(_CUES).index("english")

_ONLY_DIGITS = bytes(sign if 48 <= sign < 58 else 32 for sign in range(256))
_SHAPE = bytearray(range(256))  # letters that may name an option as `a`, digits as `0`, white space as a space
_SHAPE[48:58], _SHAPE[97:105], _SHAPE[9:14] = b"0" * 10, b"a" * 8, b" " * 5
_OPTION = re.compile(rb"(?<!\S)\(?(?:[0-9]+|[a-h])[.)](?=\s)")
_OPTION_ENDS = (b"0. ", b"0) ", b" a. ", b" a) ", b"(a. ", b"(a) ")  # of its shape


class SurfaceReader:
    """Counts characters, numbers and cue words; `vocabulary` maps word pieces to token ids."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        size = max(vocabulary.values(), default=-1) + 1
        self._cue_of_token = np.full(size, _NO_CUE, dtype=np.int64)
        for place, words in enumerate(_CUES.values()):
            for word in words.split():
                if word in vocabulary:
                    self._cue_of_token[vocabulary[word]] = place
        for piece, token in vocabulary.items():
            if piece.startswith("##"):
                self._cue_of_token[token] = _SPLIT

    def read(self, text: bytes, tokens: IntArray, n_characters: int) -> Float32Array:
        """Returns the features named by SURFACE_NAMES, (n_features,), counts as log(1 + count).

        `text` is in its canonical spelling, as UTF-8, and may be cut short; `n_characters` is the length of the whole.
        """
        out = np.empty(len(SURFACE_NAMES), dtype=np.float32)
        classes = _CLASS_OF_BYTE.take(np.frombuffer(text, dtype=np.uint8))
        counts = np.bincount(classes, minlength=_N_BYTE_CLASSES)[:-1]
        cues = np.bincount(self._cue_of_token.take(tokens), minlength=_SPLIT + 1)
        n_tokens = len(tokens)
        numbers = text.translate(_ONLY_DIGITS).split()
        shape = (b" " + text).translate(_SHAPE)
        structure = len(numbers), _n_sentences(shape), _n_options(text, shape), len(set(numbers))
        out[:_N_PLAIN] = (n_characters, n_tokens, *structure, 0, 0, 0)
        out[_N_PLAIN:_N_BYTES] = counts
        out[_N_BYTES:_N_COUNTS] = cues[:_NO_CUE]
        np.log1p(out[:_N_COUNTS], out=out[:_N_COUNTS])
        out[_N_LOGS] = n_characters / (n_tokens + 1)
        out[_N_LOGS + 1] = len(set(tokens.tolist())) / (n_tokens + 1)
        out[_N_LOGS + 2] = cues.item(_SPLIT) / (n_tokens + 1)
        shares = [counts.item(place) / (len(text) + 1) for place in _RATIO_PLACES]
        out[_N_COUNTS:] = (*shares, cues.item(_ENGLISH) / (n_tokens + 1))
        return out


def _n_sentences(shape: bytes) -> int:
    """Returns the number of full stops, question marks and exclamation marks at the end of a word."""
    return shape.count(b". ") + shape.count(b"? ") + shape.count(b"! ") + shape.endswith((b".", b"?", b"!"))


def _n_options(text: bytes, shape: bytes) -> int:
    """Returns the number of options such as `1.`, `(b)` and `c)`; few texts have any, and to look for them is slow."""
    for end in _OPTION_ENDS:
        if end in shape:
            return len(_OPTION.findall(text))
    return 0


@cache
def load_reader() -> SurfaceReader:
    """Returns the one that reads the tokens of the static encoder; all share it, since it never changes."""
    return SurfaceReader(load_static().vocabulary)


def surface_of(text: str) -> Float32Array:
    """Returns the surface features, (n_features,), of a text as somebody typed it."""
    text = canonical(text)
    short = shorten(text)
    return load_reader().read(short.encode(), load_static().tokenize(short), len(text))


def standardize(surface: Float32Array, mean: Float32Array, scale: Float32Array) -> Float32Array:
    """Returns surface features, (..., n_surface), on the scale that weights are fitted to."""
    standardized: Float32Array = (surface - mean) * scale
    np.maximum(standardized, _LEAST, out=standardized)
    np.minimum(standardized, _MOST, out=standardized)
    return standardized
