"""A verifier: whether what an answer quotes or cites stands in the given text."""

from __future__ import annotations

import math
import re

from ...backends import Completion, Query
from ..mentions import mentions_any
from .json_form import begins_as_json

_MAX_CHARACTERS = 100_000
_MAX_QUOTES = 40
_MIN_WORDS = 3
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
# Every pair of signs is taken up, short ones too: else the end of one would be read as the beginning of the next.
# The opening sign stands first, and what is asked of it behind, so that most of a text is quickly passed over. No sign
# of apostrophe opens decades ('90s), and within single quotes it stands between letters.
_QUOTE = re.compile(
    r"""["“„«'‘](?:(?<=")([^"\n]{1,400}+)"|(?<=[“„])([^“”„]{1,400}+)[”“]|(?<=«)([^«»]{1,400}+)»"""
    r"""|(?<=['‘])(?<![\w'‘’].)(?!\d0s)((?:[^'‘’\n]|(?<=\w)['’](?=\w)){1,400}+)['’](?!\w))"""
)
_BLOCK = re.compile(r"^[ \t]*>[^\n]*(?:\n[ \t]*>[^\n]*)*", re.MULTILINE)
_LEFT_OUT = re.compile(r"\[?(?:\.\.\.|…)\]?")
_WORD = re.compile(r"\w+")
_NUMBERED = re.compile(r"(?<!\w)\[\^?(\d{1,3}(?:\s?[,;]\s?\d{1,3}){0,9})\]")
_NUMBER = re.compile(r"(?<![\w\[])\[\^?\d{1,3}\](?!\])")
_KINDS = ("document", "doc", "source", "passage", "excerpt", "reference", "section", "article", "chapter", "paragraph",
          "page")  # fmt: skip
_NAMED = re.compile(rf"\b({'|'.join(_KINDS)})s?(?: id)?\s?[#:=\"(\[]{{0,2}}\s?(\d{{1,4}})\b")
_ADDRESS = re.compile(r"https?://[^\s<>\"'`)\]}]{4,300}")


class QuoteVerifier:
    """The share of quotes of three words and more, and of citations, that stand in the question; how many there are.

    A quote is looked up word for word, piece by piece where something is left out of it. Citations are numbers in
    brackets, documents or sections by number, and addresses; each kind counts where the question has some of it.
    """

    names = ("share_found", "log_quotes")
    needs = "text"

    def read(self, query: Query, completion: Completion) -> tuple[float, ...]:
        """Returns the numbers in the order of `names`; NaN where the answer neither quotes nor cites."""
        text = completion.text[:_MAX_CHARACTERS]
        if begins_as_json(text):  # whose strings are no quotes
            return math.nan, math.nan
        if "`" in text:
            text = _CODE.sub(" ", text)
        given = query.text[:_MAX_CHARACTERS]
        found = [*_quotes_found(text, given), *_citations_found(text, given)][:_MAX_QUOTES]
        return (sum(found) / len(found), math.log1p(len(found))) if found else (math.nan, math.nan)


def _quotes_found(text: str, given: str) -> list[bool]:
    """Returns of each quote whether it stands in what was given."""
    quotes = ["".join(groups) for groups in _QUOTE.findall(text)]
    quotes += [block.replace(">", " ") for block in _BLOCK.findall(text)]
    pieces = [list(filter(_is_long, map(_words, _LEFT_OUT.split(quote)))) for quote in quotes[: 4 * _MAX_QUOTES]]
    kept = [quote for quote in pieces if quote][:_MAX_QUOTES]
    words = _words(given) if kept else ""
    return [all(piece in words for piece in quote) for quote in kept]


def _is_long(words: str) -> bool:
    return words.count(" ") >= _MIN_WORDS + 1  # spaces around it, too


def _words(text: str) -> str:
    """Returns the words alone, with one space around each."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def _citations_found(text: str, given: str) -> list[bool]:
    """Returns of each citation, of kinds that what was given has, whether it is there."""
    cited = _citations(text)
    if not cited:
        return []
    there = _citations(given)
    if not _NUMBER.search(given):  # brackets around several numbers alone are lists of them, and no sources
        there = {citation for citation in there if citation[0] != "[]"}
    kinds = {kind for kind, _ in there}
    return [citation in there for citation in sorted(cited) if citation[0] in kinds]


def _citations(text: str) -> set[tuple[str, str]]:
    """Returns what a text refers to, as (kind, which one)."""
    found = set()
    if "[" in text:
        found |= {("[]", number) for group in _NUMBERED.findall(text) for number in re.findall(r"\d+", group)}
    lowered = text.lower()
    if mentions_any(lowered, _KINDS):
        found |= set(_NAMED.findall(lowered))
    if "://" in text:
        found |= {("address", address.rstrip(".,;:!?*/")) for address in _ADDRESS.findall(text)}
    return found
