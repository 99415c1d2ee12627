"""Cheap features that can be read off the characters and tokens of a query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import numpy as np

from .encoders.static import load_static
from .sparse import Float32Array, IntArray

SURFACE_SCALE = 0.1  # of a standardised surface feature beside an embedding of unit length
_SURFACE_CLIP = 4.0  # standard deviations; an outlier must not outvote the words

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
# Counts: how many figures, sentences and options there are tells how much there is to keep in mind.
_STRUCTURE: dict[str, re.Pattern[bytes]] = {
    "numbers": re.compile(rb"[0-9]+"),
    "sentences": re.compile(rb"[.?!](?=\s|\Z)"),
    "options": re.compile(rb"(?:\A|\s)\(?(?:[0-9]+|[a-h])[.)](?=\s)"),
}
_DISTINCT = ("numbers",)  # of which those that differ are counted too

_PLAIN = (
    "characters",
    "tokens",
    *_STRUCTURE,
    *(f"distinct_{name}" for name in _DISTINCT),
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
_N_BYTE_CLASSES = len(_BYTE_CLASSES) + 1
_RATIO_PLACES = np.array([list(_BYTE_CLASSES).index(name) for name in _RATIOS])
_ENGLISH = list(_CUES).index("english")


class SurfaceReader:
    """Counts characters, numbers and cue words; `vocabulary` maps word pieces to token ids."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        size = max(vocabulary.values(), default=-1) + 1
        self._cue_of_token = np.full(size, len(_CUES), dtype=np.int64)
        for place, words in enumerate(_CUES.values()):
            for word in words.split():
                if word in vocabulary:
                    self._cue_of_token[vocabulary[word]] = place
        self._is_split = np.zeros(size, dtype=bool)
        for piece, token in vocabulary.items():
            self._is_split[token] = piece.startswith("##")

    def read(self, text: bytes, tokens: IntArray, n_characters: int) -> Float32Array:
        """Returns the features named by SURFACE_NAMES, (n_features,), counts as log(1 + count).

        `text` is in its canonical spelling, as UTF-8, and may be cut short; `n_characters` is the length of the whole.
        """
        out = np.empty(len(SURFACE_NAMES), dtype=np.float32)
        classes = _CLASS_OF_BYTE.take(np.frombuffer(text, dtype=np.uint8))
        counts = np.bincount(classes, minlength=_N_BYTE_CLASSES)[:-1]
        cues = np.bincount(self._cue_of_token.take(tokens), minlength=len(_CUES) + 1)[:-1]
        n_tokens = len(tokens)
        found = {name: pattern.findall(text) if _may_have(name, text) else [] for name, pattern in _STRUCTURE.items()}
        n_distinct = [len(set(found[name])) for name in _DISTINCT]
        out[:_N_PLAIN] = [n_characters, n_tokens, *map(len, found.values()), *n_distinct, 0, 0, 0]
        out[_N_PLAIN:_N_BYTES] = counts
        out[_N_BYTES:_N_COUNTS] = cues
        np.log1p(out[:_N_COUNTS], out=out[:_N_COUNTS])
        out[_N_LOGS] = n_characters / (n_tokens + 1)
        out[_N_LOGS + 1] = len(set(tokens.tolist())) / (n_tokens + 1)
        out[_N_LOGS + 2] = np.count_nonzero(self._is_split.take(tokens)) / (n_tokens + 1)
        out[_N_COUNTS:-1] = counts.take(_RATIO_PLACES) / (len(text) + 1)
        out[-1] = cues[_ENGLISH] / (n_tokens + 1)
        return out


def _may_have(name: str, text: bytes) -> bool:
    """Returns whether to look for options at all: few texts have any, and to look for them takes long."""
    return name != "options" or b". " in text or b") " in text or b"\n" in text


@cache
def load_reader() -> SurfaceReader:
    """Returns the one that reads the tokens of the static encoder; all share it, since it never changes."""
    return SurfaceReader(load_static().vocabulary)


def standardize(surface: Float32Array, mean: Float32Array, scale: Float32Array) -> Float32Array:
    """Returns surface features, (..., n_surface), on the scale that weights are fitted to."""
    limit = _SURFACE_CLIP * SURFACE_SCALE
    standardized: Float32Array = (surface - mean) * scale
    np.maximum(standardized, -limit, out=standardized)
    np.minimum(standardized, limit, out=standardized)
    return standardized
