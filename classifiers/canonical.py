"""One spelling for what looks the same, so that a decision does not hang on how a query is typed."""

from __future__ import annotations

import re
import unicodedata

# Cyrillic letters that nobody can tell from Latin ones; in a text that is mostly Latin they are read as these.
_LOOK_ALIKES = str.maketrans(
    "асеорхуіѕјԁԛԝһАВЕОРСУХКМНТІЅЈԜ",
    "aceopxyisjdqwhABEOPCYXKMHTISJW",
)
_CYRILLIC = re.compile(r"[\u0400-\u052f]")
_LATIN = re.compile(r"[A-Za-z]")


def canonical(text: str) -> str:
    """Returns the text in the spelling by which it is judged.

    In small letters; white space in runs counts as one space, signs that nobody sees not at all; compatibility forms
    (Unicode's NFKC) and Cyrillic letters in the place of Latin ones become the plain ones.

    >>> canonical("What\\u200b  is\\t17\\n\\n times 23?")
    'what is 17 times 23?'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
        text = "".join(sign for sign in text if unicodedata.category(sign) != "Cf")
        n_cyrillic = len(_CYRILLIC.findall(text))
        if n_cyrillic and n_cyrillic < len(_LATIN.findall(text)):
            text = text.translate(_LOOK_ALIKES)
    return " ".join(text.lower().split())
