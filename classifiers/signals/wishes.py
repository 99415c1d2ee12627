"""A verifier: whether an answer has the form and the script that the question asks for."""

from __future__ import annotations

import math
import re
import unicodedata

from ...backends import Completion, Query

_MAX_CHARACTERS = 4000
_ONE_WORD = re.compile(r"\b(?:one|a single|1)[- ]word\b", re.IGNORECASE)
_ONLY_NUMBER = re.compile(r"\b(?:only|just) (?:(?:with|give|return|output|the|a|final) ){0,3}number\b", re.IGNORECASE)
_YES_NO = re.compile(r"\b(?:yes or no|yes/no|true or false|true/false)\b", re.IGNORECASE)
_AT_MOST = re.compile(
    r"\b(?:at most|no more than|less than|fewer than|under|within|up to|maximum of) (\d{1,4}) words\b", re.IGNORECASE
)
_YES = re.compile(r"\b(?:yes|no|true|false)\b", re.IGNORECASE)
_NUMBER_ALONE = re.compile(r"[\s$€£]*[-+]?[\d.,]+\s*%?\.?\s*")


_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


class WishVerifier:
    """Whether a wish for one word, a bare number, yes or no, or few words was kept; whether the script is the same."""

    names = ("share_kept", "is_same_script")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where no such wish was found, or there are no letters."""
        asked, text = query.text, completion.text
        ends = asked if len(asked) <= _MAX_CHARACTERS else asked[:_MAX_CHARACTERS] + asked[-_MAX_CHARACTERS:]
        kept = []
        lowered = ends.lower()
        speaks_of_words = "word" in lowered
        n_words = len(text[: 10 * _MAX_CHARACTERS].split()) if speaks_of_words else 0
        if speaks_of_words and _ONE_WORD.search(ends):
            kept.append(n_words == 1)
        if "number" in lowered and _ONLY_NUMBER.search(ends):
            kept.append(_NUMBER_ALONE.fullmatch(text[:_MAX_CHARACTERS]) is not None)
        if ("no" in lowered or "false" in lowered) and _YES_NO.search(ends):
            kept.append(_YES.search(text[:_MAX_CHARACTERS]) is not None)
        limit = _AT_MOST.search(ends) if speaks_of_words else None
        if limit:
            kept.append(n_words <= int(limit[1]))
        scripts = _script(ends), _script(text)
        return sum(kept) / len(kept) if kept else math.nan, float(scripts[0] == scripts[1]) if all(
            scripts
        ) else math.nan


def _script(text: str) -> str:
    """Returns the script of most of the first letters, such as LATIN; '' where there are hardly any."""
    if text.isascii():
        n_letters = len(text[:_MAX_CHARACTERS].encode().translate(None, _NO_LETTERS))
        return "LATIN" if n_letters >= 20 else ""
    letters = [sign for sign in text[:_MAX_CHARACTERS] if sign.isalpha()][:200]
    if len(letters) < 20:
        return ""
    if all(sign < "\u0250" for sign in letters):  # by far the most, and quickly told
        return "LATIN"
    scripts = [unicodedata.name(sign, "").partition(" ")[0] for sign in letters]
    return max(sorted(set(scripts)), key=scripts.count)
