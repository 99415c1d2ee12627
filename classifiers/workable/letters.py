"""Letters to count in a word."""

from __future__ import annotations

import re

from .right import Value
from .wording import words_in

_QUOTE = "[\"'`“”‘’]?"
_LETTER = rf"(?:the )?(?:letters? )?{_QUOTE}(?P<letter>[a-z]){_QUOTE}(?:['’]?s\b)?{_QUOTE}"
_WORD = rf"(?:the )?(?:(?:word|name|string|term|code) )?{_QUOTE}(?P<word>[a-z]{{2,}}){_QUOTE}"
_HOW_MANY = r"\b(?:how many|how often|count|number of|occurrences of)"
_FILLING = r"(?: (?:times|does|do|is|are|of|all|letters?|the|instances|occurrences))*?"
_VERBS = r"(?: (?:is|are|appears?|occurs?|there|contained|found|used|show|shows|up))*"
_FORMS = (
    re.compile(rf"{_HOW_MANY}{_FILLING} {_LETTER}{_VERBS} in {_WORD}(?= ?[?.!,;]| ?$)"),
    re.compile(rf"\bin {_WORD},? {_HOW_MANY}{_FILLING} {_LETTER}(?={_VERBS} ?[?.!,;]|{_VERBS} ?$)"),
    re.compile(rf"{_HOW_MANY} {_LETTER} (?:does|do) {_WORD} (?:have|contain)(?= ?[?.!,;]| ?$)"),
)
_WORDS = frozenset(("many", "often", "count", "number", "occurrences"))
_OTHERWISE = re.compile(
    r"\b(?:then|multipl(?:y|ied)|plus|minus|squared|twice|double|capital|uppercase|lowercase"
    r"|how\smany.*how\smany)\b"
)
_NO_WORD = re.compile(r"(?:the|my|your|this|that|his|her|its|our|their|all|total|alphabet|each|every|here|it|these)\b")


def count_of_letter(question: str) -> Value | None:
    """Returns how often a letter is in a word, small and capital letters being the same.

    >>> count_of_letter("how many r's are in strawberry?")
    Value(number=3.0)
    """
    if words_in(question).isdisjoint(_WORDS) or _OTHERWISE.search(question):
        return None
    for form in _FORMS:
        found = form.search(question)
        if found and not _NO_WORD.fullmatch(found["word"]):
            return Value(number=float(found["word"].count(found["letter"])))
    return None
