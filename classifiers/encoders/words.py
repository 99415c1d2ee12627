"""Token ids of plain text, word by word out of a dictionary: the tokenizer's own ids, several times faster."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

_PLAIN = re.compile(r"[\t\n\r -~]*")
_WORD = re.compile(r"[a-z0-9]+|[!-/:-@\[-`{-~]")
_MAX_WORDS = 50_000  # some 15 MB where all are as long as may be
_MAX_LENGTH = 32  # of a word that is kept


class WordTokens:
    """Remembers the token ids of words, and of what stands between two spaces.

    An uncased BERT tokenizer cuts ASCII text into runs of letters and digits and single punctuation marks, and then
    cuts each of these on its own; so the ids of a text are those of its words, one after the other.
    """

    def __init__(self, *, encode: Callable[[str], Sequence[int]], special: Iterable[str]) -> None:
        self._encode = encode
        self._special = re.compile("|".join(re.escape(content.lower()) for content in special) or r"(?!)")
        self._known: dict[str, Sequence[int]] = {}

    def tokenize(self, text: str) -> Sequence[int]:
        """Returns the token ids of a text."""
        lowered = text.lower()
        if not _PLAIN.fullmatch(text) or self._special.search(lowered):
            return self._encode(text)
        known = self._known
        ids: list[int] = []
        for piece in lowered.split():
            ids += known.get(piece) or self._learn(piece)
        return ids

    def _learn(self, piece: str) -> Sequence[int]:
        ids: Sequence[int]
        words = _WORD.findall(piece)
        if len(words) == 1:
            ids = self._encode(piece)
        else:
            ids = [token for word in words for token in self._known.get(word) or self._learn(word)]
        if len(piece) <= _MAX_LENGTH:
            if len(self._known) >= _MAX_WORDS:
                self._known.clear()
            self._known[piece] = ids
        return ids
