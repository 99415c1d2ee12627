"""One spelling for what looks the same, so that a decision does not hang on how a query is typed."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

# Cyrillic letters that nobody can tell from Latin ones; in a text that is mostly Latin they are read as these.
_LOOK_ALIKES = str.maketrans(
    "асеорхуіѕјԁԛԝһАВЕОРСУХКМНТІЅЈԜ",
    "aceopxyisjdqwhABEOPCYXKMHTISJW",
)
_LATIN = re.compile(r"[A-Za-z]")
_CYRILLIC = re.compile(r"[\u0400-\u052f]")
# Signs to a word's end, or some more where a word has none: to order the marks on a letter takes a time that grows with
# the square of their number, and a text of nothing but marks would take minutes.
_PIECE = re.compile(r".{1,60}\S{0,40}", re.DOTALL)


def canonical(text: str) -> str:
    """Returns the text in the spelling by which it is judged.

    In small letters; white space in runs counts as one space, signs that nobody sees not at all; compatibility forms
    (Unicode's NFKC) and Cyrillic letters in the place of Latin ones become the plain ones.

    >>> canonical("What\\u200b  is\\t17\\n\\n times 23?")
    'what is 17 times 23?'
    """
    if not text.isascii():
        text = "".join(unicodedata.normalize("NFKC", piece) for piece in _PIECE.findall(text))
        counts = Counter(text)  # what follows looks at each sign once, however long the text
        other: dict[int, int | None] = {ord(sign): None for sign in counts if unicodedata.category(sign) == "Cf"}
        n_cyrillic = sum(counts[sign] for sign in counts if _CYRILLIC.match(sign))
        if n_cyrillic and n_cyrillic < sum(counts[sign] for sign in counts if _LATIN.match(sign)):
            other |= _LOOK_ALIKES
        if other:
            text = text.translate(other)
    return " ".join(text.lower().split())
