"""Wishes for a form that a question may hold, and how it is seen whether an answer keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from .languages import asked_language, is_in
from .mentions import mentions_any

_MAX_CHARACTERS = 4000  # of either end of a question
_MAX_ANSWER = 40_000

_NAMES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_COUNTS = {name: n for n, name in enumerate(_NAMES, 1)} | {"a single": 1, "a": 1}
_N = rf"(\d{{1,4}}|{'|'.join(_COUNTS)})"
_BULLET = re.compile(r"^([ \t]*)[-*•+–][ \t]+\S", re.MULTILINE)
_ITEM = re.compile(r"^([ \t]*)(?:\*\*)?\d{1,3}[.)](?:\*\*)?[ \t]+\S", re.MULTILINE)
_ABBREVIATED = "".join(rf"(?<!\b{word}\.)" for word in ("e\\.g", "i\\.e", "Dr", "Mr", "Mrs", "Ms", "vs", "St", "Fig"))
# Behind initials, such as U.S., only a capital letter or the end tells that the sentence ends.
_SENTENCE = re.compile(rf"[.!?…。！？][\"'”’)*]*(?=\s|\Z){_ABBREVIATED}(?:(?<!\b[A-Z]\.[A-Z]\.)|(?=\s+[A-Z]|\s*\Z))")
_TABLE = re.compile(r"^[ \t]*\|?[ \t]*:?-{2,}:?[ \t]*\|", re.MULTILINE)
_NUMBER_ALONE = re.compile(r"[\s$€£]*[-+]?[\d.,]+\s*%?\.?\s*")
_YES = re.compile(r"\b(?:yes|no|true|false)\b", re.IGNORECASE)

Kept = Callable[[re.Match[str], str], bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One kind of wish."""

    words: tuple[str, ...]  # one of which is in every question, in small letters, that holds it: quickly told
    pattern: re.Pattern[str]
    is_kept: Kept  # of where it was found, and an answer; None where that cannot be told


def kept_wishes(question: str, answer: str) -> list[bool]:
    """Returns of each wish found in a question whether an answer keeps it.

    >>> kept_wishes("Name it in one word, in French.", "It is a river")
    [False]
    >>> kept_wishes("Give me three bullet points in at most 9 words.", "- air\\n- shade\\n- wood")
    [True, True]
    """
    text = answer[:_MAX_ANSWER]
    told = [is_kept(found, text) for found, is_kept in _wishes_in(question)]
    language = _language_in(question)
    told.append(is_in(language, text) if language else None)
    return [kept for kept in told if kept is not None]


@lru_cache(maxsize=16)  # asked of a question with each of its answers
def _wishes_in(question: str) -> tuple[tuple[re.Match[str], Kept], ...]:
    ends = _ends_of(question)
    lowered = ends.lower()
    likely = [wish for wish in WISHES if mentions_any(lowered, wish.words)]
    return tuple((found, wish.is_kept) for wish in likely if (found := wish.pattern.search(ends)))


@lru_cache(maxsize=16)
def _language_in(question: str) -> str | None:
    return asked_language(_ends_of(question))


def _ends_of(question: str) -> str:
    if len(question) <= 2 * _MAX_CHARACTERS:
        return question
    return question[:_MAX_CHARACTERS] + "\n" + question[-_MAX_CHARACTERS:]


def _number(said: str) -> int:
    return int(said) if said.isdigit() else _COUNTS[said.lower()]


def _n_words(text: str) -> int:
    return len(text.split())


def _n_sentences(text: str) -> int:
    """Returns how many sentences there are; what follows the last full stop is one more."""
    ends = list(_SENTENCE.finditer(text))
    return len(ends) + bool(text[ends[-1].end() if ends else 0 :].strip())


def _n_paragraphs(text: str) -> int:
    return sum(bool(part.strip()) for part in re.split(r"\n[ \t]*\n", text))


def _n_listed(text: str) -> int:
    """Returns how many items the longer of the lists, by bullet and by number, has; what is below an item is none."""
    bullets, items = _BULLET.findall(text), _ITEM.findall(text)
    outermost = min((*bullets, *items), key=len, default="")
    return max(bullets.count(outermost), items.count(outermost))


def _as_asked(count: Callable[[str], int]) -> Kept:
    """Returns what holds a count against the number asked for: from it up, up to it, or just it."""

    def is_kept(found: re.Match[str], text: str) -> bool:
        bound, wanted, n = (found["bound"] or "").lower(), _number(found[2]), count(text)
        if bound.startswith(("at least", "no fewer", "no less", "minimum", "more than", "over")):
            return n >= wanted
        if bound in ("", "exactly", "in", "with"):
            return n == wanted
        return 0 < n <= wanted

    return is_kept


def _is_list_as_long(found: re.Match[str], text: str) -> bool | None:
    """Returns whether a list, where the answer is one, has as many items as are asked for."""
    n = _n_listed(text)
    return n == _number(found[1]) if n > 1 else None


def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text, re.IGNORECASE)


_LEAST = "at least|no fewer than|no less than|minimum of"
_MOST = "at most|no more than|less than|fewer than|under|within|up to|maximum of"

WISHES = (
    Wish(
        words=("word",),
        pattern=_pattern(r"\b(?:one|a single|1)[- ]word\b"),
        is_kept=lambda _, text: _n_words(text) == 1,
    ),
    Wish(
        words=("words",),
        pattern=_pattern(rf"\b(?P<bound>exactly|{_LEAST}|{_MOST}) (\d{{1,4}}) words\b"),
        is_kept=_as_asked(_n_words),
    ),
    Wish(
        words=("sentence",),
        pattern=_pattern(rf"\b(?P<bound>in|with|exactly|{_LEAST}|{_MOST}) {_N} (?:\w+ )?sentences?\b"),
        is_kept=_as_asked(_n_sentences),
    ),
    Wish(
        words=("paragraph",),
        pattern=_pattern(rf"\b(?P<bound>in|exactly|{_LEAST}|{_MOST}) {_N} (?:\w+ )?paragraphs?\b"),
        is_kept=_as_asked(_n_paragraphs),
    ),
    Wish(
        words=("bullet",),
        pattern=_pattern(
            rf"\b(?:(?P<bound>exactly|{_LEAST}|{_MOST}) )?{_N} (?:\w+ )?bullet(?:ed)?(?:[- ]points?|s| items)?\b"
        ),
        is_kept=_as_asked(_n_listed),
    ),
    Wish(
        words=("list", "name", "give", "suggest"),
        pattern=_pattern(rf"(?:^|[.:;!?\n]\s*|please )(?:list|name|give(?: me)?|suggest) {_N} (?!bullet)\w"),
        is_kept=_is_list_as_long,
    ),
    Wish(
        words=("numbered", "ordered list"),
        pattern=_pattern(r"\b(?:as|in|with|using|into) an? (?:numbered|ordered) list\b"),
        is_kept=lambda _, text: _ITEM.search(text) is not None,
    ),
    Wish(
        words=("bullet",),
        pattern=_pattern(r"\b(?:as|in|with|using|into) (?:an? )?bullet(?:ed)?(?:[- ](?:points?|lists?)|s)?\b"),
        is_kept=lambda _, text: _BULLET.search(text) is not None,
    ),
    Wish(
        words=("table",),
        pattern=_pattern(r"\b(?:as|in|with|into|using) an? (?:markdown )?table\b(?! (?:called|named|of contents))"),
        is_kept=lambda _, text: _TABLE.search(text) is not None,
    ),
    Wish(
        words=("number",),
        pattern=_pattern(r"\b(?:only|just) (?:(?:with|give|return|output|the|a|final) ){0,3}number\b"),
        is_kept=lambda _, text: _NUMBER_ALONE.fullmatch(text[:_MAX_CHARACTERS]) is not None,
    ),
    Wish(
        words=("no", "false"),
        pattern=_pattern(r"\b(?:yes or no|yes/no|true or false|true/false)\b"),
        is_kept=lambda _, text: _YES.search(text) is not None,
    ),
    Wish(words=("boxed{",), pattern=_pattern(r"\\boxed\{"), is_kept=lambda _, text: "\\boxed" in text),
    Wish(
        words=("tag", "<"),
        pattern=_pattern(
            r"\b(?:in|inside|within|between|with|using)\s(?:the\s)?`?<(\w{1,30})>`?[^\n]{0,40}?(?:\btags?\b|</\1>)"
        ),
        is_kept=lambda found, text: f"<{found[1]}>" in text and f"</{found[1]}>" in text,
    ),
    Wish(
        words=("uppercase", "upper case", "all caps", "capital letters"),
        pattern=_pattern(r"\b(?:in|using) (?:all )?(?:caps|upper ?case|capital letters)\b"),
        is_kept=lambda _, text: text.isupper(),
    ),
    Wish(
        words=("lowercase", "lower case"),
        pattern=_pattern(r"\b(?:in|using) (?:all )?lower ?case\b"),
        is_kept=lambda _, text: text.islower(),
    ),
    Wish(
        words=("start", "begin"),
        pattern=_pattern(r"\b(?:start|begin) (?:(?:your|the) \w+ )?with (?:the \w+ )?[\"“'‘]([^\"”'’\n]{1,80})[\"”'’]"),
        is_kept=lambda found, text: text.lstrip(" \n*#").lower().startswith(found[1].lower()),
    ),
)
